// Names of results, the batch clock, progress lines and result marks: parts of the program that start no process.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "batch_clock.hpp"
#include "codecs/metadata.hpp"
#include "naming.hpp"
#include "progress.hpp"
#include "result_mark.hpp"

namespace {

namespace fs = std::filesystem;

std::string name(char const* picture, cli::NamingRules const& rules) {
  auto const found = cli::result_name(picture, rules);
  REQUIRE(found.ok());
  return *found;
}

TEST_CASE("results have the suffix, and the extension of their format") {
  CHECK(name("d/a.png", {"-clean", {}}) == "a-clean.png");
  CHECK(name("d/A.PNG", {"-clean", {}}) == "A-clean.PNG");
  CHECK(name("IMG.JPG", {"", "png"}) == "IMG.png");
  CHECK(name("IMG.JPG", {"", "jpg"}) == "IMG.JPG");
  CHECK(name("IMG.JPG", {"", "png", true}) == "IMG.JPG.png");
  CHECK(name("a.b.png", {"-x", {}}) == "a.b-x.png");
  CHECK(name("no such file.tga", {"-clean", {}}) == "no such file-clean.png");
  CHECK(name("holiday.2024", {"-clean", "jpg"}) == "holiday-clean.2024.jpg");
  CHECK(name("no such file", {"-clean", {}}) == "no such file-clean.png");
}

TEST_CASE("names of results are known") {
  CHECK(cli::may_be_result_name("d/a-clean.jpg", "-clean"));
  CHECK(cli::may_be_result_name("d/a-clean.tga.png", "-clean"));
  CHECK_FALSE(cli::may_be_result_name("d/a.jpg", "-clean"));
  CHECK_FALSE(cli::may_be_result_name("d/-clean.jpg", "-clean"));
  CHECK_FALSE(cli::may_be_result_name("d/a-clean.txt.png", "-clean"));
  CHECK_FALSE(cli::may_be_result_name("d/a-clean.jpg", ""));
}

TEST_CASE("a folder's results go beside it") {
  auto const beside = [](char const* folder) {
    auto const found = cli::result_folder(folder, "-clean");
    return found ? found->string() : std::string(found.error().message());
  };
  CHECK(beside("photos") == "photos-clean");
  CHECK(beside("photos/") == "photos-clean");
  CHECK(beside("a/photos") == fs::path("a/photos-clean").make_preferred().string());
  auto const here = fs::current_path();
  CHECK(beside(".") == here.string() + "-clean");
  CHECK(beside("..") == here.parent_path().string() + "-clean");
  CHECK(beside("/") == "/: has no folder beside it for the results; use --output-dir");
}

TEST_CASE("the time that a batch takes goes with the sizes of its files") {
  using std::chrono::seconds;
  cli::BatchClock::Clock::time_point const begin{};
  cli::BatchClock clock({10, 30, 0, 20}, begin);  // the unknown one counts as their mean, 20
  CHECK(clock.count() == 4);
  CHECK_FALSE(clock.seconds_left(0.5, begin + seconds(1)).has_value());
  clock.next();
  CHECK(clock.number() == 1);
  CHECK_FALSE(clock.seconds_left(0, begin + seconds(1)).has_value());
  CHECK(clock.seconds_left(0.5, begin + seconds(5)).value() == doctest::Approx(75));
  clock.next();
  clock.next();
  CHECK(clock.seconds_left(0, begin + seconds(40)).value() == doctest::Approx(40));
  clock.next();
  CHECK(clock.seconds_left(1, begin + seconds(80)).value() == doctest::Approx(0));

  cli::BatchClock alone({10}, begin);
  alone.next();
  CHECK_FALSE(alone.seconds_left(0.5, begin + seconds(5)).has_value());
  CHECK(cli::BatchClock({0, 0}, begin).count() == 2);
}

TEST_CASE("durations are written in one style") {
  CHECK(cli::duration_text(0) == "0.00 s");
  CHECK(cli::duration_text(-1) == "0.00 s");
  CHECK(cli::duration_text(0.126) == "0.13 s");
  CHECK(cli::duration_text(8.638) == "8.6 s");
  CHECK(cli::duration_text(9.97) == "10 s");
  CHECK(cli::duration_text(59.4) == "59 s");
  CHECK(cli::duration_text(59.6) == "1 min 0 s");
  CHECK(cli::duration_text(125) == "2 min 5 s");
  CHECK(cli::duration_text(3725) == "1 h 2 min");
  CHECK(cli::duration_text(1e30) == "1000 h 0 min");
}

TEST_CASE("a progress line fits its terminal, and keeps what matters") {
  cli::ProgressFigures figures{"holiday/IMG_1234.JPG", 0.42, 0.53, 12.0, 3, 120, 580.0};
  for (int columns = 4; columns <= 200; ++columns) {
    auto const line = cli::progress_line(figures, columns);
    CHECK(static_cast<int>(line.size()) <= columns);
    CHECK(line.find("42%") != std::string::npos);
    if (columns >= 39) CHECK(line.find("3 of 120  ") == 0);
    if (columns >= 39) CHECK(line.find("9 min 40 s") != std::string::npos);
  }
  CHECK(cli::progress_line(figures, 79).find("12 s left  (all: 9 min 40 s)") != std::string::npos);
  CHECK(cli::progress_line(figures, 119).find("IMG_1234.JPG") != std::string::npos);
  CHECK(cli::progress_line(figures, 119).find("[####") != std::string::npos);
  // What stands before the figures does not move when these change.
  auto later = figures;
  later.share = 0.99;
  later.seconds_left = 1000;
  later.total_seconds_left = 2;
  for (int columns : {60, 79, 119}) {
    CHECK(cli::progress_line(figures, columns).find('%') == cli::progress_line(later, columns).find('%'));
  }
  figures.number = figures.count = 1;
  CHECK(cli::progress_line(figures, 79).find("of") == std::string::npos);
}

cli::Bytes bytes(std::string_view text) {
  auto const* const begin = reinterpret_cast<std::byte const*>(text.data());
  return {begin, begin + text.size()};
}

TEST_CASE("a result's mark is added, replaced and found") {
  auto const mark = cli::result_mark("denoise", "standard", "0123abcd");
  auto const once = cli::with_result_mark({}, mark, 1000);
  CHECK(cli::result_mark_of(once) == mark);
  auto const other = cli::result_mark("denoise", "high", "01234567");
  auto const twice = cli::with_result_mark(once, other, 1000);
  CHECK(cli::result_mark_of(twice) == other);
  CHECK(cli::with_result_mark(once, other, once.size() + 10) == once);  // there is no room
  CHECK(cli::with_result_mark({}, mark, 10).empty());
  // One directory with the orientation 6, and the same in the other byte order.
  for (std::string_view const exif :
       {std::string_view("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26),
        std::string_view("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 26)}) {
    auto const marked = cli::with_result_mark(bytes(exif), mark, 1000);
    CHECK(cli::result_mark_of(marked) == mark);
    CHECK(cli::exif_orientation(marked) == 6);
  }
  for (std::string_view const damaged : {std::string_view("no EXIF data"), std::string_view("II*\0\xFF\xFF\xFF\xFF", 8),
                                         std::string_view("II*\0\x08\0\0\0\xFF\xFF", 10)}) {
    CHECK(cli::with_result_mark(bytes(damaged), mark, 1000) == bytes(damaged));
    CHECK(cli::result_mark_of(bytes(damaged)).empty());
  }
}

TEST_CASE("marks are found at both ends of files") {
  auto const path = fs::temp_directory_path() / "mirnet-mark-test";
  auto const found = [&](std::size_t before, std::size_t after) {
    std::ofstream file(path, std::ios::binary);
    file << std::string(before, 'x') << cli::result_mark("denoise", "standard", "0") << std::string(after, 'x');
    file.close();
    return cli::has_result_mark(path);
  };
  CHECK(found(0, 0));
  CHECK(found(70000, 2000000));
  CHECK(found(2000000, 70000));
  CHECK_FALSE(found(1000000, 1000000));
  fs::remove(path);
  CHECK_FALSE(cli::has_result_mark(path));
}

}  // namespace

// The page of pictures before and after, as text: what browsers make of it is in test_comparison_page.py.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/formats.hpp"
#include "comparison_page.hpp"
#include "samples.hpp"

namespace {

using cli::Comparison;
using cli::ComparisonPage;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using samples::noise;

std::vector<Comparison> one(std::string caption, Image before, Image after) {
  std::vector<Comparison> crops;
  crops.push_back({std::move(caption), std::move(before), std::move(after)});
  return crops;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

/// RFC 4648, section 4, by its definition: six bits at a time.
cli::Bytes from_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  REQUIRE(text.size() % 4 == 0);
  cli::Bytes bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (char const c : text) {
    auto const digit = digits.find(c);
    if (c == '=') break;
    REQUIRE(digit != digits.npos);
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> held & 255));
  }
  return bytes;
}

struct Embedded {
  std::string type;
  cli::Decoded decoded;
};

std::vector<Embedded> images_of(std::string const& html) {
  std::vector<Embedded> images;
  constexpr std::string_view start = "src=\"data:image/";
  for (auto at = html.find(start); at != html.npos; at = html.find(start, at)) {
    at += start.size();
    auto const comma = html.find(";base64,", at), end = html.find('"', at);
    REQUIRE(comma < end);
    auto const type = html.substr(at, comma - at);
    auto const file = from_base64(std::string_view(html).substr(comma + 8, end - comma - 8));
    auto const format = type == "png" ? cli::Format::png : cli::Format::jpeg;
    images.push_back({type, cli::traits(format).decode(file, "the image", {}).value()});
  }
  return images;
}

bool same(Image const& a, Image const& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

}  // namespace

TEST_CASE("crops are in the page without loss, whatever their size") {
  // Files of every remainder by three end differently in base64.
  for (Index width = 30; width < 36; ++width) {
    for (Index const channels : {1, 3}) {
      auto const before = noise(width, 20, channels, SampleType::u8);
      auto after = noise(width, 20, channels, SampleType::u8);
      after.bytes()[0] ^= std::byte{255};
      ComparisonPage page;
      auto crops = one("at 0, 0", mirnet::convert_samples(before, SampleType::u8).value(),
                       mirnet::convert_samples(after, SampleType::u8).value());
      REQUIRE(page.add("a.png", crops, {{"size", "1 x 1"}}).ok());
      auto const html = page.html();
      auto const images = images_of(html);
      REQUIRE(images.size() == 2);
      CHECK(images[0].type == "png");
      CHECK(same(images[0].decoded.image, before));
      CHECK(same(images[1].decoded.image, after));
      CHECK(count(html, "JPEG of quality") == 0);
    }
  }
}

TEST_CASE("samples of 16 bits, floats and transparent pixels become what a screen shows") {
  ComparisonPage page;
  auto gray = Image::create(2, 1, 1, SampleType::f32).value();
  gray.samples<float>()[0] = -3.0f;
  gray.samples<float>()[1] = 0.5f;
  auto deep = Image::create(2, 1, 4, SampleType::u16).value();
  std::uint16_t const values[] = {257, 514, 65535, 65535, 0, 0, 65535, 32768};
  std::copy(std::begin(values), std::end(values), deep.samples<std::uint16_t>().begin());
  REQUIRE(page.add("a", one("", std::move(gray), std::move(deep)), {}).ok());
  auto const images = images_of(page.html());
  REQUIRE(images.size() == 2);
  auto const before = images[0].decoded.image.samples<std::uint8_t>();
  CHECK(images[0].decoded.image.channels() == 1);
  CHECK((before[0] == 0 && before[1] == 128));
  auto const after = images[1].decoded.image.samples<std::uint8_t>();
  CHECK(images[1].decoded.image.channels() == 3);
  CHECK((after[0] == 1 && after[1] == 2 && after[2] == 255));
  CHECK((after[3] == 127 && after[4] == 127 && after[5] == 255));
}

TEST_CASE("larger images are JPEGs or reduced, and the page says so") {
  cli::ComparisonPageOptions options;
  options.lossless_pixels = 600;
  options.largest_pixels = 1500;
  ComparisonPage page(options);
  auto const add = [&](Index width, Index height) {
    CHECK(page.add("a",
                   one("all of it", noise(width, height, 3, SampleType::u8), noise(width, height, 3, SampleType::u8)),
                   {})
              .ok());
  };
  add(30, 20);
  add(30, 21);
  add(50, 30);
  add(51, 30);
  add(101, 60);
  auto const html = page.html();
  auto const images = images_of(html);
  REQUIRE(images.size() == 10);
  struct Expected {
    char const* type;
    Index width, height;
  };
  Expected const expected[] = {{"png", 30, 20}, {"jpeg", 30, 21}, {"jpeg", 50, 30}, {"png", 26, 15}, {"png", 34, 20}};
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    for (auto const* image : {&images[2 * i], &images[2 * i + 1]}) {
      CHECK(image->type == (i == 4 ? "jpeg" : expected[i].type));
      CHECK(image->decoded.image.width() == expected[i].width);
      CHECK(image->decoded.image.height() == expected[i].height);
    }
  }
  CHECK(count(html, "<figcaption>all of it</figcaption>") == 1);
  CHECK(count(html, "<figcaption>all of it; shown as JPEG of quality 95</figcaption>") == 2);
  CHECK(count(html, "<figcaption>all of it; reduced to 1/2 of 51 x 30</figcaption>") == 1);
  CHECK(count(html, "<figcaption>all of it; reduced to 1/3 of 101 x 60, shown as JPEG of quality 95</figcaption>") ==
        1);
}

TEST_CASE("reduced pixels are means, at the border as well") {
  cli::ComparisonPageOptions options;
  options.largest_pixels = 4;
  ComparisonPage page(options);
  auto const image = [] {
    auto result = Image::create(3, 3, 1, SampleType::u8).value();
    std::uint8_t const values[] = {10, 20, 90, 30, 40, 110, 5, 15, 77};
    std::copy(std::begin(values), std::end(values), result.samples<std::uint8_t>().begin());
    return result;
  };
  REQUIRE(page.add("a", one("", image(), image()), {}).ok());
  auto const images = images_of(page.html());
  REQUIRE(images.size() == 2);
  auto const reduced = images[0].decoded.image.samples<std::uint8_t>();
  CHECK(std::vector<int>(reduced.begin(), reduced.end()) == std::vector<int>{25, 100, 10, 77});
}

TEST_CASE("names cannot break the page") {
  ComparisonPage page;
  std::string const name = "</bdi></section><script>alert(1)</script>&amp;\"'\xFF\xC3(\n\x7F" + std::string(1, '\0');
  REQUIRE(
      page.add(name, one(name, noise(4, 4, 1, SampleType::u8), noise(4, 4, 1, SampleType::u8)), {{name, name}}).ok());
  auto const html = page.html();
  std::string const shown =
      "&lt;/bdi&gt;&lt;/section&gt;&lt;script&gt;alert(1)&lt;/"
      "script&gt;&amp;amp;&quot;&#39;\uFFFD\uFFFD(\u240A\u2421\u2400";
  CHECK(count(html, shown) == 6);  // heading, caption, what stands for each image, name and value of the fact
  CHECK(count(html, "<script>") == 1);
  CHECK(count(html, "\xFF") == 0);
  CHECK(html.find('\0') == html.npos);
}

TEST_CASE("the page has its pictures in order, and nothing of a picture that failed") {
  ComparisonPage page;
  CHECK(images_of(page.html()).empty());
  CHECK(count(page.html(), "0 pictures</p>") == 1);
  REQUIRE(page.add("first", one("", noise(4, 4, 3, SampleType::u8), noise(4, 4, 3, SampleType::u8)), {}).ok());
  CHECK(count(page.html(), "1 picture</p>") == 1);
  auto const bytes = page.bytes();
  auto wrong = one("", noise(4, 4, 3, SampleType::u8), noise(4, 4, 3, SampleType::u8));
  wrong.push_back({"", noise(4, 4, 3, SampleType::u8), noise(4, 5, 3, SampleType::u8)});
  auto const failed = page.add("second", wrong, {});
  REQUIRE(!failed.ok());
  CHECK(failed.error().code() == mirnet::ErrorCode::invalid_argument);
  CHECK(failed.error().message() ==
        std::string("a comparison of images of 4 x 4 and 4 x 5 pixels; expected two of one size"));
  CHECK(page.bytes() == bytes);
  REQUIRE(page.add("third", {}, {{"state", "skipped"}}).ok());
  CHECK(page.pictures() == 2);
  auto const html = page.html();
  CHECK(html.find("id=\"picture-1\"") < html.find("first"));
  CHECK(html.find("first") < html.find("id=\"picture-2\""));
  CHECK(html.find("id=\"picture-2\"") < html.find("third"));
  CHECK(count(html, "second") == 0);
  CHECK(count(html, "<tr><th scope=\"row\">state</th><td>skipped</td></tr>") == 1);
  CHECK(count(html, " goes here") == 0);
  CHECK(count(html, " go here") == 0);
}

TEST_CASE("a page that would be too large leaves images out and says so") {
  cli::ComparisonPageOptions options;
  options.most_bytes = std::size_t{1} << 19;
  ComparisonPage page(options);
  std::vector<Comparison> crops;
  for (int i = 0; i < 3; ++i)
    crops.push_back({"", noise(250, 250, 3, SampleType::u8), noise(250, 250, 3, SampleType::u8)});
  REQUIRE(page.add("a", crops, {{"time", "1 s"}}).ok());
  REQUIRE(page.add("b", std::span(crops).first(1), {{"time", "2 s"}}).ok());
  auto const html = page.html();
  CHECK(images_of(html).size() == 2);
  CHECK(count(html, "2 of 3 comparisons are left out: the page would have more than 0.5 MiB.<") == 1);
  CHECK(count(html, "1 of 1 comparisons is left out") == 1);
  CHECK(count(html, "<td>2 s</td>") == 1);
}

TEST_CASE("colours are those of the picture's profile, and nothing else of its metadata is in the page") {
  cli::Metadata metadata;
  metadata.colour.gamma = 100000;
  metadata.exif.assign(100, std::byte{7});
  metadata.xmp = samples::bytes_of("<x:xmpmeta/>");
  ComparisonPage page;
  REQUIRE(page.add("a", one("", noise(4, 4, 3, SampleType::u8), noise(4, 4, 3, SampleType::u8)), {}, metadata).ok());
  for (auto const& image : images_of(page.html())) {
    CHECK(image.decoded.metadata.colour.gamma == 100000);
    CHECK(image.decoded.metadata.exif.empty());
    CHECK(image.decoded.metadata.xmp.empty());
  }
}

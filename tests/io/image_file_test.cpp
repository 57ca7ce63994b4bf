// Image files of all formats: what is written is read back, and what is damaged is refused.
#include <doctest/doctest.h>

#if !defined(_WIN32)
#include <sys/stat.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <string>

#include <mirnet/io/image_file.hpp>

#include "pictures.hpp"
#include "support/failing_heap.hpp"
#include "support/folder.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;
using pictures::File;
using pictures::file_of;
using test::Folder;

namespace {

template <class T>
void put_little(File& file, std::size_t at, T value) {
  store_little(file.data() + at, value);
}
template <class T>
void put_big(File& file, std::size_t at, T value) {
  store_big(file.data() + at, value);
}

void append(File& file, std::span<std::byte const> bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); }

void append_chunk(File& png, std::string_view type, std::span<std::byte const> data) {
  File chunk(4);
  put_big(chunk, 0, static_cast<std::uint32_t>(data.size()));
  append(chunk, std::as_bytes(std::span(type)));
  append(chunk, data);
  chunk.resize(chunk.size() + 4);
  put_big(chunk, chunk.size() - 4, detail::crc32(std::span(chunk).subspan(4, chunk.size() - 8)));
  append(png, chunk);
}

/// A PNG whose pixel data, filter bytes included, is given and stored without compression.
File make_png(std::uint32_t width, std::uint32_t height, int bits, int colour_type, std::span<std::byte const> rows) {
  File header(13);
  put_big(header, 0, width);
  put_big(header, 4, height);
  header[8] = static_cast<std::byte>(bits);
  header[9] = static_cast<std::byte>(colour_type);
  File stream(7);
  put_big(stream, 0, std::uint16_t{0x7801});
  stream[2] = std::byte{1};
  put_little(stream, 3, static_cast<std::uint16_t>(rows.size()));
  put_little(stream, 5, static_cast<std::uint16_t>(~rows.size()));
  append(stream, rows);
  std::uint32_t a = 1, b = 0;
  for (auto const byte : rows) {
    a = (a + std::to_integer<std::uint32_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  stream.resize(stream.size() + 4);
  put_big(stream, stream.size() - 4, b << 16 | a);
  File png = file_of("\x89PNG\r\n\x1A\n");
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", stream);
  append_chunk(png, "IEND", {});
  return png;
}

/// A 16-bit PNG of an image.
File make_deep_png(Image const& image) {
  static constexpr int colour_types[] = {0, 4, 2, 6};
  File rows;
  auto const samples = image.samples<std::uint16_t>();
  auto const row = static_cast<std::size_t>(image.width() * image.channels());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (i % row == 0) rows.push_back(std::byte{0});
    rows.resize(rows.size() + 2);
    put_big(rows, rows.size() - 2, samples[i]);
  }
  return make_png(static_cast<std::uint32_t>(image.width()), static_cast<std::uint32_t>(image.height()), 16,
                  colour_types[image.channels() - 1], rows);
}

/// A TGA of 8-bit samples, rows from top to bottom; with run lengths every row is one packet of literal pixels, and a
/// last packet repeats nothing.
File make_tga(Image const& image, bool run_lengths) {
  File tga(18);
  tga[2] = static_cast<std::byte>((image.colours() == 1 ? 3 : 2) + (run_lengths ? 8 : 0));
  put_little(tga, 12, static_cast<std::uint16_t>(image.width()));
  put_little(tga, 14, static_cast<std::uint16_t>(image.height()));
  tga[16] = static_cast<std::byte>(8 * image.channels());
  tga[17] = std::byte{0x20};
  auto const samples = image.bytes();
  for (Index i = 0; i < image.pixels(); ++i) {
    if (run_lengths && i % image.width() == 0) tga.push_back(static_cast<std::byte>(image.width() - 1));
    auto pixel = file_of(
        samples.subspan(static_cast<std::size_t>(i * image.channels()), static_cast<std::size_t>(image.channels())));
    if (pixel.size() >= 3) std::swap(pixel[0], pixel[2]);
    append(tga, pixel);
  }
  return tga;
}

File encoded(Image const& image, OutputFormat format) { return file_of(encode_image(image, format, "test")); }

Result<Image> decode(File const& file, ReadOptions const& options = {}) { return decode_image(file, "test", options); }

std::string refusal(File const& file, ReadOptions const& options = {}) {
  auto const image = decode(file, options);
  REQUIRE(!image.ok());
  CHECK(image.error().code() == ErrorCode::input);
  return image.error().message();
}

bool says(std::string const& sentence, std::string_view part) {
  INFO(sentence);
  bool const found = sentence.find(part) != std::string::npos;
  CHECK_MESSAGE(found, sentence, " does not say: ", std::string(part));
  return found;
}

struct Sample {
  char const* name;
  File file;
};

/// A small good file of every kind that is read.
std::vector<Sample> good_files() {
  auto const colour = draw(9, 5, 3);
  auto const gray = draw(9, 5, 1);
  std::vector<Sample> files;
  files.push_back({"png", encoded(colour, OutputFormat::png)});
  files.push_back({"png alpha", encoded(draw(9, 5, 4), OutputFormat::png)});
  files.push_back({"png 16", make_deep_png(draw(9, 5, 3, SampleType::u16))});
  files.push_back({"jpeg", encoded(colour, OutputFormat::jpeg)});
  files.push_back({"bmp", encoded(colour, OutputFormat::bmp)});
  files.push_back({"tga", make_tga(colour, false)});
  files.push_back({"tga gray", make_tga(gray, false)});
  files.push_back({"tga run lengths", make_tga(colour, true)});
  files.push_back({"pgm", encoded(gray, OutputFormat::pgm)});
  files.push_back({"ppm 16", encoded(draw(9, 5, 3, SampleType::u16), OutputFormat::ppm)});
  files.push_back({"pam", encoded(draw(9, 5, 4), OutputFormat::pam)});
  files.push_back({"pfm", encoded(draw(9, 5, 3, SampleType::f32), OutputFormat::pfm)});
  return files;
}

/// Where the frame header of a baseline JPEG starts.
std::size_t jpeg_frame(File const& jpeg) {
  auto const marker = file_of("\xFF\xC0");
  return static_cast<std::size_t>(std::search(jpeg.begin(), jpeg.end(), marker.begin(), marker.end()) - jpeg.begin());
}

}  // namespace

TEST_CASE("lossless formats give back what was written") {
  for (Index const channels : {1, 2, 3, 4}) {
    CAPTURE(channels);
    auto const image = draw(9, 5, channels);
    CHECK(equal(decode(encoded(image, OutputFormat::png)).value(), image));
    auto const deep = draw(9, 5, channels, SampleType::u16);
    CHECK(equal(decode(make_deep_png(deep)).value(), deep));
    if (channels == 2) continue;
    CHECK(equal(decode(make_tga(image, false)).value(), image));
    CHECK(equal(decode(make_tga(image, true)).value(), image));
  }
  auto const image = draw(9, 5, 3);
  CHECK(equal(decode(encoded(image, OutputFormat::bmp)).value(), image));
  CHECK(equal(decode(encoded(image, OutputFormat::ppm)).value(), image));
  CHECK(equal(decode(encoded(image, OutputFormat::pnm)).value(), image));
  for (Index const channels : {1, 2, 3, 4}) {
    auto const deep = draw(9, 5, channels, SampleType::u16);
    CHECK(equal(decode(encoded(deep, OutputFormat::pam)).value(), deep));
  }
}

TEST_CASE("a JPEG comes back close to what was written") {
  auto image = Image::create(16, 16, 3, SampleType::u8).value();
  std::ranges::fill(image.bytes(), std::byte{100});
  auto const back = decode(encoded(image, OutputFormat::jpeg)).value();
  for (auto const sample : back.samples<std::uint8_t>()) CHECK(std::abs(sample - 100) <= 1);
}

TEST_CASE("samples of more than 8 bits are rounded where the format holds 8") {
  CHECK(equal(decode(encoded(draw(9, 5, 3, SampleType::u16), OutputFormat::png)).value(), draw(9, 5, 3)));
  CHECK(equal(decode(encoded(draw(9, 5, 3, SampleType::f32), OutputFormat::bmp)).value(), draw(9, 5, 3)));
}

TEST_CASE("every truncated file is refused") {
  for (auto const& sample : good_files()) {
    auto const& file = sample.file;
    CAPTURE(sample.name);
    REQUIRE(decode(file).ok());
    for (std::size_t length = 0; length < file.size(); ++length) {
      CAPTURE(length);
      CHECK_FALSE(decode(File(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length))).ok());
    }
  }
}

TEST_CASE("a PNG with any bit changed is refused") {
  auto const file = encoded(draw(9, 5, 3), OutputFormat::png);
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    auto changed = file;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    CAPTURE(bit);
    CHECK_FALSE(decode(changed).ok());
  }
}

TEST_CASE("a PNG with too little pixel data is refused although its checksums match") {
  File const rows(5 * 28);
  REQUIRE(decode(make_png(9, 5, 8, 2, rows)).ok());
  CHECK(says(refusal(make_png(9, 5, 8, 2, std::span(rows).first(rows.size() - 1))), "damaged"));
}

// A decoder must not crash on anything. These files are small, so that the limit on pixels keeps every attempt short.
TEST_CASE("changed bytes are decoded or refused and nothing else") {
  std::uint32_t state = 1;
  auto const random = [&](std::size_t below) {
    state = state * 1664525u + 1013904223u;
    return static_cast<std::size_t>(state >> 8) % below;
  };
  for (auto const& sample : good_files()) {
    CAPTURE(sample.name);
    for (int attempt = 0; attempt < 400; ++attempt) {
      auto changed = sample.file;
      for (auto changes = 1 + random(4); changes > 0; --changes) {
        changed[random(changed.size())] = static_cast<std::byte>(random(256));
      }
      auto const image = decode(changed, {.max_pixels = 10000});
      if (image) CHECK(image->pixels() <= 10000);
    }
  }
}

TEST_CASE("sizes of zero and sizes beyond the limit are refused before anything is decoded") {
  auto bmp = encoded(draw(9, 5, 3), OutputFormat::bmp);
  put_little(bmp, 18, 0u);
  CHECK(says(refusal(bmp), "the BMP header says 0 x 5 pixels"));
  put_little(bmp, 18, 1u << 30);
  put_little(bmp, 22, 1u << 30);
  CHECK(says(refusal(bmp), "1073741824 x 1073741824 pixels, and the limit is 500000000 pixels in all"));
  put_little(bmp, 22, 1u << 31);  // the most rows from top to bottom
  CHECK(says(refusal(bmp), "1073741824 x 2147483648 pixels, and the limit"));

  auto tga = make_tga(draw(9, 5, 3), false);
  put_little(tga, 14, std::uint16_t{0});
  CHECK(says(refusal(tga), "the TGA header says 9 x 0 pixels"));
  put_little(tga, 12, std::uint16_t{65535});
  put_little(tga, 14, std::uint16_t{65535});
  CHECK(says(refusal(tga), "65535 x 65535 pixels, and the limit"));

  CHECK(says(refusal(make_png(0, 5, 8, 2, {})), "the PNG header says 0 x 5 pixels"));
  CHECK(says(refusal(make_png(0xFFFFFFFF, 1, 8, 2, {})), "the PNG header says 4294967295 x 1 pixels, and the limit"));
  CHECK(says(refusal(make_png(0xFFFFFFFF, 0xFFFFFFFF, 8, 2, {})), "4294967295 x 4294967295 pixels, and the limit"));
  CHECK(says(refusal(make_png(100000, 100000, 8, 2, {})), "the limit is 500000000 pixels in all"));

  auto jpeg = encoded(draw(9, 5, 3), OutputFormat::jpeg);
  auto const frame = jpeg_frame(jpeg);
  put_big(jpeg, frame + 5, std::uint16_t{0});
  CHECK(says(refusal(jpeg), "the JPEG header says 9 x 0 pixels"));
  put_big(jpeg, frame + 5, std::uint16_t{65535});
  put_big(jpeg, frame + 7, std::uint16_t{65535});
  CHECK(says(refusal(jpeg), "65535 x 65535 pixels, and the limit"));

  CHECK(says(refusal(encoded(draw(9, 5, 3), OutputFormat::png), {.max_pixels = 44}), "the limit is 44 pixels"));
  CHECK(decode(encoded(draw(9, 5, 3), OutputFormat::png), {.max_pixels = 45}).ok());
}

TEST_CASE("kinds of files that stb_image would decode wrongly, or not at all, are named") {
  auto jpeg = encoded(draw(9, 5, 3), OutputFormat::jpeg);
  auto const frame = jpeg_frame(jpeg);
  auto const changed = [](File file, std::size_t at, int value) {
    file[at] = static_cast<std::byte>(value);
    return file;
  };
  CHECK(says(refusal(changed(jpeg, frame + 9, 4)), "a CMYK JPEG; convert it to RGB first"));
  CHECK(says(refusal(changed(jpeg, frame + 9, 2)), "2 components; expected 1 or 3"));
  CHECK(says(refusal(changed(jpeg, frame + 4, 12)), "12 bits a sample; expected 8"));
  CHECK(says(refusal(changed(jpeg, frame + 1, 0xC3)), "a JPEG of kind 3"));
  CHECK(says(refusal(file_of("\xFF\xD8\xFF\xD9")), "before its frame header"));
  CHECK(says(refusal(changed(changed(jpeg, frame + 11, 0x31), frame + 14, 0x21)),
             "resolutions that do not fit together"));
  auto const tables = static_cast<std::size_t>(std::ranges::find(jpeg, std::byte{0xC4}) - jpeg.begin());
  REQUIRE(jpeg[tables - 1] == std::byte{0xFF});
  CHECK(says(refusal(changed(jpeg, tables + 10, 255)), "a Huffman table is unsound"));  // stb_image would overrun
  CHECK(says(refusal(changed(jpeg, tables, 0xFE)), "a scan needs a table that is not defined"));
}

TEST_CASE("what is no image is called that") {
  for (auto const* text : {"", "x", "GIF89a......", "hello, world", "P", "PX 1 1", "P5x", "RIFF....WEBP", "BN",
                           "P7 332\n1 1 255\na", "P8"}) {
    CHECK(says(refusal(file_of(text)), "not an image of a known format; expected PNG, JPEG"));
  }
  CHECK(says(refusal(File(1000)), "not an image of a known format"));
}

TEST_CASE("the extension chooses the format") {
  CHECK(*output_format("a/b.PNG") == OutputFormat::png);
  CHECK(*output_format("b.jpeg") == OutputFormat::jpeg);
  CHECK(*output_format("b.JpG") == OutputFormat::jpeg);
  CHECK(*output_format("b.pam") == OutputFormat::pam);
  for (auto const* path : {"b", "b.tga", "b.png ", "png", ".", "", "b.gif", "b.png/"}) {
    CAPTURE(path);
    CHECK(output_format(path).error().code() == ErrorCode::output);
  }
}

TEST_CASE("what a format cannot hold is refused") {
  auto const refused = [](Image const& image, OutputFormat format, char const* part) {
    auto const file = encode_image(image, format, "test");
    REQUIRE(!file.ok());
    CHECK(file.error().code() == ErrorCode::output);
    return says(file.error().message(), part);
  };
  for (auto const format :
       {OutputFormat::jpeg, OutputFormat::bmp, OutputFormat::pnm, OutputFormat::ppm, OutputFormat::pfm}) {
    CHECK(refused(draw(4, 4, 4), format, "alpha channel, which this format does not hold; write a PNG or a PAM"));
  }
  CHECK(refused(draw(4, 4, 2), OutputFormat::pgm, "alpha"));
  CHECK(refused(draw(4, 4, 3), OutputFormat::pgm, "a PGM does not hold; write a PPM"));
  CHECK(refused(draw(65536, 1, 3), OutputFormat::jpeg, "65536 x 1 pixels"));
}

TEST_CASE("files are written whole or not at all, and replaced only where that is asked for") {
  Folder const folder;
  auto const path = folder / "picture.png";
  auto const first = draw(9, 5, 3), second = draw(5, 9, 3);
  REQUIRE(write_image(path.c_str(), first).ok());
  CHECK(equal(read_image(path.c_str()).value(), first));

  auto const refused = write_image(path.c_str(), second);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code() == ErrorCode::output);
  CHECK(says(refused.error().message(), "exists already"));
  CHECK(equal(read_image(path.c_str()).value(), first));

  CHECK(write_image(path.c_str(), second, {.overwrite = true}).ok());
  CHECK(equal(read_image(path.c_str()).value(), second));
  CHECK(folder.files() == 1);
}

TEST_CASE("a file that appears while another is written stays as it is") {
  Folder const folder;
  auto const path = folder / "picture";
  auto const bytes = file_of("later");
  auto temporary = detail::TemporaryFile::create(path.c_str());
  REQUIRE(temporary.ok());
  REQUIRE(temporary->write(bytes));
  REQUIRE(write_file(path.c_str(), file_of("earlier"), false).ok());
  CHECK_FALSE(temporary->publish(path.c_str(), false));
  CHECK(std::ranges::equal(read_file(path.c_str()).value().bytes(), file_of("earlier")));
  CHECK(temporary->publish(path.c_str(), true));
  CHECK(std::ranges::equal(read_file(path.c_str()).value().bytes(), bytes));
  CHECK(folder.files() == 1);
}

#if !defined(_WIN32)  // which has no such files
TEST_CASE("only regular files are read and replaced") {
  Folder const folder;
  auto const pipe = folder / "pipe", missing = folder / "missing";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (auto const& [path, part] :
       {std::pair<std::string, char const*>{folder.path.string(), "is a folder; expected a regular file"},
        {pipe, "is a pipe; expected a regular file"},
        {"/dev/null", "is a device; expected a regular file"},
        {missing, "cannot be opened: No such file"}}) {
    auto const file = read_file(path.c_str());
    REQUIRE(!file.ok());
    CHECK(file.error().code() == ErrorCode::input);
    CHECK(says(file.error().message(), part));
    if (path == missing) continue;
    auto const written = write_file(path.c_str(), {}, true);
    REQUIRE(!written.ok());
    CHECK(written.error().code() == ErrorCode::output);
    CHECK(says(written.error().message(), part));
  }
  auto const written = write_file((missing + "/file").c_str(), {}, false);
  REQUIRE(!written.ok());
  CHECK(says(written.error().message(), "nothing can be created in its folder: No such file"));
  CHECK(folder.files() == 1);
}
#endif

TEST_CASE("no memory: files of every format are decoded and encoded") {
  auto files = good_files();
  // Large enough for the compressors' buffers to grow.
  auto const image = draw(24, 18, 3, SampleType::u8, pictures::noisy_pattern);
  auto const same_bytes = [](auto const& a, auto const& b) { return std::ranges::equal(a->bytes(), b->bytes()); };
  for (auto const format : {OutputFormat::png, OutputFormat::jpeg, OutputFormat::bmp, OutputFormat::ppm,
                            OutputFormat::pam, OutputFormat::pfm}) {
    files.push_back({"large", encoded(image, format)});
    test::fail_each_request(
        "format " + std::to_string(static_cast<int>(format)), [&] { return encode_image(image, format, "test"); },
        same_bytes);
  }
  auto const deep = draw(9, 5, 3, SampleType::u16);
  test::fail_each_request(
      "16 bits to 8", [&] { return encode_image(deep, OutputFormat::png, "test"); }, same_bytes);
  for (auto const& sample : files) {
    test::fail_each_request(
        sample.name, [&] { return decode(sample.file); }, [](auto const& a, auto const& b) { return equal(*a, *b); });
  }
}

// BMP of all kinds that programs have written, from memory: what each is read as.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>

#include <mirnet/io/read_bmp.hpp>

#include "pictures.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;
using pictures::File;

namespace {

/// The parts of a BMP, put together by file().
struct Bmp {
  std::size_t header_bytes = 40;
  int width = 2, height = 2;
  int bits = 24;
  std::uint32_t compression = 0, colours = 0;
  std::vector<std::uint32_t> masks{};    ///< in the header where it has room, else behind it
  std::vector<std::uint32_t> palette{};  ///< 0xRRGGBB
  std::vector<int> pixels{};             ///< bytes
  std::size_t gap = 0;                   ///< before the pixels

  File file() const {
    File header(header_bytes);
    auto const put = [&](std::size_t at, auto value) {
      if (at + sizeof value <= header_bytes) store_little(header.data() + at, value);
    };
    put(0, static_cast<std::uint32_t>(header_bytes));
    if (header_bytes == 12) {
      put(4, static_cast<std::uint16_t>(width));
      put(6, static_cast<std::uint16_t>(height));
      put(8, std::uint16_t{1});
      put(10, static_cast<std::uint16_t>(bits));
    } else {
      put(4, static_cast<std::uint32_t>(width));
      put(8, static_cast<std::uint32_t>(height));
      put(12, std::uint16_t{1});
      put(14, static_cast<std::uint16_t>(bits));
      put(16, compression);
      put(32, colours);
    }
    for (std::size_t i = 0; i < masks.size(); ++i) {
      if (header_bytes == 40) header.resize(40 + 4 * masks.size());
      store_little(header.data() + 40 + 4 * i, masks[i]);
    }
    File file(14 + header.size());
    file[0] = std::byte{'B'}, file[1] = std::byte{'M'};
    std::copy(header.begin(), header.end(), file.begin() + 14);
    for (auto const colour : palette) {
      for (int shift : {0, 8, 16}) file.push_back(static_cast<std::byte>(colour >> shift));
      if (header_bytes != 12) file.push_back(std::byte{0});
    }
    file.resize(file.size() + gap, std::byte{'g'});
    store_little(file.data() + 10, static_cast<std::uint32_t>(file.size()));
    for (int const byte : pixels) file.push_back(static_cast<std::byte>(byte));
    return file;
  }
};

Result<Image> decode(File const& file, ReadOptions const& options = {}) { return decode_bmp(file, "test", options); }
Result<Image> decode(Bmp const& bmp) { return decode(bmp.file()); }

std::string refusal(File const& file) {
  auto const image = decode(file);
  REQUIRE(!image.ok());
  CHECK(image.error().code() == ErrorCode::input);
  return image.error().message();
}
std::string refusal(Bmp const& bmp) { return refusal(bmp.file()); }

bool says(std::string const& sentence, std::string_view part) {
  CHECK_MESSAGE(sentence.find(part) != std::string::npos, sentence, " does not say: ", std::string(part));
  return sentence.find(part) != std::string::npos;
}

/// Whether an image has these channels and samples.
template <class T = std::uint8_t>
bool is(Result<Image> const& image, Index channels, std::initializer_list<int> samples) {
  if (!image) MESSAGE(image.error().message());
  if (!image || image->channels() != channels || image->type() != sample_type<T>()) return false;
  auto const found = image->samples<T>();
  for (auto const sample : found) INFO(static_cast<int>(sample));
  return std::equal(found.begin(), found.end(), samples.begin(), samples.end());
}

// Rows from bottom to top: blue, white; red, green.
std::vector<int> const pixels24 = {255, 0, 0, 255, 255, 255, 0, 0, 0, 0, 255, 0, 255, 0, 0, 0};
std::initializer_list<int> const colours = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
std::vector<std::uint32_t> const bgra = {0xFF0000, 0xFF00, 0xFF, 0xFF000000};

}  // namespace

TEST_CASE("BMP headers of every length are read") {
  for (auto const header :
       std::initializer_list<std::size_t>{12, 16, 20, 24, 36, 40, 42, 46, 48, 52, 56, 60, 64, 108, 124}) {
    CAPTURE(header);
    CHECK(is(decode(Bmp{.header_bytes = header, .pixels = pixels24}), 3, colours));
    Bmp const indexed{.header_bytes = header,
                      .bits = 4,
                      .palette = {0, 0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                      .pixels = {0x34, 0, 0, 0, 0x12, 0, 0, 0}};
    CHECK(is(decode(indexed), 3, colours));
  }
  for (auto const header : std::initializer_list<std::size_t>{0, 11, 13, 15, 65, 80, 107, 109, 125}) {
    File file = Bmp{.pixels = pixels24}.file();
    store_little(file.data() + 14, static_cast<std::uint32_t>(header));
    CHECK(
        says(refusal(file), "a BMP header of " + std::to_string(header) + " bytes; expected 12, 16 to 64, 108 or 124"));
  }
}

TEST_CASE("a palette, or anything else, before pixels that need none is passed over") {
  CHECK(is(decode(Bmp{.colours = 3, .palette = {1, 2, 3}, .pixels = pixels24}), 3, colours));
  CHECK(is(decode(Bmp{.colours = 1000000, .palette = {1, 2, 3}, .pixels = pixels24}), 3, colours));
  CHECK(is(decode(Bmp{.pixels = pixels24, .gap = 5}), 3, colours));
  Bmp const with_fourth_byte{.height = 1, .bits = 32, .palette = {7}, .pixels = {3, 2, 1, 0, 6, 5, 4, 99}};
  CHECK(is(decode(with_fourth_byte), 3, {1, 2, 3, 4, 5, 6}));  // which is no alpha
}

TEST_CASE("rows from top to bottom") {
  CHECK(is(decode(Bmp{.height = -2, .pixels = pixels24}), 3, {0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 0}));
}

TEST_CASE("palettes of 1, 2, 4 and 8 bits; grays stay gray") {
  Bmp bmp{.width = 9, .height = 1, .bits = 1, .palette = {0x000000, 0xFFFFFF}, .pixels = {0xA5, 0x80, 0, 0}};
  CHECK(is(decode(bmp), 1, {255, 0, 255, 0, 0, 255, 0, 255, 255}));
  bmp.palette = {0xFFFFFF, 0x000000};
  CHECK(is(decode(bmp), 1, {0, 255, 0, 255, 255, 0, 255, 0, 0}));
  bmp = {.width = 5, .height = 1, .bits = 2, .palette = {0, 1, 2, 3}, .pixels = {0x1B, 0xC0, 0, 0}};
  CHECK(is(decode(bmp), 3, {0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 3}));
  bmp = {.width = 3, .height = 1, .bits = 8, .colours = 2, .palette = {0x102030, 0x405060}, .pixels = {1, 0, 1, 0}};
  CHECK(is(decode(bmp), 3, {0x40, 0x50, 0x60, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60}));
  bmp.pixels[1] = 2;
  CHECK(says(refusal(bmp), "a pixel has colour number 2, and the file has 2 colours from number 0 on"));
  bmp = {.header_bytes = 12, .width = 1, .height = 1, .bits = 8, .palette = {5, 6}, .pixels = {1, 0, 0, 0}};
  CHECK(is(decode(bmp), 3, {0, 0, 6}));  // OS/2 says no number of colours: there are as many as have room
  bmp.palette.clear();
  CHECK(says(refusal(bmp), "damaged BMP file"));
}

TEST_CASE("pixels that start nowhere, or at the palette, start behind the palette") {
  Bmp const bmp{.width = 1, .height = 1, .bits = 8, .colours = 2, .palette = {5, 6}, .pixels = {1, 0, 0, 0}};
  for (std::uint32_t const start : {0u, 54u}) {
    auto file = bmp.file();
    store_little(file.data() + 10, start);
    CHECK(is(decode(file), 3, {0, 0, 6}));
  }
  auto file = Bmp{.pixels = pixels24}.file();
  store_little(file.data() + 10, 20u);
  CHECK(says(refusal(file), "its pixels start at byte 20 of 70"));
  store_little(file.data() + 10, 71u);
  CHECK(says(refusal(file), "its pixels start at byte 71 of 70"));
}

TEST_CASE("16 bits without and with masks") {
  Bmp bmp{.height = 1, .bits = 16, .pixels = {0xFF, 0x7F, 0x10, 0x82}};
  CHECK(is(decode(bmp), 3, {255, 255, 255, 0, 132, 132}));  // 16 * 255 / 31 is 131.6
  bmp.compression = 3;
  bmp.masks = {0xF800, 0x7E0, 0x1F};
  CHECK(is(decode(bmp), 3, {123, 255, 255, 132, 65, 132}));
  for (auto const header : std::initializer_list<std::size_t>{52, 64}) {
    bmp.header_bytes = header;
    CHECK(is(decode(bmp), 3, {123, 255, 255, 132, 65, 132}));
  }
  bmp.header_bytes = 56;
  bmp.masks = {0x7C00, 0x3E0, 0x1F, 0x8000};
  CHECK(is(decode(bmp), 4, {255, 255, 255, 0, 0, 132, 132, 255}));
  bmp.masks = {0x1, 0, 0, 0};
  CHECK(is(decode(bmp), 3, {255, 0, 0, 0, 0, 0}));
}

TEST_CASE("32 bits with masks, with and without alpha") {
  Bmp bmp{
      .height = 1, .bits = 32, .compression = 3, .masks = {0xFF, 0xFF00, 0xFF0000}, .pixels = {1, 2, 3, 4, 5, 6, 7, 8}};
  CHECK(is(decode(bmp), 3, {1, 2, 3, 5, 6, 7}));
  bmp.compression = 6;
  bmp.masks.push_back(0xFF000000);
  CHECK(is(decode(bmp), 4, {1, 2, 3, 4, 5, 6, 7, 8}));
  for (auto const header : std::initializer_list<std::size_t>{56, 108, 124}) {
    bmp = {.header_bytes = header,
           .height = 1,
           .bits = 32,
           .compression = 3,
           .masks = bgra,
           .pixels = {1, 2, 3, 4, 5, 6, 7, 0}};
    CHECK(is(decode(bmp), 4, {3, 2, 1, 4, 7, 6, 5, 0}));
    bmp.pixels[3] = 0;
    CHECK(is(decode(bmp), 3, {3, 2, 1, 7, 6, 5}));  // no alpha at all means an opaque picture
    bmp.pixels[3] = 4;
    bmp.masks = {0, 0, 0, 0};
    CHECK(is(decode(bmp), 4, {3, 2, 1, 4, 7, 6, 5, 0}));
  }
}

TEST_CASE("masks of more than 8 bits give 16 bits a sample") {
  Bmp bmp{.width = 1,
          .height = 1,
          .bits = 32,
          .compression = 3,
          .masks = {0x3FF00000, 0xFFC00, 0x3FF},
          .pixels = {0, 2, 0xF0, 0x3F}};
  CHECK(is<std::uint16_t>(decode(bmp), 3, {65535, 0, 32800}));
  bmp.masks = {0xFFFFFFFF, 0, 0};
  bmp.pixels = {255, 255, 255, 255};
  CHECK(is<std::uint16_t>(decode(bmp), 3, {65535, 0, 0}));
}

TEST_CASE("masks with gaps are refused") {
  Bmp bmp{
      .width = 1, .height = 1, .bits = 32, .compression = 3, .masks = {0x5, 0xFF00, 0xFF0000}, .pixels = {0, 0, 0, 0}};
  CHECK(says(refusal(bmp), "the mask 00000005 for 32 bits a pixel; expected bits side by side"));
  bmp.masks[0] = 0x18000;
  bmp.bits = 16;
  CHECK(says(refusal(bmp), "the mask 00018000 for 16 bits"));
}

TEST_CASE("RLE8 and RLE4") {
  std::vector<std::uint32_t> palette(256);
  for (std::uint32_t i = 0; i < 256; ++i) palette[i] = i * 0x010101;
  Bmp bmp{.width = 5, .height = 2, .bits = 8, .compression = 1, .palette = palette};
  bmp.pixels = {3, 7, 2, 9, 0, 0, 0, 3, 1, 2, 3, 0, 2, 4, 0, 0, 0, 1};
  CHECK(is(decode(bmp), 1, {1, 2, 3, 4, 4, 7, 7, 7, 9, 9}));
  bmp.height = -2;
  CHECK(is(decode(bmp), 1, {7, 7, 7, 9, 9, 1, 2, 3, 4, 4}));
  bmp.height = 2;
  bmp.pixels = {1, 7, 0, 2, 2, 1, 1, 8, 0, 1};  // a step over pixels, which have colour 0, and an early end
  CHECK(is(decode(bmp), 1, {0, 0, 0, 8, 0, 7, 0, 0, 0, 0}));
  bmp.pixels = {9, 7, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 5, 8, 0, 1};  // more than a row and more rows
  CHECK(is(decode(bmp), 1, {1, 2, 3, 4, 5, 7, 7, 7, 7, 7}));
  bmp.pixels = {5, 7, 0, 0, 5, 8};  // only the end's mark is missing
  CHECK(is(decode(bmp), 1, {8, 8, 8, 8, 8, 7, 7, 7, 7, 7}));

  bmp.bits = 4;
  bmp.compression = 2;
  bmp.palette.resize(16);
  bmp.pixels = {5, 0x12, 0, 0, 0, 5, 0x34, 0x56, 0x70, 0, 0, 0, 0, 1};
  CHECK(is(decode(bmp), 1, {3, 4, 5, 6, 7, 1, 2, 1, 2, 1}));
}

TEST_CASE("runs that end early are refused") {
  std::vector<std::uint32_t> const palette(256, 0x123456);
  Bmp bmp{.width = 5, .height = 2, .bits = 8, .compression = 1, .palette = palette};
  for (auto const& pixels : {std::vector<int>{},
                             {5},
                             {5, 7},
                             {5, 7, 0},
                             {5, 7, 0, 0},
                             {5, 7, 0, 0, 5},
                             {5, 7, 0, 0, 4, 1},
                             {0, 3},
                             {0, 3, 1, 1},
                             {0, 2, 1},
                             {0, 2}}) {
    bmp.pixels = pixels;
    CHECK(says(refusal(bmp), "truncated BMP file"));
  }
}

TEST_CASE("BMP kinds that are not read are named") {
  Bmp bmp{.pixels = pixels24};
  for (auto const& [bits, compression] :
       {std::pair(24, 1u), {24, 3u}, {8, 2u}, {4, 1u}, {1, 3u}, {24, 4u}, {0, 4u}, {0, 5u}, {64, 0u}, {3, 0u}}) {
    bmp.bits = bits;
    bmp.compression = compression;
    CHECK(says(refusal(bmp), std::to_string(bits) + " bits a pixel and compression " + std::to_string(compression)));
  }
}

TEST_CASE("every truncated BMP is refused") {
  Bmp const kinds[] = {
      {.header_bytes = 12, .pixels = pixels24},
      {.header_bytes = 124,
       .height = 1,
       .bits = 32,
       .compression = 3,
       .masks = bgra,
       .pixels = {1, 2, 3, 4, 5, 6, 7, 8}},
      {.height = 1, .bits = 16, .compression = 6, .masks = {0x7C00, 0x3E0, 0x1F, 0x8000}, .pixels = {1, 2, 3, 4}},
      {.bits = 8, .colours = 1, .palette = {5}, .pixels = {0, 0, 0, 0, 0, 0, 0, 0}},
  };
  for (auto const& bmp : kinds) {
    auto const file = bmp.file();
    REQUIRE(decode(file).ok());
    for (std::size_t length = 0; length < file.size(); ++length) {
      CAPTURE(length);
      CHECK_FALSE(decode_bmp(std::span(file).first(length), "test").ok());
    }
  }
}

TEST_CASE("sizes of a BMP that are none, or too large, are refused") {
  CHECK(says(refusal(Bmp{.width = -2, .pixels = pixels24}), "says -2 x 2 pixels"));
  CHECK(says(refusal(Bmp{.height = 0, .pixels = pixels24}), "says 2 x 0 pixels"));
  CHECK(says(refusal(Bmp{.width = 0x7FFFFFFF, .height = std::numeric_limits<int>::min()}),
             "2147483647 x 2147483648 pixels, and the limit"));
  CHECK(says(refusal(Bmp{.header_bytes = 12, .width = 65535, .height = 65535}), "65535 x 65535 pixels, and the limit"));
  CHECK_FALSE(decode(Bmp{.pixels = pixels24}.file(), {.max_pixels = 3}).ok());
  CHECK(decode(Bmp{.pixels = pixels24}.file(), {.max_pixels = 4}).ok());
  CHECK(says(refusal(Bmp{.width = 20000, .height = 20000, .bits = 32, .pixels = pixels24}), "truncated BMP file"));
}

// TGA of all kinds, from memory: what each is read as.
#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string>

#include <mirnet/io/read_tga.hpp>

#include "pictures.hpp"

using namespace mirnet;
using pictures::File;

namespace {

/// The parts of a TGA of 2 x 2 pixels, put together by file().
struct Tga {
  int kind = 2, bits = 24, descriptor = 0;
  std::vector<int> pixels{};  ///< bytes
  int map_start = 0, map_length = 0, map_bits = 24;
  std::vector<int> map{};  ///< bytes
  std::string id{};

  File file() const {
    File file(18);
    auto const put = [&](std::size_t at, int value) { file[at] = static_cast<std::byte>(value); };
    put(0, static_cast<int>(id.size()));
    put(1, map.empty() ? 0 : 1);
    put(2, kind);
    store_little(file.data() + 3, static_cast<std::uint16_t>(map_start));
    store_little(file.data() + 5, static_cast<std::uint16_t>(map_length));
    put(7, map_bits);
    put(12, 2);
    put(14, 2);
    put(16, bits);
    put(17, descriptor);
    for (char const c : id) file.push_back(static_cast<std::byte>(c));
    for (auto const* part : {&map, &pixels}) {
      for (int const byte : *part) file.push_back(static_cast<std::byte>(byte));
    }
    return file;
  }
};

Result<Image> decode(Tga const& tga) {
  CHECK(detail::is_tga(tga.file()));
  return decode_tga(tga.file(), "test");
}

std::string refusal(Tga const& tga) {
  auto const image = decode(tga);
  REQUIRE(!image.ok());
  CHECK(image.error().code() == ErrorCode::input);
  return image.error().message();
}

bool is(Result<Image> const& image, Index channels, std::initializer_list<int> samples) {
  if (!image) MESSAGE(image.error().message());
  if (!image || image->channels() != channels) return false;
  auto const found = image->samples<std::uint8_t>();
  return std::equal(found.begin(), found.end(), samples.begin(), samples.end());
}

}  // namespace

TEST_CASE("a TGA may start in any corner") {
  Tga tga{.kind = 3, .bits = 8, .pixels = {1, 2, 3, 4}};
  CHECK(is(decode(tga), 1, {3, 4, 1, 2}));
  tga.descriptor = 0x20;
  CHECK(is(decode(tga), 1, {1, 2, 3, 4}));
  tga.descriptor = 0x10;
  CHECK(is(decode(tga), 1, {4, 3, 2, 1}));
  tga.descriptor = 0x30;
  CHECK(is(decode(tga), 1, {2, 1, 4, 3}));
  tga.kind = 11;
  tga.pixels = {0x82, 5, 0, 6};
  CHECK(is(decode(tga), 1, {5, 5, 6, 5}));
  for (int const interleaved : {0x40, 0x80, 0xC0}) {
    tga.descriptor = interleaved;
    CHECK(refusal(tga) == "test: a TGA with interleaved rows; expected rows one after the other");
  }
}

TEST_CASE("TGA colours of 15, 16, 24 and 32 bits") {
  Tga tga{.descriptor = 0x20, .pixels = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10}, .id = "a name"};
  CHECK(is(decode(tga), 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  tga = {.bits = 32, .descriptor = 0x28, .pixels = {3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 50}};
  CHECK(is(decode(tga), 4, {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 50}));
  tga.descriptor = 0x20;  // says no alpha, but there is some
  CHECK(is(decode(tga), 4, {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 50}));
  tga.pixels.back() = 0;
  CHECK(is(decode(tga), 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  tga.descriptor = 0x28;  // says alpha: the picture is transparent
  CHECK(is(decode(tga), 4, {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0}));
  // 0x7FFF, 0x8210, 0x7C00, 0x001F
  tga = {.bits = 15, .descriptor = 0x20, .pixels = {0xFF, 0x7F, 0x10, 0x82, 0, 0x7C, 0x1F, 0}};
  CHECK(is(decode(tga), 3, {255, 255, 255, 0, 132, 132, 255, 0, 0, 0, 0, 255}));
  tga.bits = 16;
  CHECK(is(decode(tga), 3, {255, 255, 255, 0, 132, 132, 255, 0, 0, 0, 0, 255}));
  tga.descriptor = 0x21;
  CHECK(is(decode(tga), 4, {255, 255, 255, 0, 0, 132, 132, 255, 255, 0, 0, 0, 0, 0, 255, 0}));
  tga.pixels[3] = 2;
  CHECK(is(decode(tga), 3, {255, 255, 255, 0, 132, 132, 255, 0, 0, 0, 0, 255}));
  tga = {.kind = 3, .bits = 16, .descriptor = 0x28, .pixels = {1, 2, 3, 4, 5, 6, 7, 8}};
  CHECK(is(decode(tga), 2, {1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_CASE("TGA colour maps, from any number on; and maps that no pixel needs") {
  Tga tga{.kind = 1,
          .bits = 8,
          .descriptor = 0x20,
          .pixels = {0, 1, 2, 1},
          .map_length = 3,
          .map = {3, 2, 1, 6, 5, 4, 9, 8, 7}};
  CHECK(is(decode(tga), 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 4, 5, 6}));
  tga.map_start = 10;
  CHECK(refusal(tga) == "test: a pixel has colour number 1, and the file has 3 colours from number 10 on");
  tga.pixels = {10, 11, 12, 11};
  CHECK(is(decode(tga), 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 4, 5, 6}));
  tga.pixels[3] = 13;
  CHECK(refusal(tga) == "test: a pixel has colour number 13, and the file has 3 colours from number 10 on");
  tga.map_start = 300;
  tga.bits = 16;
  tga.pixels = {44, 1, 45, 1, 46, 1, 45, 1};
  CHECK(is(decode(tga), 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 4, 5, 6}));
  tga.kind = 9;
  tga.pixels = {0x83, 46, 1};
  CHECK(is(decode(tga), 3, {7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9}));
  tga = {
      .kind = 1, .bits = 8, .pixels = {1, 1, 0, 0}, .map_length = 2, .map_bits = 32, .map = {3, 2, 1, 4, 7, 6, 5, 8}};
  CHECK(is(decode(tga), 4, {1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8}));
  tga.map_bits = 16;
  tga.map = {0xFF, 0x7F, 0x10, 0x02};
  CHECK(is(decode(tga), 3, {255, 255, 255, 255, 255, 255, 0, 132, 132, 0, 132, 132}));
  tga.map_bits = 24;
  tga.map = {9, 9, 9, 8, 8, 8};
  CHECK(is(decode(tga), 1, {9, 9, 8, 8}));
  tga.map_length = 0;
  CHECK(refusal(tga).find("its map has no colours") != std::string::npos);

  Tga const with_map{
      .kind = 3, .bits = 8, .descriptor = 0x20, .pixels = {1, 2, 3, 4}, .map_length = 2, .map = {9, 9, 9, 8, 8, 8}};
  CHECK(is(decode(with_map), 1, {1, 2, 3, 4}));
}

TEST_CASE("every truncated TGA is refused") {
  for (auto const& tga :
       {Tga{.pixels = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10}, .map_length = 1, .map = {1, 2, 3}, .id = "id"},
        Tga{.kind = 10, .pixels = {0x80, 1, 2, 3, 2, 6, 5, 4, 9, 8, 7, 12, 11, 10}},
        Tga{.kind = 1, .bits = 8, .pixels = {0, 1, 2, 1}, .map_length = 3, .map = {3, 2, 1, 6, 5, 4, 9, 8, 7}}}) {
    auto const file = tga.file();
    REQUIRE(decode_tga(file, "test").ok());
    for (std::size_t length = 0; length < file.size(); ++length) {
      CAPTURE(length);
      CHECK_FALSE(decode_tga(std::span(file).first(length), "test").ok());
    }
  }
}

TEST_CASE("headers that fit no TGA are none") {
  auto const looks = [](Tga const& tga) { return detail::is_tga(tga.file()); };
  CHECK(looks({}));
  CHECK_FALSE(looks({.kind = 0}));
  CHECK_FALSE(looks({.kind = 4}));
  CHECK_FALSE(looks({.kind = 1, .bits = 8}));  // no map
  CHECK_FALSE(looks({.kind = 1, .bits = 24, .map = {0}}));
  CHECK_FALSE(looks({.kind = 3, .bits = 24}));
  CHECK_FALSE(looks({.bits = 8}));
  CHECK_FALSE(looks({.map_bits = 9, .map = {0}}));
}

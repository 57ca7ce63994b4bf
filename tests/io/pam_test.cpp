// PAM from and to memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include <mirnet/io/pam.hpp>

#include "pictures.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;
using pictures::file_of;
using namespace std::literals;

namespace {

Result<Image> decode(std::string_view text, ReadOptions const& options = {}) {
  return decode_pam(file_of(text), "test", options);
}

std::string refusal(std::string_view text, ReadOptions const& options = {}) {
  auto const image = decode(text, options);
  REQUIRE_MESSAGE(!image.ok(), text);
  CHECK(image.error().code() == ErrorCode::input);
  return image.error().message();
}

}  // namespace

TEST_CASE("what is written as PAM is read back the same, with alpha and 16 bits") {
  for (Index const channels : {1, 2, 3, 4}) {
    for (auto const type : {SampleType::u8, SampleType::u16}) {
      auto const image = draw(5, 3, channels, type);
      auto const file = encode_pam(image).value();
      CHECK(is_pam(file.bytes()));
      CHECK(equal(decode_pam(file.bytes(), "test").value(), image));
      for (std::size_t length = 0; length < file.bytes().size(); ++length) {
        CHECK_FALSE(decode_pam(file.bytes().first(length), "test").ok());
      }
    }
  }
  CHECK(equal(decode_pam(encode_pam(draw(3, 2, 4, SampleType::f32)).value().bytes(), "test").value(),
              draw(3, 2, 4, SampleType::u16)));
}

TEST_CASE("the fields of a PAM stand in any order, with comments, and its type may be missing") {
  auto const image =
      decode(
          "P7\n# a comment\nDEPTH 2\n\nHEIGHT 1\n  WIDTH\t2 \nMAXVAL 1\nTUPLTYPE BLACKANDWHITE_ALPHA\nENDHDR\n\1\0\0\1"sv)
          .value();
  CHECK(image.channels() == 2);
  CHECK(std::ranges::equal(image.samples<std::uint8_t>(), std::array{255, 0, 0, 255}));
  auto const deep = decode("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 1023\nENDHDR\n\3\xff\2\0\0\0\3\xff"sv).value();
  CHECK(std::ranges::equal(deep.samples<std::uint16_t>(), std::array{65535, 32800, 0, 65535}));
}

TEST_CASE("a PAM that is refused says why") {
  auto const with = [](std::string const& field, std::string const& rest = "") {
    return refusal("P7\nWIDTH 1\nHEIGHT 1\n" + field + "\n" + rest + "ENDHDR\nabcd");
  };
  CHECK(with("DEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK").find("4 samples a pixel of type CMYK; expected GRAYSCALE (1)") !=
        std::string::npos);
  CHECK(with("DEPTH 4\nMAXVAL 255\nTUPLTYPE RGB").find("4 samples a pixel of type RGB") != std::string::npos);
  CHECK(with("DEPTH 5\nMAXVAL 255").find("5 samples a pixel") != std::string::npos);
  CHECK(with("DEPTH 1\nMAXVAL 0") == "test: the PAM header says a maximum of 0; expected 1 to 65535");
  CHECK(with("DEPTH 1\nMAXVAL 65536") == "test: the PAM header says a maximum of 65536; expected 1 to 65535");
  CHECK(with("DEPTH 1\nMAXVAL 96") == "test: a sample is 97, and the header says the largest is 96");
  CHECK(with("DEPTH 3\nMAXVAL 256") == "test: truncated, 4 bytes of samples where 6 are expected");
  CHECK(refusal("P7\nWIDTH 3\nHEIGHT 3\nDEPTH 1\nMAXVAL 255\nENDHDR\n", {.max_pixels = 8}) ==
        "test: the PAM header says 3 x 3 pixels, and the limit is 8 pixels in all");
  CHECK(with("WIDTH 0\nDEPTH 1\nMAXVAL 255").find("truncated or damaged") != std::string::npos);  // twice
  for (auto const* field : {"DEPTH 1", "DEPTH 1\nMAXVAL", "DEPTH 1\nMAXVAL x", "DEPTH 1\nMAXVAL 1 1",
                            "DEPTH 1\nMAXVAL 255\nCOLOUR 1", "DEPTH 1\nMAXVAL 255\nTUPLTYPE A B"}) {
    CHECK(with(field).find("the PAM header is truncated or damaged") != std::string::npos);
  }
  CHECK(refusal("P7 332\n1 1 255\na") == "test: not a PAM file");  // thumbnails of xv, which are something else
}

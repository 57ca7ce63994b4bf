// PBM, PGM, PPM and PFM from and to memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string>

#include <mirnet/io/pnm.hpp>

#include "pictures.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;
using pictures::File;
using pictures::file_of;
using namespace std::literals;

namespace {

Result<Image> decode(std::string_view text, ReadOptions const& options = {}) {
  auto const file = file_of(text);
  return is_pfm(file) ? decode_pfm(file, "test", options) : decode_pnm(file, "test", options);
}

std::string refusal(std::string_view text, ReadOptions const& options = {}) {
  auto const image = decode(text, options);
  REQUIRE_MESSAGE(!image.ok(), text);
  CHECK(image.error().code() == ErrorCode::input);
  return image.error().message();
}

}  // namespace

TEST_CASE("what is written as PNM or PFM is read back the same") {
  for (Index const channels : {1, 3}) {
    for (auto const type : {SampleType::u8, SampleType::u16}) {
      auto const image = draw(5, 3, channels, type);
      CHECK(equal(decode_pnm(encode_pnm(image, channels == 3).value().bytes(), "test").value(), image));
    }
    auto const image = draw(5, 3, channels, SampleType::f32);
    CHECK(equal(decode_pfm(encode_pfm(image).value().bytes(), "test").value(), image));
  }
}

TEST_CASE("PFM keeps every bit of a float, and its rows go from bottom to top") {
  auto image = Image::create(1, 2, 1, SampleType::f32).value();
  image.samples<float>()[0] = -0.1f;
  image.samples<float>()[1] = 1e-42f;
  auto const file = encode_pfm(image).value();
  CHECK(equal(decode_pfm(file.bytes(), "test").value(), image));
  CHECK(load_little<std::uint32_t>(file.bytes().data() + file.bytes().size() - 4) ==
        std::bit_cast<std::uint32_t>(-0.1f));
}

TEST_CASE("PFM of either byte order, with its scale") {
  CHECK(decode("Pf\n1 1\n1.0\n\x3f\x40\0\0"sv).value().samples<float>()[0] == 0.75f);
  CHECK(decode("Pf\n1 1\n-1.0\n\0\0\x40\x3f"sv).value().samples<float>()[0] == 0.75f);
  CHECK(decode("Pf 1 1 -2e0 \0\0\x40\x3f"sv).value().samples<float>()[0] == 1.5f);
}

TEST_CASE("the scale of a PFM is read as the C library reads it") {
  for (auto const* word : {"1", "-1.0", "+1", ".5", "5.", "2e0", "-2E+1", "25e-2", "0.0039215686", "1234567.875",
                           "1e-3", "123456789012345e-14", "1e-30", "3.4e38", "00012.50"}) {
    CAPTURE(word);
    bool const read = word[0] != '+';  // which PFM has no use for
    CHECK(detail::pfm_scale(word) == (read ? std::strtof(word, nullptr) : 0.0f));
  }
  for (auto const* word : {"", "-", ".", "e", "1e", "1e+", "1e-", "--1", "1.2.3", "1,5", "1e5.0", "0x10", "1e+-2"}) {
    CAPTURE(word);
    CHECK(detail::pfm_scale(word) == 0.0f);
  }
}

TEST_CASE("floats and gray are written to PPM as 16-bit colours, integers to PFM with white as 1") {
  CHECK(equal(decode_pnm(encode_pnm(draw(3, 2, 3, SampleType::f32), true).value().bytes(), "test").value(),
              draw(3, 2, 3, SampleType::u16)));
  auto const gray = draw(3, 2, 1);
  auto const colour = decode_pnm(encode_pnm(gray, true).value().bytes(), "test").value();
  for (std::size_t i = 0; i < 18; ++i) CHECK(colour.samples<std::uint8_t>()[i] == gray.samples<std::uint8_t>()[i / 3]);
  CHECK(equal(decode_pfm(encode_pfm(draw(3, 2, 3)).value().bytes(), "test").value(), draw(3, 2, 3, SampleType::f32)));
}

TEST_CASE("samples are scaled from the maximum that the header says") {
  auto const bilevel = decode("P5 3 1 2 \0\1\2"sv).value();
  CHECK(bilevel.type() == SampleType::u8);
  CHECK(bilevel.samples<std::uint8_t>()[1] == 128);
  CHECK(bilevel.samples<std::uint8_t>()[2] == 255);
  auto const ten_bits = decode("P5 2 1 1023 \3\xff\2\0"sv).value();
  CHECK(ten_bits.type() == SampleType::u16);
  CHECK(ten_bits.samples<std::uint16_t>()[0] == 65535);
  CHECK(ten_bits.samples<std::uint16_t>()[1] == 32800);  // 512 * 65535 / 1023 is 32799.53
}

TEST_CASE("every sample of the largest maximum that is scaled is the nearest") {
  std::string file = "P5 65535 1 65534 ";
  for (unsigned sample = 0; sample < 65535; ++sample) {
    file += {static_cast<char>(sample >> 8), static_cast<char>(sample & 255)};
  }
  auto const image = decode(file).value();
  int wrong = 0;
  for (std::size_t sample = 0; sample < 65535; ++sample) {
    double const exact = static_cast<double>(sample) * 65535.0 / 65534.0;
    wrong += !(std::abs(image.samples<std::uint16_t>()[sample] - exact) <= 0.5);
  }
  CHECK(wrong == 0);
}

TEST_CASE("headers with comments and any white space, plain text samples") {
  auto const image = decode("P2\n# a comment\r\n 2\t2 # another\n255\n0 1\n# within\n2 255").value();
  CHECK(image.width() == 2);
  CHECK(image.height() == 2);
  CHECK(image.samples<std::uint8_t>()[2] == 2);
  CHECK(image.samples<std::uint8_t>()[3] == 255);
  auto const deep = decode("P3 1 1 65535 0 1000 65535 and more").value();
  CHECK(deep.channels() == 3);
  CHECK(deep.samples<std::uint16_t>()[1] == 1000);
}

TEST_CASE("bytes after the image are left alone") {
  CHECK(decode("P5 1 1 255 \7\n"sv).ok());
  CHECK(decode("Pf 1 1 -1 \0\0\0\0P"sv).ok());
}

TEST_CASE("every truncated file is refused") {
  for (auto const& file :
       {file_of(encode_pnm(draw(4, 3, 3), true)), file_of(encode_pnm(draw(4, 3, 1, SampleType::u16), false)),
        file_of(encode_pfm(draw(4, 3, 3, SampleType::f32)))}) {
    for (std::size_t length = 0; length < file.size(); ++length) {
      CAPTURE(length);
      std::span const part(file.data(), length);
      CHECK_FALSE((is_pfm(file) ? decode_pfm(part, "test") : decode_pnm(part, "test")).ok());
    }
  }
  std::string_view const plain = "P2 2 2 255 10 20 30 40";
  for (std::size_t length = 0; length + 2 < plain.size(); ++length) CHECK_FALSE(decode(plain.substr(0, length)).ok());
}

TEST_CASE("a refusal says what was found") {
  CHECK(refusal("P5 0 5 255 ") == "test: the PNM header says 0 x 5 pixels, and both sides must be 1 or more");
  CHECK(refusal("PF 3 0 -1 ") == "test: the PFM header says 3 x 0 pixels, and both sides must be 1 or more");
  CHECK(refusal("P6 100000 100000 255 ") ==
        "test: the PNM header says 100000 x 100000 pixels, and the limit is 500000000 pixels in all");
  CHECK(refusal("P6 99999999999999999999 1 255 ").find("1000000000 x 1 pixels") != std::string::npos);
  // One more than 32 bits hold.
  CHECK(refusal("P6 4294967297 1 255 abc").find("1000000000 x 1 pixels") != std::string::npos);
  CHECK(refusal("P5 3 3 255 123456789", {.max_pixels = 8}).find("the limit is 8 pixels") != std::string::npos);
  CHECK(refusal("P5 1 1 0 a") == "test: the PNM header says a maximum of 0; expected 1 to 65535");
  CHECK(refusal("P5 1 1 65536 ab") == "test: the PNM header says a maximum of 65536; expected 1 to 65535");
  CHECK(refusal("P5 1 1 100 e") == "test: a sample is 101, and the header says the largest is 100");
  CHECK(refusal("P2 1 1 100 101") == "test: a sample is 101, and the header says the largest is 100");
  CHECK(refusal("P2 2 1 100 1 x") == "test: truncated or damaged, 1 readable samples where 2 are expected");
  CHECK(refusal("P5 2 2 255 abc") == "test: truncated, 3 bytes of samples where 4 are expected");
  CHECK(refusal("P4 8 2 a") == "test: truncated, 1 bytes of samples where 2 are expected");
  CHECK(refusal("P1 2 2 010") == "test: truncated, 3 bytes of samples where 4 are expected");
  CHECK(refusal("P1 2 2 01 0") == "test: truncated or damaged, 3 readable samples where 4 are expected");
  CHECK(refusal("P1 2 1 02") == "test: truncated or damaged, 1 readable samples where 2 are expected");
  CHECK(refusal("P4 8").find("truncated or damaged; expected width, height") != std::string::npos);
  CHECK(refusal("P5 -1 1 255 a").find("header is truncated or damaged") != std::string::npos);
  CHECK(refusal("P5 1 1 255#a").find("header is truncated or damaged") != std::string::npos);
  for (auto const* scale : {"0", "-0.0", "nan", "inf", "1e99", "one", "1x", ""}) {
    CHECK(refusal("Pf 1 1 "s + scale + "\nabcd").find("a scale other than 0") != std::string::npos);
  }
}

TEST_CASE("floats that the network cannot compute with are refused") {
  CHECK(refusal("Pf 1 1 1 \x7f\x80\0\0"sv) ==
        "test: a sample of the pixel (0, 0) is inf; expected a number from -1e+12 to 1e+12");
  CHECK(refusal("Pf 1 1 1 \x7f\xc0\0\0"sv).find("(0, 0) is nan; expected") != std::string::npos);
  // The last of three rows of two colour pixels is the first in the file; 0x5d15 starts 6.7e17.
  std::string file = "PF 2 3 1 " + std::string(std::size_t{2 * 3 * 3 * 4}, '\0');
  file.replace(file.size() - 2 * 2 * 3 * 4 + 4 * 4, 2, "\xdd\x15");
  CHECK(refusal(file).find("the pixel (1, 1) is -6.7") != std::string::npos);
  auto image = Image::create(1, 1, 1, SampleType::f32).value();
  image.samples<float>()[0] = -largest_float_sample;
  CHECK(equal(decode_pfm(encode_pfm(image).value().bytes(), "test").value(), image));
  image.samples<float>()[0] = std::nextafter(largest_float_sample, 2e12f);
  CHECK_FALSE(decode_pfm(encode_pfm(image).value().bytes(), "test").ok());
}

TEST_CASE("a PBM has 1 for black, plain with or without white space, or packed in rows of whole bytes") {
  for (auto const text :
       {"P1\n# comment\n3 2\n010\n110\n"sv, "P1 3 2 0 1 0 1 1 # black\n 0"sv, "P4\n3 2\n\x5f\xc0"sv}) {
    auto const image = decode(text).value();
    CHECK(image.width() == 3);
    CHECK(image.height() == 2);
    CHECK(image.channels() == 1);
    CHECK(std::ranges::equal(image.samples<std::uint8_t>(), std::array{255, 0, 255, 0, 0, 255}));
  }
  auto const wide = decode("P4 10 1 \x80\x40"sv).value();
  CHECK(std::ranges::equal(wide.samples<std::uint8_t>(), std::array{0, 255, 255, 255, 255, 255, 255, 255, 255, 0}));
}

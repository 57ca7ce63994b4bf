// Images and their way into the network's maps and back.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "io/pictures.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;

namespace {

Tensor<float> map_of(Image const& image) {
  auto map = Tensor<float>::create({image.height(), image.width(), 3}).value();
  to_map(image, map.view());
  return map;
}

}  // namespace

TEST_CASE("an image goes through a map unchanged, whatever its channels and samples") {
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      CAPTURE(static_cast<int>(type));
      CAPTURE(channels);
      auto const image = draw(7, 5, channels, type);
      CHECK(equal(from_map(map_of(image).view(), image).value(), image));
    }
  }
}

TEST_CASE("every integer sample survives the division and the rounding") {
  for (int i = 0; i < 256; ++i) CHECK(from_unit<std::uint8_t>(to_unit(static_cast<std::uint8_t>(i))) == i);
  bool same = true;
  for (int i = 0; i < 65536; ++i) same &= from_unit<std::uint16_t>(to_unit(static_cast<std::uint16_t>(i))) == i;
  CHECK(same);
}

TEST_CASE("integers are rounded to nearest and clamped, floats are not") {
  CHECK(from_unit<std::uint8_t>(100.4f / 255) == 100);
  CHECK(from_unit<std::uint8_t>(100.6f / 255) == 101);
  CHECK(from_unit<std::uint8_t>(-0.3f) == 0);
  CHECK(from_unit<std::uint8_t>(1.3f) == 255);
  CHECK(from_unit<std::uint16_t>(7.0f) == 65535);
  CHECK(from_unit<std::uint8_t>(std::numeric_limits<float>::quiet_NaN()) == 0);
  CHECK(from_unit<std::uint8_t>(std::numeric_limits<float>::infinity()) == 255);
  CHECK(from_unit<float>(-0.3f) == -0.3f);
  CHECK(from_unit<float>(1.3f) == 1.3f);
}

TEST_CASE("gray is the same in all channels of the map, and the average of them afterwards") {
  auto const gray = draw(4, 3, 1);
  auto map = map_of(gray);
  for (Index c = 0; c < 3; ++c) CHECK(map.view()(2, 3, c) == to_unit(gray.samples<std::uint8_t>()[11]));
  map.view()(0, 0, 0) = 0.0f;
  map.view()(0, 0, 1) = 30.0f / 255;
  map.view()(0, 0, 2) = 90.0f / 255;
  CHECK(from_map(map.view(), gray).value().samples<std::uint8_t>()[0] == 40);
}

TEST_CASE("alpha comes from the original") {
  auto const image = draw(6, 6, 4);
  auto map = map_of(image);
  for (Index y = 0; y < 6; ++y) {
    for (Index x = 0; x < 6; ++x) std::fill_n(map.view().pixel(y, x), 3, 0.5f);
  }
  auto const back = from_map(map.view(), image).value();
  for (std::size_t i = 0; i < 36; ++i) {
    CHECK(back.samples<std::uint8_t>()[4 * i] == 128);
    CHECK(back.samples<std::uint8_t>()[4 * i + 3] == image.samples<std::uint8_t>()[4 * i + 3]);
  }
}

TEST_CASE("samples are converted between types") {
  auto const eight = draw(5, 4, 3);
  CHECK(equal(convert_samples(eight, SampleType::u16).value(), draw(5, 4, 3, SampleType::u16)));
  CHECK(equal(convert_samples(draw(5, 4, 3, SampleType::f32), SampleType::u8).value(), eight));
}

TEST_CASE("an image that no memory can hold is an error") {
  auto const huge = std::numeric_limits<Index>::max() / 2;
  CHECK(Image::create(huge, huge, 3, SampleType::u8).error().code() == ErrorCode::memory);
  CHECK(Image::create(huge, 1, 4, SampleType::f32).error().code() == ErrorCode::memory);
}

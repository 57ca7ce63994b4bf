// PSNR and SSIM against scikit-image 0.19, whose figures for these patterns are written here.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <mirnet/image/quality.hpp>

#include "io/pictures.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::noisy_pattern;

TEST_CASE("the figures are scikit-image's") {
  struct Case {
    Index width, height, channels;
    double psnr, ssim, difference;
  };
  for (auto const& c : {
           Case{11, 11, 1, 26.809424462894633, 0.7465870470494294, 20},
           Case{16, 11, 3, 26.6988215797595, 0.716115866857404, 20},
           Case{37, 29, 3, 26.85293463937578, 0.7826964568852475, 20},
           Case{24, 40, 4, 26.87466956370357, 0.7925510992766915, 20},
       }) {
    for (auto const type : {SampleType::u8, SampleType::u16}) {
      CAPTURE(c.width);
      CAPTURE(c.height);
      CAPTURE(c.channels);
      CAPTURE(static_cast<int>(type));
      auto const a = draw(c.width, c.height, c.channels, type);
      auto const b = draw(c.width, c.height, c.channels, type, noisy_pattern);
      CHECK(std::fabs(psnr(a, b).value() - c.psnr) < 1e-10);
      CHECK(std::fabs(ssim(a, b).value() - c.ssim) < 1e-11);
      CHECK(max_difference(a, b).value() == doctest::Approx(c.difference).epsilon(1e-12));
    }
  }
}

TEST_CASE("equal images") {
  auto const image = draw(20, 20, 3);
  CHECK(std::isinf(psnr(image, image).value()));
  CHECK(ssim(image, image).value() == 1.0);
  CHECK(max_difference(image, image).value() == 0.0);
}

TEST_CASE("types of samples are compared on one scale") {
  auto const eight = draw(16, 16, 3);
  CHECK(max_difference(eight, draw(16, 16, 3, SampleType::u16)).value() == 0.0);
  CHECK(max_difference(eight, draw(16, 16, 3, SampleType::f32)).value() < 1e-4);
}

TEST_CASE("there is no SSIM where the window does not fit") {
  CHECK(std::isnan(ssim(draw(10, 40, 3), draw(10, 40, 3)).value()));
  CHECK(std::isnan(ssim(draw(40, 10, 3), draw(40, 10, 3)).value()));
  CHECK(ssim(draw(11, 11, 3), draw(11, 11, 3)).value() == 1.0);
}

TEST_CASE("where an Index cannot count the rows that SSIM needs, that is an error") {
  constexpr Index width = std::numeric_limits<Index>::max() / (detail::SsimChannel::doubles_a_column * 8) + 1;
  if constexpr (sizeof(Index) == 4) {  // no machine has the image that this takes with 64 bits
    auto const wide = Image::create(width, ssim_window, 1, SampleType::u8).value();
    REQUIRE(!ssim(wide, wide).ok());
    CHECK(ssim(wide, wide).error().code() == ErrorCode::memory);
  }
}

TEST_CASE("images of different size or channels cannot be compared") {
  auto const image = draw(12, 13, 3);
  for (auto const& other : {draw(13, 12, 3), draw(12, 14, 3), draw(12, 13, 1), draw(12, 13, 4)}) {
    CHECK(psnr(image, other).error().code() == ErrorCode::input);
    CHECK(ssim(image, other).error().code() == ErrorCode::input);
    CHECK(max_difference(image, other).error().code() == ErrorCode::input);
  }
}

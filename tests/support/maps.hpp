// Comparing feature maps.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <mirnet/tensor/view.hpp>

namespace test {

/// The largest magnitude of a - b, which have one shape.
template <class A, class B>
double largest_difference(mirnet::View<A const> a, mirnet::View<B const> b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0;
  for (mirnet::Index y = 0; y < a.height(); ++y) {
    for (mirnet::Index x = 0; x < a.width(); ++x) {
      for (mirnet::Index c = 0; c < a.channels(); ++c) {
        double const difference = std::abs(static_cast<double>(a(y, x, c)) - static_cast<double>(b(y, x, c)));
        // std::max would let a NaN pass.
        if (!(difference <= largest)) largest = difference;
      }
    }
  }
  return largest;
}

template <class T>
double largest_magnitude(mirnet::View<T const> a) {
  double largest = 0.0;
  for (mirnet::Index y = 0; y < a.height(); ++y) {
    for (mirnet::Index x = 0; x < a.width(); ++x) {
      for (mirnet::Index c = 0; c < a.channels(); ++c)
        largest = std::max(largest, std::abs(static_cast<double>(a(y, x, c))));
    }
  }
  return largest;
}

/// What an error of the output is measured by: what the network adds to the image, or where it adds nothing, all that
/// it computes. At least 0.1, as a picture of a few pixels may hardly change.
template <class A, class B>
double scale(mirnet::View<A const> image, mirnet::View<B const> output) {
  double const largest =
      image.shape() == output.shape() ? largest_difference(output, image) : largest_magnitude(output);
  return std::max(largest, 0.1);
}

/// Padding included; of maps of one shape.
inline bool same_bits(mirnet::View<float const> a, mirnet::View<float const> b) {
  REQUIRE(a.shape() == b.shape());
  REQUIRE(a.pitch() == b.pitch());
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.pixels() * a.pitch()) * sizeof(float)) == 0;
}

}  // namespace test

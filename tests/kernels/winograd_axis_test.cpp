// The transforms of the fast algorithms along one axis: with them, m outputs of a filter are what its definition says,
// for every filter and input, as that is so for each tap and each input alone.
#include <mirnet/config.hpp>

#if !MIRNET_NO_SIMD

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <mirnet/kernels/winograd_axis.hpp>

#include "support/buffer.hpp"
#include "support/random.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// The outputs of a filter by its transforms.
template <class Axis, class V>
std::vector<V> filtered(std::vector<V> const& taps, std::vector<V> const& inputs) {
  REQUIRE(taps.size() == Axis::taps);
  REQUIRE(inputs.size() == Axis::points);
  V weights[Axis::points], points[Axis::points];
  Axis::weights(taps.data(), weights);
  Axis::input(inputs.data(), points);
  for (int i = 0; i < Axis::points; ++i) points[i] *= weights[i];
  std::vector<V> outputs(Axis::outputs);
  Axis::output(points, outputs.data());
  return outputs;
}

template <class V>
std::vector<V> unit(int size, int place) {
  std::vector<V> result(static_cast<std::size_t>(size));
  result[static_cast<std::size_t>(place)] = V(1);
  return result;
}

template <class Axis>
void check_axis(double float_bound) {
  CAPTURE(Axis::outputs);
  CAPTURE(Axis::taps);
  CHECK(Axis::points == Axis::outputs + Axis::taps - 1);
  for (int tap = 0; tap < Axis::taps; ++tap) {
    for (int place = 0; place < Axis::points; ++place) {
      auto const outputs = filtered<Axis, double>(unit<double>(Axis::taps, tap), unit<double>(Axis::points, place));
      for (int i = 0; i < Axis::outputs; ++i) {
        INFO("tap ", tap, ", input ", place, ", output ", i);
        // The constants are floats: their roundings are all that is left.
        CHECK(std::abs(outputs[static_cast<std::size_t>(i)] - (i + tap == place ? 1.0 : 0.0)) <= 2.5e-7);
      }
    }
  }

  // In float, random numbers: the error in roundings of the largest sum.
  Random random(1);
  double largest_error = 0.0;
  for (int i = 0; i < 1000; ++i) {
    std::vector<float> taps(Axis::taps), inputs(Axis::points);
    fill<float>(taps, random);
    fill<float>(inputs, random);
    auto const outputs = filtered<Axis, float>(taps, inputs);
    for (std::size_t y = 0; y < Axis::outputs; ++y) {
      double sum = 0.0;
      for (std::size_t k = 0; k < Axis::taps; ++k) {
        sum += static_cast<double>(taps[k]) * static_cast<double>(inputs[y + k]);
      }
      largest_error = std::max(largest_error, std::abs(static_cast<double>(outputs[y]) - sum));
    }
  }
  CHECK(largest_error <= float_bound * epsilon<float> * Axis::taps);
}

}  // namespace

TEST_CASE("transforms along one axis: a filter of one tap takes all of its products") {
  check_axis<winograd::OneTap<1>>(1.0);
  check_axis<winograd::OneTap<4>>(1.0);
}

TEST_CASE("transforms along one axis: F(4, 2)") { check_axis<winograd::F42>(4.0); }

TEST_CASE("transforms along one axis: F(4, 3)") { check_axis<winograd::F43>(4.0); }

#endif

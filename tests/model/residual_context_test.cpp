// The softmax over all pixels in MIRNet-v2's residual context block: what it averages is known here, for maps of any
// size and scores of any size, and the bits do not depend on the threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include <mirnet/networks/mirnet_v2/residual_context.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

constexpr Index channels = 16;

/// A block whose convolutions are identities, as far as numbers are not negative: where x is zero in all channels, its
/// output is what the softmax averages.
template <class T>
class Identities {
 public:
  explicit Identities(std::vector<float> const& mask) : block_(channels, 4, false) {
    block_.layers(
        [&](auto& layer, Name const&) {
          auto const shape = layer.shape();
          Buffer<T>& packed = memory_.emplace_back(layer.packed_elements());
          std::vector<T> values(static_cast<std::size_t>(shape.elements()), T(0));
          if (shape.dim[0] == 1) {  // the mask
            std::transform(mask.begin(), mask.end(), values.begin(), [](float x) { return static_cast<T>(x); });
          } else {
            Index const taps = shape.dim[2] * shape.dim[3], inputs = shape.dim[1];
            for (Index o = 0; o < channels; ++o) {
              values[static_cast<std::size_t>((o * inputs + o % inputs) * taps + taps / 2)] = T(1);
            }
          }
          layer.pack(packed.data(), 0, values);
          layer.bind(packed.data());
        },
        Name("block"));
  }

  /// The output of a pixel that is zero.
  std::vector<double> context(KernelTable<T> const& kernels, ParallelFor const& parallel, View<T const> x,
                              Index zero_pixel, Algorithm algorithm) const {
    auto output = Tensor<T>::create(x.shape()).value();
    auto const forward = [&](Context<T>& context) {
      context.algorithm = algorithm;
      block_.forward(context, x, output.view());
    };
    auto rehearsal = Context<T>::for_rehearsal(kernels, parallel);
    forward(rehearsal);
    auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
    std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
    Context<T> context(kernels, parallel);
    CHECK(context.compute_in(memory.bytes(), [&] { forward(context); }).ok());
    T const* const pixel = output.view().pixel(zero_pixel / x.width(), zero_pixel % x.width());
    return std::vector<double>(pixel, pixel + channels);
  }

 private:
  std::list<Buffer<T>> memory_;
  ResidualContext<T> block_;
};

/// A map of numbers from 0 to 1, with one pixel of zeros.
template <class T>
Tensor<T> draw(Index height, Index width, Index zero_pixel, Random& random) {
  auto map = Tensor<T>::create({height, width, channels}).value();
  fill(map.view(), random, 0.0f, 1.0f);
  std::fill_n(map.view().pixel(zero_pixel / width, zero_pixel % width), channels, T(0));
  return map;
}

/// In double, with the scores that float has.
template <class T>
std::vector<double> expected_context(View<T const> x, std::vector<float> const& mask) {
  auto const score = [&](T const* pixel) {
    double sum = 0.0;
    for (Index c = 0; c < channels; ++c) {
      sum += static_cast<double>(mask[static_cast<std::size_t>(c)]) * static_cast<double>(pixel[c]);
    }
    return sum;
  };
  double largest = score(x.data()), total = 0.0;
  for (Index i = 0; i < x.pixels(); ++i) largest = std::max(largest, score(x.data() + i * x.pitch()));
  std::vector<double> context(static_cast<std::size_t>(channels));
  for (Index i = 0; i < x.pixels(); ++i) {
    double const weight = std::exp(score(x.data() + i * x.pitch()) - largest);
    total += weight;
    for (std::size_t c = 0; c < context.size(); ++c) {
      context[c] += weight * static_cast<double>(x.data()[i * x.pitch() + static_cast<Index>(c)]);
    }
  }
  for (double& value : context) value /= total;
  return context;
}

double largest_relative(std::vector<double> const& found, std::vector<double> const& expected) {
  double largest = 0.0;
  for (std::size_t c = 0; c < found.size(); ++c) {
    double const error = std::abs(found[c] - expected[c]) / std::max(std::abs(expected[c]), 1e-3);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

std::vector<float> random_mask(Random& random, float scale) {
  std::vector<float> mask(static_cast<std::size_t>(channels));
  fill(std::span(mask), random, -scale, scale);
  return mask;
}

}  // namespace

TEST_CASE("the context of maps of every size, on all kernels and with any threads") {
  Random random(1);
  struct Size {
    Index height, width;
  };
  for (Size const size : {Size{1, 1}, Size{1, 2}, Size{3, 5}, Size{16, 16}, Size{17, 16}, Size{40, 300}}) {
    if (test::slow && size.width > 16) continue;
    Index const zero_pixel = size.height * size.width / 2;
    auto const mask = random_mask(random, 2.0f);
    auto const map = draw<float>(size.height, size.width, zero_pixel, random);
    auto const in_double = [&] {
      auto copy = Tensor<double>::create(map.shape()).value();
      for (Index i = 0; i < map.shape().pixels(); ++i) {
        std::copy_n(map.view().data() + i * map.view().pitch(), channels, copy.view().data() + i * copy.view().pitch());
      }
      return copy;
    }();
    auto const expected = expected_context<float>(map.view(), mask);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      INFO(size.height, "x", size.width);
      View<T const> x;
      if constexpr (std::is_same_v<T, float>) x = map.view();
      if constexpr (std::is_same_v<T, double>) x = in_double.view();
      Identities<T> const block(mask);
      auto const found = block.context(kernels, {}, x, zero_pixel, Algorithm::direct);
      // What is expected adds up thousands of doubles in order.
      CHECK(largest_relative(found, expected) <= std::max(16 * epsilon<T>, 1e-13));
      CHECK(largest_relative(block.context(kernels, {}, x, zero_pixel, Algorithm::automatic), expected) <=
            (std::is_same_v<T, float> ? 1e-5 : 1e-13));
      for (Index const threads : {2, 3, 4}) {
        ThreadPool pool(threads);
        CHECK(block.context(kernels, pool, x, zero_pixel, Algorithm::direct) == found);
      }
    });
  }
}

TEST_CASE("the context of a million pixels is as accurate as that of a few") {
  if (test::slow) return;
  Random random(2);
  Index const height = 1024, width = 1024, zero_pixel = 700 * width + 77;
  auto const map = draw<float>(height, width, zero_pixel, random);
  ThreadPool pool(2);
  // Nearly a mean of all; and one of few, as softmax over many pixels tends to be.
  for (float const scale : {0.01f, 4.0f}) {
    CAPTURE(scale);
    auto const mask = random_mask(random, scale);
    auto const expected = expected_context<float>(map.view(), mask);
    Identities<float> const block(mask);
    for (auto const* kernels : kernel_tables()) {
      std::string const isa = kernels->isa;
      if (isa == "scalar" || isa == "eigen") continue;  // slow, and the same sums
      INFO(isa);
      auto const found = block.context(*kernels, pool, map.view(), zero_pixel, Algorithm::direct);
      CHECK(largest_relative(found, expected) <= 8 * epsilon<float>);
    }
  }
}

TEST_CASE("scores of any size: the context is the mean of the pixels with the largest") {
  Random random(3);
  Index const height = 40, width = 50, zero_pixel = 3;
  auto map = draw<float>(height, width, zero_pixel, random);
  // Channel 0 makes the scores: 1 or 2, and 0 once.
  for (Index i = 0; i < height * width; ++i) {
    if (i != zero_pixel) map.view().pixel(0, i)[0] = i % 7 == 0 ? 2.0f : 1.0f;
  }
  std::vector<float> mask(static_cast<std::size_t>(channels));
  for (float const large : {1e4f, 1e30f, 1e38f, -1e4f, -1e30f, -1e38f}) {
    CAPTURE(large);
    mask[0] = large;
    std::vector<double> expected(static_cast<std::size_t>(channels));
    double count = 0.0;
    for (Index i = 0; i < height * width && large > 0.0f; ++i) {
      float const* const pixel = map.view().pixel(0, i);
      if (pixel[0] != 2.0f) continue;
      count += 1.0;
      for (std::size_t c = 0; c < expected.size(); ++c) expected[c] += static_cast<double>(pixel[c]);
    }
    // With the sign turned, the pixel of zeros has the largest score.
    for (double& value : expected) value = large > 0.0f ? value / count : 0.0;
    for (auto const* kernels : kernel_tables()) {
      INFO(std::string(kernels->isa));
      Identities<float> const block(mask);
      auto const found = block.context(*kernels, {}, map.view(), zero_pixel, Algorithm::direct);
      CHECK(largest_relative(found, expected) <= 8 * epsilon<float>);
    }
  }
}

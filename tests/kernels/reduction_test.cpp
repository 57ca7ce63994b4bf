// Sums over pixels, the largest and mean value of channels, and parts of means that a softmax weights: every table
// against the definitions in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"

using namespace mirnet;
using namespace test;

TEST_CASE("channel sums: all of the pitch, zeros for no pixels") {
  Random random(1);
  for (Index const pixels : {0, 1, 2, 7, 256, 1000}) {
    for (Index const pitch : {16, 48, 112}) {
      INFO(pixels, " pixels, pitch ", pitch);
      Buffer<float> input(pixels * pitch);
      fill(input.span(), random);
      auto expected = guarded<double>(pitch), magnitude = Buffer<double>(expected.size());
      std::fill_n(expected.data() + guard, pitch, 0.0);
      for (Index i = 0; i < input.size(); ++i) {
        expected[guard + i % pitch] += input[i];
        magnitude[guard + i % pitch] += std::abs(input[i]);
      }
      every_table([&]<class T>(KernelTable<T> const& kernels) {
        auto sums = guarded<T>(pitch);
        kernels.channel_sums(Buffer<T>(input).data(), pixels, pitch, sums.data() + guard);
        CHECK(mismatch(sums, expected, [&](Index i) { return 4 * epsilon<T> * magnitude[i]; }) == "");
      });
    }
  }
}

TEST_CASE("maximum and mean of channels: of these, not of the padding") {
  Random random(2);
  // Below zero, the padding's zeros would be the largest.
  for (float const largest : {1.0f, -1.0f}) {
    for (Index const channels : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64, 100}) {
      for (Index const pixels : {1, 2, 19}) {
        INFO(pixels, " pixels of ", channels, " channels up to ", largest);
        Index const pitch = pixel_pitch<float>(channels);
        Buffer<float> input(pixels * pitch);
        fill(View<float>(input.data(), {1, pixels, channels}), random, -3.0f, largest);
        auto maximum = guarded<double>(pixels), mean = guarded<double>(pixels);
        for (Index pixel = 0; pixel < pixels; ++pixel) {
          float const* const first = input.data() + pixel * pitch;
          maximum[guard + pixel] = *std::max_element(first, first + channels);
          double sum = 0.0;
          for (Index c = 0; c < channels; ++c) sum += first[c];
          mean[guard + pixel] = sum / static_cast<double>(channels);
        }
        every_table([&]<class T>(KernelTable<T> const& kernels) {
          auto own_maximum = guarded<T>(pixels), own_mean = guarded<T>(pixels);
          kernels.channel_max_mean(Buffer<T>(input).data(), pixels, channels, pitch, own_maximum.data() + guard,
                                   own_mean.data() + guard);
          CHECK(mismatch(own_maximum, maximum) == "");
          CHECK(mismatch(own_mean, mean, 8 * epsilon<T>) == "");
        });
      }
    }
  }
}

namespace {

/// A part by the definition.
Buffer<double> pooled(Buffer<double> const& input, Buffer<double> const& score, Index first, Index last) {
  Index const pitch = score.size();
  std::vector<double> scores;
  for (Index pixel = first; pixel < last; ++pixel) {
    double sum = 0.0;
    for (Index c = 0; c < pitch; ++c) sum += score[c] * input[pixel * pitch + c];
    scores.push_back(sum);
  }
  auto part = guarded<double>(pitch + 2);
  std::fill_n(part.data() + guard, pitch + 2, 0.0);
  part[guard] = *std::max_element(scores.begin(), scores.end());
  for (Index pixel = first; pixel < last; ++pixel) {
    double const weight = std::exp(scores[static_cast<std::size_t>(pixel - first)] - part[guard]);
    part[guard + 1] += weight;
    for (Index c = 0; c < pitch; ++c) part[guard + 2 + c] += weight * input[pixel * pitch + c];
  }
  return part;
}

/// The numbers of a part one behind the other, as pooled() has them, between guards; empty where something beside them
/// was touched.
template <class T>
Buffer<T> pooled(KernelTable<T> const& kernels, Buffer<T> const& input, Buffer<T> const& score, Index first,
                 Index last) {
  AttentionPool<T> const work{input.data(), score.size(), score.data()};
  auto part = guarded<T>(work.part_elements());
  kernels.attention_pool(work, first, last, part.data() + guard);
  auto const untouched_ends = guarded<T>(0);
  bool const good = std::equal(part.begin(), part.begin() + guard, untouched_ends.begin()) &&
                    std::equal(part.end() - guard, part.end(), untouched_ends.begin());
  auto result = guarded<T>(good ? 2 + work.pitch : 0);
  if (!good) return result;
  std::copy_n(part.data() + guard, 2, result.data() + guard);
  std::copy_n(part.data() + guard + work.sums, work.pitch, result.data() + guard + 2);
  return result;
}

}  // namespace

TEST_CASE("attention pool: parts of every length, of small scores and of large ones") {
  Random random(3);
  for (Index const pixels : {1, 2, 7, 16, 17, 255, 256}) {
    for (Index const pitch : {16, 48, 112}) {
      for (float const scale : {0.01f, 1.0f, 10.0f}) {
        INFO(pixels, " pixels, pitch ", pitch, ", scores up to ", scale);
        Index const first = pixels % 3, last = first + pixels;
        Buffer<float> input((last + 1) * pitch), score(pitch);
        fill(input.span(), random), fill(score.span(), random, -scale, scale);
        auto const expected = pooled(Buffer<double>(input), Buffer<double>(score), first, last);
        double scores = 0.0;  // what they are rounded by
        for (Index c = 0; c < pitch; ++c) scores += std::abs(static_cast<double>(score[c]));
        every_table([&]<class T>(KernelTable<T> const& kernels) {
          auto const found = pooled(kernels, Buffer<T>(input), Buffer<T>(score), first, last);
          // Weights are at most 1, and wrong by what their exponents are.
          CHECK(mismatch(found, expected, [&](Index i) {
                  double const of_scores = 4 * epsilon<T> * scores;
                  if (i <= guard) return i < guard ? 0.0 : of_scores;
                  return (of_scores + 8 * epsilon<T>)*expected[guard + 1];
                }) == "");
        });
      }
    }
  }
}

TEST_CASE("attention pool: scores of any size, of which only the largest count") {
  // Channel 0 alone makes the scores: 0 to 3 times a number of any size.
  constexpr Index pitch = 32;
  Random random(4);
  Buffer<float> input(256 * pitch), score(pitch);
  for (Index const pixels : {1, 100, 256}) {
    for (float const large : {1e4f, 1e30f, 1e38f, -1e4f, -1e30f, -1e38f}) {
      INFO(pixels, " pixels, scores of up to 3 times ", large);
      fill(input.span(), random);
      for (Index i = 0; i < 256; ++i) input[i * pitch] = static_cast<float>(random.between(0, 3));
      score[0] = large;
      float best = input[0];
      for (Index i = 0; i < pixels; ++i) {
        best = large > 0.0f ? std::max(best, input[i * pitch]) : std::min(best, input[i * pitch]);
      }
      auto expected = guarded<double>(2 + pitch);
      std::fill_n(expected.data() + guard, 2 + pitch, 0.0);
      expected[guard] = static_cast<double>(best * large);
      for (Index i = 0; i < pixels; ++i) {
        if (input[i * pitch] != best) continue;
        expected[guard + 1] += 1.0;
        for (Index c = 0; c < pitch; ++c) expected[guard + 2 + c] += static_cast<double>(input[i * pitch + c]);
      }
      every_table([&]<class T>(KernelTable<T> const& kernels) {
        auto found = pooled(kernels, Buffer<T>(input), Buffer<T>(score), 0, pixels);
        CHECK(static_cast<double>(found[guard]) == doctest::Approx(expected[guard]).epsilon(1e-6));
        found[guard] = static_cast<T>(expected[guard]);  // which is far larger than the others
        CHECK(mismatch(found, expected, [&](Index i) {
                return 4 * epsilon<T> * std::abs(expected[i == guard ? guard : guard + 1]);
              }) == "");
      });
    }
  }
}

TEST_CASE("attention pool: scores that are no numbers, or infinite, do no harm") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    T const infinity = std::numeric_limits<T>::infinity();
    for (T const value : {std::numeric_limits<T>::quiet_NaN(), infinity, -infinity}) {
      Buffer<T> input(7 * 16, T(1)), score(16, T(1));
      input[3 * 16] = value;
      auto const found = pooled(kernels, input, score, 0, 7);
      CHECK(found.size() == 2 * guard + 2 + 16);
      if (value != -infinity) CHECK(std::isnan(found[guard + 2]));
    }
  });
}

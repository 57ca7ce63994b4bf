// Sums over pixels, and the largest and mean value of channels: every table against the definitions in double.
#include <doctest/doctest.h>

#include <algorithm>

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

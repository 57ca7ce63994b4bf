// Normalized pixels, and softmax over the channels or (in parts) over the pixels: every table against the definitions
// in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/slice.hpp"

using namespace mirnet;
using namespace test;

namespace {

struct Moments {
  double mean = 0.0, variance = 0.0;
};

Moments moments_of(std::span<double const> values) {
  Moments moments;
  auto const count = static_cast<double>(values.size());
  for (double const x : values) moments.mean += x / count;
  for (double const x : values) moments.variance += (x - moments.mean) * (x - moments.mean) / count;
  return moments;
}

/// The channels of a pixel.
std::span<double const> pixel_of(std::vector<double> const& values, Index pixel, Index channels) {
  return std::span(values).subspan(static_cast<std::size_t>(pixel * channels), static_cast<std::size_t>(channels));
}

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("normalized pixels: of any mean, with numbers for each channel or without, in place or not") {
  Random random(31);
  each_size(random, [&](Index pixels, Index channels, Index between, Index other) {
    float const centre = random.pick({0.0f, 1.0f, -100.0f});
    bool const affine = random.between(0, 1) == 1;
    double const eps = random.pick({1e-5, 1e-6, 0.5});
    INFO(pixels, " pixels of ", channels, " channels around ", centre, ", ", between, " and ", other, " lines between",
         std::string(affine ? ", affine" : ""), ", eps ", eps);
    auto const values = numbers(pixels * channels, random, centre - 1.0f, centre + 1.0f);
    auto const scales = numbers(channels, random, -2.0f, 2.0f), shifts = numbers(channels, random);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      auto const scale = in_lines<T>(scales), shift = in_lines<T>(shifts);
      Slice<T> input(values, pixels, channels, between), output(pixels, channels, other);
      Normalization<T> work{input.data(),
                            input.pitch(),
                            output.data(),
                            output.pitch(),
                            channels,
                            affine ? scale.data() : nullptr,
                            affine ? shift.data() : nullptr,
                            eps};
      in_ranges(pixels, pixels, &random, [&](Index first, Index last) { kernels.normalize(work, first, last); });
      auto const normalized = [&](Index pixel, Index c) {
        Moments const moments = moments_of(pixel_of(values, pixel, channels));
        return (values[input.index(pixel, c)] - moments.mean) / std::sqrt(moments.variance + eps);
      };
      auto const bound = [&](Index pixel, Index c) {
        auto const of_pixel = pixel_of(values, pixel, channels);
        Moments const moments = moments_of(of_pixel);
        // The mean is rounded as the numbers are that it is of, and so are their sums.
        double const off =
            (3.0 + static_cast<double>(channels) / 8.0) * epsilon<Accumulator<T>> * (std::abs(moments.mean) + 1.0);
        double const factor = affine ? std::abs(scales[static_cast<std::size_t>(c)]) : 1.0;
        return factor * off / std::sqrt(moments.variance + eps) +
               3 * rounding<T> * (1.0 + factor * std::abs(normalized(pixel, c)));
      };
      CHECK(output.mismatch(
                [&](Index pixel, Index c) {
                  auto const i = static_cast<std::size_t>(c);
                  return affine ? normalized(pixel, c) * scales[i] + shifts[i] : normalized(pixel, c);
                },
                bound) == "");
      work.output = input.data(), work.output_pitch = input.pitch();
      kernels.normalize(work, 0, pixels);
      CHECK(input.mismatch([&](Index pixel, Index c) { return output(pixel, c); }, [](Index, Index) { return 0.0; }) ==
            "");
    });
  });
}

TEST_CASE("normalized pixels that hold an infinity: no numbers, and zeros in the padding still") {
  std::vector<double> const values{1.0, infinity, 2.0, 3.0, 3.0, 3.0};
  auto const exactly = [](Index, Index) { return 0.0; };
  every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
    Buffer<T> const ones = in_lines<T>({1, 1, 1});
    for (T const* const scale : {static_cast<T const*>(nullptr), ones.data()}) {
      Slice<T> map(values, 2, 3);
      kernels.normalize({map.data(), map.pitch(), map.data(), map.pitch(), 3, scale, scale, 1e-5}, 0, 2);
      double const of_equal = scale == nullptr ? 0.0 : 1.0;
      CHECK(map.mismatch([&](Index pixel, Index) { return pixel == 0 ? not_a_number : of_equal; }, exactly) == "");
    }
  });
}

TEST_CASE("softmax of channels: of numbers of any size, each pixel for itself") {
  Random random(32);
  each_size(random, [&](Index pixels, Index channels, Index between, Index) {
    float const largest = random.pick({1.0f, 20.0f, 300.0f});
    INFO(pixels, " pixels of ", channels, " channels up to ", largest, ", ", between, " lines between");
    auto const values = numbers(pixels * channels, random, -largest, largest);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      Slice<T> map(values, pixels, channels, between);
      in_ranges(pixels, pixels, &random, [&](Index first, Index last) {
        kernels.softmax_of_channels(map.data() + first * map.pitch(), last - first, channels, map.pitch());
      });
      auto const expected = [&](Index pixel, Index c) {
        auto const of_pixel = pixel_of(values, pixel, channels);
        double const most = *std::ranges::max_element(of_pixel);
        double sum = 0.0;
        for (double const x : of_pixel) sum += std::exp(x - most);
        return std::exp(values[map.index(pixel, c)] - most) / sum;
      };
      CHECK(map.mismatch(expected, [&](Index pixel, Index c) {
        // The difference from the largest is exact to a unit in its last place.
        double const sums = epsilon<Accumulator<T>> * (4.0 + static_cast<double>(channels) / 4.0 + largest);
        return expected(pixel, c) * (2 * epsilon<T> + sums) + 1e-37;
      }) == "");
    });
  });
}

TEST_CASE("softmax of channels with infinities and no numbers is PyTorch's") {
  struct {
    std::vector<double> values, expected;
  } const cases[] = {{{0.0, -infinity, 0.0}, {0.5, 0.0, 0.5}},
                     {{0.0, infinity, 1.0}, {not_a_number, not_a_number, not_a_number}},
                     {{0.0, 1.0, not_a_number}, {not_a_number, not_a_number, not_a_number}},
                     {{not_a_number, 1.0, 0.0}, {not_a_number, not_a_number, not_a_number}},
                     {{-infinity, -infinity, -infinity}, {not_a_number, not_a_number, not_a_number}},
                     {{3e38, -3e38, 3e38}, {0.5, 0.0, 0.5}}};
  every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
    for (auto const& softmax : cases) {
      auto const& values = softmax.values;
      INFO(values[0], ", ", values[1], ", ", values[2]);
      Slice<T> map(values, 1, 3);
      kernels.softmax_of_channels(map.data(), 1, 3, map.pitch());
      CHECK(map.mismatch([&](Index, Index c) { return softmax.expected[static_cast<std::size_t>(c)]; },
                         [](Index, Index) { return 0.0; }) == "");
    }
  });
}

TEST_CASE("sums over pixels of squares and of exponentials, of whole lines of channels") {
  Random random(33);
  for (Index const pixels : {1, 2, 3, 5, 16, 100, 256}) {
    for (Index const lines : {1, 2, 5}) {
      INFO(pixels, " pixels, ", lines, " lines");
      Index const most = lines * channels_per_line<bfloat16>;
      auto const values = numbers(pixels * most, random, -2.0f, 2.0f), centres = numbers(most, random);
      every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
        using Sum = Accumulator<T>;
        Index const count = lines * channels_per_line<T>;
        Slice<T> map(std::vector(values.begin(), values.begin() + pixels * count), pixels, count, 1);
        Slice<T> const before = map;
        Buffer<Sum> centre(count);
        for (Index c = 0; c < count; ++c) centre[c] = static_cast<Sum>(centres[static_cast<std::size_t>(c)]);

        auto const check = [&](Buffer<Sum> const& sums, auto value) {
          auto expected = guarded<double>(count);
          std::fill_n(expected.data() + guard, count, 0.0);
          for (Index pixel = 0; pixel < pixels; ++pixel) {
            for (Index c = 0; c < count; ++c) {
              expected[guard + c] += value(before(pixel, c) - static_cast<double>(centre[c]));
            }
          }
          CHECK(mismatch(sums, expected, [&](Index i) {
                  return epsilon<Sum> * (4.0 + static_cast<double>(pixels) / 2.0) * std::abs(expected[i]);
                }) == "");
        };
        auto squares = guarded<Sum>(count), exponentials = guarded<Sum>(count);
        kernels.channel_squares(map.data(), pixels, map.pitch(), count, centre.data(), squares.data() + guard);
        CHECK(same_bits(map.buffer(), before.buffer()));
        check(squares, [](double x) { return x * x; });
        kernels.channel_exponentials(map.data(), pixels, map.pitch(), count, centre.data(),
                                     exponentials.data() + guard);
        check(exponentials, [](double x) { return std::exp(x); });
        auto const exponential = [&](Index pixel, Index c) {
          return std::exp(before(pixel, c) - static_cast<double>(centre[c]));
        };
        CHECK(map.mismatch(exponential,
                           [&](Index pixel, Index c) { return 3 * rounding<T> * exponential(pixel, c); }) == "");
      });
    }
  }
}

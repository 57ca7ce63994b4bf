// The largest and the mean value of windows, and interpolation between pixels: every table against the definitions in
// double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/slice.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// What a pool is, but for the maps.
struct Windows {
  Index height, width, channels, window_height, window_width, stride, padding;
  bool largest, counts_padding;

  /// Windows that have a pixel of the map, in an extent of `size` pixels: with all that lie in the map and its padding,
  /// and one that reaches beyond.
  Index count(Index size, Index window) const {
    Index windows = 1;
    while (windows * stride - padding < size && (windows - 1) * stride - padding + window < size + padding) ++windows;
    return windows;
  }
  Index rows() const { return count(height, window_height); }
  Index columns() const { return count(width, window_width); }

  template <class T>
  Pooling<T> work(Slice<T> const& input, Slice<T>& output) const {
    return {input.data(), height,  width,   input.pitch(),  channels,      window_height, window_width,
            stride,       padding, largest, counts_padding, output.data(), columns(),     output.pitch()};
  }

  /// at(row, column) of the input.
  template <class At>
  double expected(Index y, Index x, At at) const {
    double result = largest ? -std::numeric_limits<double>::infinity() : 0.0;
    Index pixels = 0;
    for (Index iy = y * stride - padding; iy < y * stride - padding + window_height; ++iy) {
      for (Index ix = x * stride - padding; ix < x * stride - padding + window_width; ++ix) {
        bool const inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
        pixels += inside || (counts_padding && iy < height + padding && ix < width + padding);
        if (!inside) continue;
        double const value = at(iy, ix);
        if (!largest) result += value;
        if (largest && (value > result || std::isnan(value))) result = value;
      }
    }
    return largest ? result : result / static_cast<double>(pixels);
  }
};

}  // namespace

TEST_CASE("pools of windows of every size, at every border, with padding that counts or not") {
  Random random(41);
  auto const check = [&](Windows const& w) {
    Index const between = random.between(0, 2), other = random.between(0, 2);
    INFO(w.width, "x", w.height, " pixels of ", w.channels, " channels, windows of ", w.window_width, "x",
         w.window_height, ", stride ", w.stride, ", padding ", w.padding,
         std::string(w.counts_padding ? ", which counts" : ""), std::string(w.largest ? ", largest" : ", mean"));
    Index const pixels = w.rows() * w.columns();
    auto const values = numbers(w.height * w.width * w.channels, random);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      Slice<T> const input(values, w.height * w.width, w.channels, between);
      Slice<T> output(pixels, w.channels, other);
      auto const work = w.work(input, output);
      in_ranges(w.rows(), w.rows(), &random, [&](Index first, Index last) { kernels.pool(work, first, last); });
      CHECK(output.mismatch(
                [&](Index pixel, Index c) {
                  return w.expected(pixel / w.columns(), pixel % w.columns(),
                                    [&](Index y, Index x) { return input(y * w.width + x, c); });
                },
                [&](Index, Index) {
                  double const sums = static_cast<double>(w.window_height * w.window_width) / 8.0;
                  return w.largest ? 0.0 : 2 * rounding<T> + epsilon<Accumulator<T>> * sums;
                }) == "");
    });
  };
  for (Index const channels : {1, 3, 16, 17, 33, 70}) {
    check({1, 1, channels, 1, 1, 1, 0, true, true});
    check({1, 1, channels, 3, 3, 2, 1, false, true});
    check({6, 5, channels, 2, 2, 2, 0, true, true});
    check({7, 9, channels, 3, 3, 2, 1, false, false});
    check({7, 9, channels, 1, 9, 1, 0, true, true});
  }
  for (int i = 0; i < (test::slow ? 40 : 150); ++i) {
    Index const window_height = random.between(1, 5), window_width = random.between(1, 5);
    Windows const windows{random.between(1, 12),
                          random.between(1, 12),
                          random.between(1, 70),
                          window_height,
                          window_width,
                          random.between(1, 6),
                          random.between(0, std::min(window_height, window_width) / 2),
                          random.between(0, 1) == 1,
                          random.between(0, 1) == 1};
    check(windows);
  }
}

TEST_CASE("the largest value: negative, infinite or no number, wherever in the window") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  Windows const windows{2, 2, 1, 3, 3, 4, 1, true, true};
  for (std::vector<double> const& values :
       {std::vector{-3.0, -1.0, -2.0, -4.0}, std::vector(4, -infinity), std::vector{-infinity, -5.0, 1.0, infinity},
        std::vector{not_a_number, 1.0, 2.0, 3.0}, std::vector{1.0, not_a_number, 2.0, 3.0},
        std::vector{1.0, 2.0, 3.0, not_a_number}}) {
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      Slice<T> const input(values, 4, 1);
      Slice<T> output(1, 1);
      kernels.pool(windows.work(input, output), 0, 1);
      CHECK(output.mismatch(
                [&](Index, Index) {
                  return windows.expected(0, 0, [&](Index y, Index x) { return input(2 * y + x, 0); });
                },
                [](Index, Index) { return 0.0; }) == "");
    });
  }
}

TEST_CASE("interpolation by any weights between any rows and columns, split into any rows") {
  Random random(42);
  for (int i = 0; i < (test::slow ? 40 : 120); ++i) {
    Index const height = random.between(1, 9), width = random.between(1, 9), rows = random.between(1, 12);
    Index const columns = random.between(1, 12), taps = random.pick({Index{1}, Index{2}, Index{4}});
    Index const channels = i < 12 ? random.pick({Index{1}, Index{3}, Index{16}, Index{17}}) : random.between(1, 70);
    Index const between = random.between(0, 2), other = random.between(0, 2);
    INFO(width, "x", height, " to ", columns, "x", rows, ", ", channels, " channels, ", taps, " taps, ", between,
         " and ", other, " lines between");
    auto const values = numbers(height * width * channels, random);
    std::vector<Index> row_places, column_places;
    for (Index at = 0; at < rows * taps; ++at) row_places.push_back(random.between(0, height - 1));
    for (Index at = 0; at < columns * taps; ++at) column_places.push_back(random.between(0, width - 1));
    auto const row_weights = taps == 1 ? std::vector(row_places.size(), 1.0) : numbers(rows * taps, random);
    auto const column_weights = taps == 1 ? std::vector(column_places.size(), 1.0) : numbers(columns * taps, random);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      using Sum = Accumulator<T>;
      Slice<T> const input(values, height * width, channels, between);
      Slice<T> output(rows * columns, channels, other);
      Buffer<Sum> const of_rows = in_lines<Sum>(row_weights), of_columns = in_lines<Sum>(column_weights);
      Interpolated<T> const work{
          input.data(),         width,          input.pitch(),     channels,      taps,    row_places.data(),
          column_places.data(), of_rows.data(), of_columns.data(), output.data(), columns, output.pitch()};
      Buffer<Sum> scratch(work.scratch_elements());
      in_ranges(rows, rows, &random,
                [&](Index first, Index last) { kernels.interpolate(work, first, last, scratch.data()); });
      auto const sum = [&](Index pixel, Index c, auto term) {
        double total = 0.0;
        for (Index row = pixel / columns * taps; row < (pixel / columns + 1) * taps; ++row) {
          for (Index column = pixel % columns * taps; column < (pixel % columns + 1) * taps; ++column) {
            auto const r = static_cast<std::size_t>(row), k = static_cast<std::size_t>(column);
            total += term(row_weights[r] * column_weights[k] * input(row_places[r] * width + column_places[k], c));
          }
        }
        return total;
      };
      CHECK(output.mismatch([&](Index pixel, Index c) { return sum(pixel, c, [](double x) { return x; }); },
                            [&](Index pixel, Index c) {
                              return taps == 1 ? 0.0
                                               : 2 * rounding<T> * sum(pixel, c, [](double x) { return std::abs(x); });
                            }) == "");
    });
  }
}

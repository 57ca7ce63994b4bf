// The end of a downsampler, which blurs two maps and projects both: every table against the definitions of blur and
// 1x1 convolution in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <ostream>

#include "support/buffer.hpp"
#include "support/kernel_operands.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/rows_copy.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

constexpr double roundings = 4.0;
constexpr int branches = BlurredProjection<float>::branches;

template <class T>
struct Operands {
  Buffer<T> inputs[branches], weights[branches];

  Operands magnitudes() const {
    return {{inputs[0].magnitudes(), inputs[1].magnitudes()}, {weights[0].magnitudes(), weights[1].magnitudes()}};
  }
};

/// Which rows of the maps are there while a band of the output is computed.
enum class Bands {
  none,   // all, and all of the output is one band
  first,  // those that the band needs of the first map, all of the second
  both,   // those that the band needs
};

struct Shrinking {
  Index height, width;  // of the output
  Index channels, groups;

  Index pitch() const { return pixel_pitch<float>(channels); }
  Index columns() const { return groups * channels_per_line<float>; }
  Index input_row() const { return 2 * width * pitch(); }

  friend std::ostream& operator<<(std::ostream& out, Shrinking const& c) {
    return out << "from " << 2 * c.height << 'x' << 2 * c.width << 'x' << c.channels << " to " << c.height << 'x'
               << c.width << 'x' << c.columns();
  }

  Operands<float> draw(Random& random) const {
    Operands<float> operands;
    for (int branch = 0; branch < branches; ++branch) {
      operands.inputs[branch] = random_map(4 * height * width, channels, random);
      operands.weights[branch] = Buffer<float>(channels * columns());
      fill(operands.weights[branch].span(), random);
    }
    return operands;
  }

  template <class T>
  Operands<T> converted(Operands<float> const& from) const {
    return {{Buffer<T>(from.inputs[0]), Buffer<T>(from.inputs[1])},
            {repacked<T>(from.weights[0], channels), repacked<T>(from.weights[1], channels)}};
  }

  /// By the definitions.
  Buffer<double> expected(Operands<double> const& operands) const {
    constexpr double taps[] = {0.25, 0.5, 0.25};
    auto output = guarded<double>(height * width * columns());
    std::fill(output.data() + guard, output.data() + output.size() - guard, 0.0);
    for (int branch = 0; branch < branches; ++branch) {
      for (Index y = 0; y < height; ++y) {
        for (Index x = 0; x < width; ++x) {
          for (Index c = 0; c < channels; ++c) {
            double blurred = 0.0;
            for (Index dy = 0; dy < 3; ++dy) {
              for (Index dx = 0; dx < 3; ++dx) {
                // Row -1 is row 1: the border is reflected without the edge.
                Index const iy = std::abs(2 * y + dy - 1), ix = std::abs(2 * x + dx - 1);
                blurred += taps[dy] * taps[dx] * operands.inputs[branch][iy * input_row() + ix * pitch() + c];
              }
            }
            for (Index o = 0; o < columns(); ++o) {
              output[guard + (y * width + x) * columns() + o] +=
                  blurred * operands.weights[branch][packed_position<double>(channels, o, c)];
            }
          }
        }
      }
    }
    return output;
  }

  /// The output with its guards. With `split`, in pieces of any length.
  template <class T>
  Buffer<T> run(KernelTable<T> const& kernels, Operands<T> const& operands, Random* split = nullptr,
                Bands bands = Bands::none) const {
    auto output = guarded<T>(height * width * columns());
    in_ranges(height, bands == Bands::none ? height : 3, bands == Bands::none ? nullptr : split,
              [&](Index first, Index last) {
                Index const top = std::max<Index>(2 * first - 1, 0);
                RowsCopy<T> const copies[] = {{operands.inputs[0].data(), input_row(), top, 2 * last - top},
                                              {operands.inputs[1].data(), input_row(), top, 2 * last - top}};
                auto const blur = [&](int branch, bool copy) {
                  return Resampling<T>{.input = copy ? copies[branch].data() : operands.inputs[branch].data(),
                                       .height = 2 * height,
                                       .width = 2 * width,
                                       .pitch = pitch(),
                                       .output = nullptr,
                                       .input_first_row = copy ? top : 0,
                                       .first_row = first};
                };
                BlurredProjection<T> const work{.blur = {blur(0, bands != Bands::none), blur(1, bands == Bands::both)},
                                                .channels = channels,
                                                .weights = {operands.weights[0].data(), operands.weights[1].data()},
                                                .output = output.data() + guard + first * width * columns(),
                                                .output_lines = columns() / channels_per_line<T>};
                ProjectionPlan const plan = kernels.plan_blurred_projection(work);
                Buffer<std::byte> prepared(plan.weights_bytes);
                kernels.prepare_blurred_projection(work, prepared.data());
                in_ranges((last - first) * width, kernels.work_tile_pixels, split, [&](Index begin, Index end) {
                  Buffer<T> poisoned(divide_up(plan.scratch_bytes, sizeof(T)), std::numeric_limits<T>::quiet_NaN());
                  kernels.blurred_projection(work, prepared.data(), begin, end,
                                             reinterpret_cast<std::byte*>(poisoned.data()));
                });
              });
    return output;
  }
};

}  // namespace

TEST_CASE("blurred projection: sizes, channels and groups, in pieces and bands of any size") {
  struct {
    Index height, width;
  } const sizes[] = {{1, 1}, {1, 2}, {2, 1}, {9, 1}, {7, 13}, {1, 84}, {1, 85}, {12, 9}};
  Random random(1);
  Cases cases(7);
  for (auto const size : sizes) {
    for (Index const channels : {1, 3, 15, 16, 17, 24, 64, 100}) {
      if (cases.next_is_left_out()) continue;
      Shrinking const shape{size.height, size.width, channels, random.between(1, 5)};
      CAPTURE(shape);
      auto const operands = shape.draw(random);
      auto const exact = shape.converted<double>(operands);
      auto const expected = shape.expected(exact), magnitude = shape.expected(exact.magnitudes());
      every_table([&]<class T>(KernelTable<T> const& kernels) {
        auto const own = shape.converted<T>(operands);
        auto const result = shape.run(kernels, own);
        CHECK(mismatch(result, expected, [&](Index i) { return roundings * epsilon<T> * std::abs(magnitude[i]); }) ==
              "");
        CHECK(same_bits(result, shape.run(kernels, own, &random)));
        CHECK(same_bits(result, shape.run(kernels, own, &random, Bands::first)));
        CHECK(same_bits(result, shape.run(kernels, own, &random, Bands::both)));
      });
    }
  }
}

TEST_CASE("blurred projection: each map with its own weights") {
  // 2x2 pixels: the border is reflected, so the one output sees a quarter of each.
  constexpr Index group = channels_per_line<float>;
  Shrinking const shape{1, 1, 2, 1};
  Operands<float> operands;
  for (int branch = 0; branch < branches; ++branch) {
    operands.inputs[branch] = Buffer<float>(4 * group);
    operands.weights[branch] = Buffer<float>(2 * group);
  }
  for (Index pixel = 0; pixel < 4; ++pixel) {
    operands.inputs[0][pixel * group] = static_cast<float>(4 * pixel);       // the mean is 6
    operands.inputs[1][pixel * group + 1] = static_cast<float>(80 * pixel);  // and 120
  }
  // Weight (o, k) is at k*16 + o.
  operands.weights[0][0] = 1.0f, operands.weights[0][1] = 0.5f;
  operands.weights[1][group + 1] = 1.0f, operands.weights[1][group + 2] = -1.0f;
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const output = shape.run(kernels, shape.converted<T>(operands));
    CHECK(output[guard] == T(6));
    CHECK(output[guard + 1] == T(123));
    CHECK(output[guard + 2] == T(-120));
    CHECK(output[guard + 3] == T(0));
  });
}

// Depthwise convolutions of every table, of bfloat16 too, against the plain ones in double on the same values: with
// kernels that have tiles and with others, and maps that tiles do not divide. Results may not depend on the rows and
// work tiles that the work is split into, and nothing is read or written that the contract (kernels/table.hpp) does not
// name.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <span>
#include <string>

#include <mirnet/layers/parameter.hpp>

#include "support/buffer.hpp"
#include "support/kernel_operands.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/rows_copy.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

enum class Residual { none, added, subtracted_from, in_place };
enum class Slope { none, one, of_channels };

template <class T>
struct Operands {
  Buffer<T> input{}, weights{}, bias{}, slopes{}, residual{}, output{};

  Operands magnitudes() const {
    return {input.magnitudes(),    weights.magnitudes(), bias.magnitudes(), slopes,
            residual.magnitudes(), output.magnitudes()};
  }
};

struct Case {
  Index height, width, channels, kernel, stride, padding, dilation = 1;
  PaddingMode mode = PaddingMode::zeros;
  Slope slope = Slope::none;
  Residual residual = Residual::none;
  bool biased = false;
  Index spread = 1;   // 2: an output whose odd rows and columns are not this convolution's
  Index further = 0;  // lines of a pixel of the input that are not this convolution's

  Index lines() const { return divide_up(channels, channels_per_line<float>); }
  Index columns() const { return lines() * channels_per_line<float>; }
  Index input_pitch() const { return columns() + further * channels_per_line<float>; }
  Index taps() const { return kernel * kernel; }
  Index output_size(Index size) const {
    return std::max<Index>(1, (size + 2 * padding - (kernel - 1) * dilation - 1) / stride + 1);
  }
  Index output_row_step() const { return spread * output_size(width) * spread * columns(); }
  Index output_elements() const { return spread * output_size(height) * output_row_step() / spread; }

  friend std::ostream& operator<<(std::ostream& out, Case const& c) {
    char const* const modes[] = {"zeros", "reflect", "replicate"};
    char const* const slopes[] = {"no slope", "a slope", "slopes of channels"};
    char const* const residuals[] = {"no", "an added", "a subtracting", "an in-place"};
    return out << c.kernel << 'x' << c.kernel << " stride " << c.stride << " dilation " << c.dilation << " padding "
               << c.padding << " of " << modes[static_cast<int>(c.mode)] << ", " << c.height << 'x' << c.width << 'x'
               << c.channels << " of pitch " << c.input_pitch() << ", " << slopes[static_cast<int>(c.slope)] << ", "
               << residuals[static_cast<int>(c.residual)] << " residual" << (c.biased ? ", bias" : "") << ", spread "
               << c.spread;
  }

  /// Numbers that a bfloat16 holds, the same for every type.
  Operands<float> draw(Random& random) const {
    auto const number = [&] { return static_cast<float>(bfloat16(random.uniform())); };
    Operands<float> operands{.input = Buffer<float>(height * width * input_pitch()),
                             .weights = Buffer<float>(taps() * columns()),
                             .bias = Buffer<float>(columns()),
                             .slopes = Buffer<float>(columns()),
                             .residual = guarded<float>(output_elements()),
                             .output = guarded<float>(output_elements())};
    for (Index pixel = 0; pixel < height * width; ++pixel) {
      float* const in = operands.input.data() + pixel * input_pitch();
      for (Index c = 0; c < channels; ++c) in[c] = number();
      std::fill(in + columns(), in + input_pitch(), std::numeric_limits<float>::quiet_NaN());
    }
    for (Index c = 0; c < channels; ++c) {
      for (Index tap = 0; tap < taps(); ++tap) operands.weights[packed_position<float>(taps(), c, tap)] = number();
      operands.bias[c] = number();
      operands.slopes[c] = number();
    }
    Buffer<float>& residuals = residual == Residual::in_place ? operands.output : operands.residual;
    for (Index i = 0; i < output_elements(); ++i) residuals[guard + i] = number();
    return operands;
  }

  template <class T>
  Operands<T> converted(Operands<float> const& from) const {
    return {Buffer<T>(from.input),  repacked<T>(from.weights, taps()), Buffer<T>(from.bias),
            Buffer<T>(from.slopes), Buffer<T>(from.residual),          Buffer<T>(from.output)};
  }

  template <class T>
  Convolution<T> work(Operands<T> const& operands, Buffer<T>& output) const {
    return {.input = operands.input.data(),
            .height = height,
            .width = width,
            .channels = channels,
            .input_pitch = input_pitch(),
            .weights = operands.weights.data(),
            .bias = biased ? operands.bias.data() : nullptr,
            .kernel_height = kernel,
            .kernel_width = kernel,
            .stride = stride,
            .pad_top = padding,
            .pad_left = padding,
            .dilation = dilation,
            .padding_mode = mode,
            .groups = channels,
            .output_channels = channels,
            .output = output.data() + guard,
            .output_height = output_size(height),
            .output_width = output_size(width),
            .output_lines = columns() / channels_per_line<T>,
            .output_row_step = output_row_step(),
            .output_pixel_step = spread * columns(),
            .residual = residual == Residual::none       ? nullptr
                        : residual == Residual::in_place ? output.data() + guard
                                                         : operands.residual.data() + guard,
            .subtracts = residual == Residual::subtracted_from,
            .slope = static_cast<T>(slope == Slope::one ? 0.25f : 1.0f),
            .slopes = slope == Slope::of_channels ? operands.slopes.data() : nullptr};
  }

  /// The output with its guards. With `split`, in parts of some rows whose work tiles are computed backwards, from no
  /// other rows of the input than those under the kernel.
  template <class T>
  Buffer<T> run(KernelTable<T> const& kernels, Operands<T> const& operands, Random* split = nullptr) const {
    Buffer<T> output = operands.output;
    Convolution<T> const whole = work(operands, output);
    ConvolutionPlan const plan = kernels.plan_convolution(whole, Algorithm::automatic);
    Buffer<float> prepared(divide_up(plan.weights_bytes, sizeof(float)), std::numeric_limits<float>::quiet_NaN());
    auto* const weights = reinterpret_cast<std::byte*>(prepared.data());
    for (Index item = plan.weights_items; item-- > 0;) kernels.prepare_weights(whole, plan, item, weights);
    for (Index row = 0; row < whole.output_height;) {
      Convolution<T> part = whole;
      part.first_row = row;
      if (split != nullptr) part.output_height = std::min(split->between(1, 9), whole.output_height - row);
      part.output += row * whole.output_row_step;
      part.residual = advance(part.residual, row * whole.output_row_step);
      Index first = height, end = 0;
      for (Index y = row; y < row + part.output_height; ++y) {
        for (Index tap = 0; tap < kernel; ++tap) {
          Index const iy = padded_index(mode, y * stride - padding + tap * dilation, height);
          if (iy >= 0) first = std::min(first, iy), end = std::max(end, iy + 1);
        }
      }
      first = std::min(first, end);
      RowsCopy<T> const rows_needed(whole.input, width * input_pitch(), first, end - first);
      if (split != nullptr) part.input = rows_needed.data(), part.input_first_row = first;
      for (Index tile = kernels.convolution_work_tiles(part, plan); tile-- > 0;) {
        Buffer<float> scratch(divide_up(plan.scratch_bytes, sizeof(float)), std::numeric_limits<float>::quiet_NaN());
        kernels.convolution(part, plan, weights, tile, reinterpret_cast<std::byte*>(scratch.data()));
      }
      row += part.output_height;
    }
    return output;
  }
};

/// Every table against the plain kernels in double.
void check(Case const& c, Random& random) {
  CAPTURE(c);
  auto const operands = c.draw(random);
  auto const exact = c.converted<double>(operands);
  auto const expected = c.run(plain_kernels<double>(), exact);
  Case largest = c;  // with nothing that makes a result smaller than its summands
  largest.slope = Slope::none;
  if (c.residual == Residual::subtracted_from) largest.residual = Residual::added;
  auto const magnitude = largest.run(plain_kernels<double>(), exact.magnitudes());

  auto const check_table = [&]<class T>(KernelTable<T> const& kernels, double result_rounding) {
    using Sum = Accumulator<T>;
    auto const own = c.converted<T>(operands);
    auto const bound = [&](Index i) {
      return 4.0 * epsilon<Sum> * std::abs(magnitude[i]) + result_rounding * std::abs(expected[i]);
    };
    auto const result = c.run(kernels, own), split = c.run(kernels, own, &random);
    CHECK(mismatch(result, expected, bound) == "");
    if (std::string(kernels.isa) == "eigen") {  // which chooses its product by the size of the work tile
      CHECK(mismatch(split, expected, bound) == "");
    } else {
      CHECK(same_bits(result, split));
    }
  };
  every_table([&](auto const& kernels) { check_table(kernels, 0.0); });
  for (auto const& set : bfloat16_tables()) {
    INFO(std::string(set.halves->isa), " kernels of bfloat16");
    check_table(*set.halves, 0x1p-8);
  }
}

struct Size {
  Index height, width;
};

/// Fewer and more pixels than tiles have, and more than work tiles have.
constexpr Size sizes[] = {{1, 1},  {1, 2},  {2, 1},   {3, 3},   {4, 7},   {7, 4},   {8, 8},  {9, 9},
                          {5, 17}, {17, 5}, {16, 16}, {15, 23}, {33, 41}, {3, 150}, {90, 6}, {37, 70}};
constexpr Index channel_counts[] = {2, 3, 8, 15, 16, 17, 24, 31, 32, 33, 48, 49, 64, 70};

Case any_case(Size size, Index kernel, Index stride, Index dilation, Random& random) {
  Case c{.height = size.height,
         .width = size.width,
         .channels = random.pick(channel_counts),
         .kernel = kernel,
         .stride = stride,
         .padding = random.between(0, 1) == 0 ? kernel / 2 : random.between(0, kernel),
         .dilation = dilation,
         .mode = random.pick({PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate}),
         .slope = random.pick({Slope::none, Slope::one, Slope::of_channels}),
         .residual = random.pick({Residual::none, Residual::added, Residual::subtracted_from, Residual::in_place}),
         .biased = random.between(0, 1) == 1,
         .spread = random.between(1, 2),
         .further = random.between(0, 1)};
  Index const smaller = std::min(size.height, size.width);
  // What is reflected or repeated is defined for the pixels that an output sees.
  if (smaller + 2 * c.padding < (kernel - 1) * dilation + 1) c.mode = PaddingMode::zeros;
  if (c.mode == PaddingMode::reflect && c.padding >= smaller) c.mode = PaddingMode::replicate;
  return c;
}

}  // namespace

TEST_CASE("depthwise convolution: kernels that have tiles") {
  Random random(41);
  Cases cases(13);
  for (Index const kernel : {3, 5, 7}) {
    for (Index const stride : {1, 2}) {
      for (Size const size : std::span(sizes).first(test::slow ? 12 : std::size(sizes))) {
        for (int i = 0; i < 4; ++i) {
          Case const c = any_case(size, kernel, stride, 1, random);
          if (!cases.next_is_left_out()) check(c, random);
        }
      }
    }
  }
}

TEST_CASE("depthwise convolution: other kernels, strides and dilations") {
  Random random(42);
  Cases cases(13);
  for (Size const size : std::span(sizes).first(12)) {
    for (int i = 0; i < 8; ++i) {
      Index const kernel = random.between(1, 9), stride = random.between(1, 3);
      Case const c = any_case(size, kernel, stride, random.between(stride == 3 ? 1 : 2, 3), random);
      if (!cases.next_is_left_out()) check(c, random);
    }
  }
}

TEST_CASE("depthwise convolution: of an impulse, the kernel turned by half a turn, in its channel alone") {
  for (Index const kernel : {3, 4, 5, 7}) {
    Case const c{.height = 9, .width = 9, .channels = 20, .kernel = kernel, .stride = 1, .padding = kernel / 2};
    Random random(43);
    auto operands = c.draw(random);
    std::fill_n(operands.input.data(), operands.input.size(), 0.0f);
    operands.input[(4 * 9 + 4) * c.columns() + 18] = 1.0f;
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      CAPTURE(kernel);
      auto const output = c.run(kernels, c.converted<T>(operands));
      for (Index y = 0; y < c.output_size(9); ++y) {
        for (Index x = 0; x < c.output_size(9); ++x) {
          Index const ky = 4 - (y - kernel / 2), kx = 4 - (x - kernel / 2);
          bool const sees = ky >= 0 && ky < kernel && kx >= 0 && kx < kernel;
          T const* const pixel = output.data() + guard + (y * c.output_size(9) + x) * c.columns();
          T const weight =
              sees ? static_cast<T>(operands.weights[packed_position<float>(c.taps(), 18, ky * kernel + kx)]) : T(0);
          CHECK(pixel[18] == weight);
          CHECK(std::count(pixel, pixel + c.columns(), T(0)) == c.columns() - (weight != T(0)));
        }
      }
    });
  }
}

TEST_CASE("depthwise convolution: what has tiles does not go by taps") {
  for (auto const* kernels : kernel_tables()) {
    std::string const isa = kernels->isa;
    if (isa == "scalar" || isa == "eigen") continue;
    for (Index kernel = 1; kernel <= 8; ++kernel) {
      for (Index stride = 1; stride <= 3; ++stride) {
        for (Index dilation = 1; dilation <= 2; ++dilation) {
          Case const c{.height = 9,
                       .width = 9,
                       .channels = 20,
                       .kernel = kernel,
                       .stride = stride,
                       .padding = 4,
                       .dilation = dilation};
          CAPTURE(c);
          Buffer<float> output(2 * guard);
          auto const plan = kernels->plan_convolution(c.work(Operands<float>{}, output), Algorithm::automatic);
          bool const has_tiles = (kernel == 3 || kernel == 5 || kernel == 7) && stride <= 2 && dilation == 1;
          CHECK(std::string(plan.name) == (has_tiles ? "depthwise" : "depthwise by taps"));
        }
      }
    }
  }
}

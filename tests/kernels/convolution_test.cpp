// The convolutions of every table against the plain ones in double on the same values, with every shape at which a
// kernel could take another path; and the plain ones against results worked out by hand.
//
// A result may differ by a few roundings of the magnitude of its summands, sum |a*b| + |residual|. It may not depend
// on the rows and blocks that the work is split into, or on their order, or read rows that it does not need. Only where
// tiles of a fast algorithm are cut in other places the bits may differ.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
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

constexpr double roundings = 4.0;
constexpr double fast_roundings = 16.0;
constexpr double sum_roundings = 16.0;  // of the pixels of a map, one after the other
constexpr Index group = channels_per_line<float>;

enum class Residual { none, separate, in_place };

std::ostream& operator<<(std::ostream& out, Residual residual) {
  return out << (residual == Residual::none ? "none" : residual == Residual::separate ? "separate" : "in place");
}

/// What the operations of this file have in common. Residuals are laid out as outputs, and in place they are the
/// output.
template <class T>
struct Operands {
  Buffer<T> input{}, pixel_gate{}, channel_gate{}, weights{}, residual{}, output{}, bias{};

  T const* residual_in(Residual place, Buffer<T> const& written) const {
    if (place == Residual::none) return nullptr;
    T const* const whole = (place == Residual::separate ? residual : written).data();
    return whole == nullptr ? nullptr : whole + guard;
  }

  Operands magnitudes() const {
    return {input.magnitudes(),    pixel_gate.magnitudes(), channel_gate.magnitudes(), weights.magnitudes(),
            residual.magnitudes(), output.magnitudes(),     bias.magnitudes()};
  }
};

template <class T>
Operands<T> converted(Operands<float> const& from, Index depth) {
  return {Buffer<T>(from.input),        Buffer<T>(from.pixel_gate),
          Buffer<T>(from.channel_gate), repacked<T>(from.weights, depth),
          Buffer<T>(from.residual),     Buffer<T>(from.output),
          Buffer<T>(from.bias)};
}

/// Residual and output of `size` elements; where the residual is in place, all of the output holds one.
void add_output(Operands<float>& operands, Index size, Residual residual, Random& random) {
  operands.output = guarded<float>(size);
  if (residual == Residual::separate) operands.residual = guarded<float>(size);
  if (residual != Residual::none) {
    Buffer<float>& map = residual == Residual::separate ? operands.residual : operands.output;
    fill(std::span(map.data() + guard, static_cast<std::size_t>(size)), random);
  }
}

/// What a convolution gathers of its output: all lines of sums added up, and planes with a gap behind every row.
template <class T>
struct Gathered {
  static constexpr Index gap = 5;

  Gathered(bool with_sums, bool with_planes, Index counted, Index columns, Index rows, Index width)
      : planes(with_planes),
        channels(counted),
        pitch(width + gap),
        sums(guarded<double>(with_sums ? columns : 0)),
        maximum(guarded<T>(rows * pitch)),
        mean(guarded<T>(rows * pitch)) {
    std::fill_n(sums.data() + guard, columns_summed(), 0.0);
  }

  Index columns_summed() const { return sums.size() - 2 * guard; }

  /// Of a part from `row` on, whose lines of sums are guarded.
  Statistics<T> from(Index row, Buffer<T>& lines) {
    Index const start = guard + row * pitch;
    return {.channel_sums = columns_summed() == 0 ? nullptr : lines.data() + guard,
            .maximum = planes ? maximum.data() + start : nullptr,
            .mean = planes ? mean.data() + start : nullptr,
            .plane_pitch = pitch,
            .channels = channels};
  }

  void add(Buffer<T> const& lines) {
    Index const size = columns_summed() == 0 ? 0 : lines.size() - 2 * guard;
    for (Index i = 0; i < size; ++i) sums[guard + i % columns_summed()] += static_cast<double>(lines[guard + i]);
    auto const is_untouched = [](T x) { return x == static_cast<T>(untouched); };
    CHECK(std::all_of(lines.begin(), lines.begin() + guard, is_untouched));
    CHECK(std::all_of(lines.begin() + guard + size, lines.end(), is_untouched));
  }

  bool planes;
  Index channels, pitch;
  Buffer<double> sums;
  Buffer<T> maximum, mean;
};

struct Convolving {
  Index height, width, channels, groups;  // groups of 16 output channels
  Index kernel_height, kernel_width, stride = 1, pad_top = 0, pad_left = 0;
  float slope = 1.0f;
  Residual residual = Residual::none;
  bool biased = false;
  Index spread = 1;  // 2: the odd rows and columns of an output of twice the size, as a transposed convolution writes

  Algorithm algorithm = Algorithm::automatic;
  Index part_rows = tile_rows;  // parts of the output have one to three times as many

  static constexpr Index tile_rows = 8;  // whole tiles of every fast algorithm

  Index depth() const { return kernel_height * kernel_width * channels; }
  Index out_channels() const { return groups * group; }
  Index output_height() const { return output_size(height, kernel_height, pad_top); }
  Index output_width() const { return output_size(width, kernel_width, pad_left); }
  Index output_elements() const { return spread * output_height() * spread * output_width() * out_channels(); }

  /// As PyTorch's, or the input's size in a transposed convolution. Whatever a patch lacks is zero.
  Index output_size(Index size, Index kernel, Index pad) const {
    return spread > 1 ? size : std::max<Index>(1, (size + 2 * pad - kernel) / stride + 1);
  }

  friend std::ostream& operator<<(std::ostream& out, Convolving const& c) {
    return out << c.kernel_height << 'x' << c.kernel_width << " stride " << c.stride << " padding " << c.pad_top << ','
               << c.pad_left << " from " << c.height << 'x' << c.width << 'x' << c.channels << " to "
               << c.output_height() << 'x' << c.output_width() << 'x' << c.out_channels() << ", slope " << c.slope
               << ", residual " << c.residual << (c.biased ? ", bias" : "") << ", spread " << c.spread
               << (c.algorithm == Algorithm::direct ? ", direct" : "") << ", parts of " << c.part_rows << " rows";
  }

  Operands<float> draw(Random& random) const {
    Operands<float> operands{.input = random_map(height * width, channels, random),
                             .weights = Buffer<float>(depth() * out_channels())};
    fill(operands.weights.span(), random);
    add_output(operands, output_elements(), residual, random);
    if (biased) {
      operands.bias = Buffer<float>(out_channels());
      fill(operands.bias.span(), random);
    }
    return operands;
  }

  template <class T>
  Convolution<T> work(Operands<T> const& operands, Buffer<T>& output) const {
    Index const row = spread * output_width() * out_channels();
    Index const phase = (spread - 1) * (row + out_channels());
    return {.input = operands.input.data(),
            .height = height,
            .width = width,
            .channels = channels,
            .input_pitch = pixel_pitch<float>(channels),
            .weights = operands.weights.data(),
            .bias = biased ? operands.bias.data() : nullptr,
            .kernel_height = kernel_height,
            .kernel_width = kernel_width,
            .stride = stride,
            .pad_top = pad_top,
            .pad_left = pad_left,
            .output = output.data() + guard + phase,
            .output_height = output_height(),
            .output_width = output_width(),
            .output_lines = out_channels() / channels_per_line<T>,
            .output_row_step = spread * row,
            .output_pixel_step = spread * out_channels(),
            .residual = advance(operands.residual_in(residual, output), phase),
            .slope = static_cast<T>(slope)};
  }

  bool whole_tiles() const { return part_rows % tile_rows == 0; }

  /// Whether the table computes this with fewer multiplications than the definition has.
  template <class T>
  bool fast(KernelTable<T> const& kernels) const {
    Operands<T> const none{};
    Buffer<T> output(1);
    return kernels.plan_convolution(work(none, output), algorithm).method != 0;
  }

  /// The output with its guards. With `split`, in parts of whole rows of which the blocks are computed backwards, each
  /// from no more rows of the input than it needs.
  template <class T>
  Buffer<T> run(KernelTable<T> const& kernels, Operands<T> const& operands, Random* split = nullptr,
                Gathered<T>* gathered = nullptr) const {
    Buffer<T> output = operands.output;
    Convolution<T> const whole = work(operands, output);
    ConvolutionPlan const plan = kernels.plan_convolution(whole, algorithm);
    Buffer<float> prepared(divide_up(plan.weights_bytes, sizeof(float)), std::numeric_limits<float>::quiet_NaN());
    auto* const weights = reinterpret_cast<std::byte*>(prepared.data());
    for (Index item = plan.weights_items; item-- > 0;) kernels.prepare_weights(whole, plan, item, weights);
    for (Index row = 0; row < whole.output_height;) {
      Index const rows = split == nullptr ? whole.output_height : part_rows * split->between(1, 3);
      Convolution<T> part = whole;
      part.first_row = row;
      part.output_height = std::min(rows, whole.output_height - row);
      part.output += row * whole.output_row_step;
      part.residual = advance(part.residual, row * whole.output_row_step);
      Index const first = input_row(row), count = input_row(row + part.output_height - 1, kernel_height) - first;
      RowsCopy<T> const rows_needed(whole.input, width * whole.input_pitch, first, count);
      if (split != nullptr) part.input = rows_needed.data(), part.input_first_row = first;
      Index const blocks = kernels.convolution_work_tiles(part, plan);
      Buffer<T> lines = guarded<T>(blocks * out_channels());
      if (gathered != nullptr) part.statistics = gathered->from(row, lines);
      for (Index block = blocks; block-- > 0;) {
        Buffer<T> scratch(divide_up(plan.scratch_bytes, sizeof(T)), std::numeric_limits<T>::quiet_NaN());
        kernels.convolution(part, plan, weights, block, reinterpret_cast<std::byte*>(scratch.data()));
      }
      if (gathered != nullptr) gathered->add(lines);
      row += part.output_height;
    }
    return output;
  }

  /// The row of the input that a tap of an output row is on, or the nearest, the end being one.
  Index input_row(Index output_row, Index tap = 0) const {
    return std::clamp<Index>(output_row * stride - pad_top + tap, 0, height);
  }

  /// The same with nothing that makes a result smaller than its summands.
  Convolving unactivated() const {
    Convolving result = *this;
    result.slope = 1.0f;
    return result;
  }
};

struct GatedProjecting {
  Index pixels, channels;
  Residual residual;

  Index pitch() const { return pixel_pitch<float>(channels); }
  Index depth() const { return 2 * channels; }

  friend std::ostream& operator<<(std::ostream& out, GatedProjecting const& c) {
    return out << c.pixels << " pixels of " << c.channels << " channels, residual " << c.residual;
  }

  Operands<float> draw(Random& random) const {
    Operands<float> operands{.input = random_map(pixels, channels, random),
                             .pixel_gate = Buffer<float>(pixels),
                             .channel_gate = random_map(1, channels, random),
                             .weights = Buffer<float>(depth() * pitch())};
    fill(operands.pixel_gate.span(), random);
    for (Index o = 0; o < channels; ++o) {
      for (Index k = 0; k < depth(); ++k) operands.weights[packed_position<float>(depth(), o, k)] = random.uniform();
    }
    add_output(operands, pixels * pitch(), residual, random);
    return operands;
  }

  template <class T>
  Buffer<T> run(KernelTable<T> const& kernels, Operands<T> const& operands, Random* split = nullptr) const {
    Buffer<T> output = operands.output;
    GatedProjection<T> const work{.input = operands.input.data(),
                                  .pixels = pixels,
                                  .channels = channels,
                                  .pitch = pitch(),
                                  .pixel_gate = operands.pixel_gate.data(),
                                  .channel_gate = operands.channel_gate.data(),
                                  .weights = operands.weights.data(),
                                  .output = output.data() + guard,
                                  .residual = operands.residual_in(residual, output)};
    ProjectionPlan const plan = kernels.plan_gated_projection(work);
    Buffer<std::byte> prepared(plan.weights_bytes);
    kernels.prepare_gated_projection(work, prepared.data());
    in_ranges(pixels, kernels.work_tile_pixels, split, [&](Index first, Index last) {
      Buffer<T> poisoned(divide_up(plan.scratch_bytes, sizeof(T)), std::numeric_limits<T>::quiet_NaN());
      kernels.gated_projection(work, prepared.data(), first, last, reinterpret_cast<std::byte*>(poisoned.data()));
    });
    return output;
  }

  GatedProjecting unactivated() const { return *this; }

  template <class T>
  bool fast(KernelTable<T> const&) const {
    return false;
  }

  bool whole_tiles() const { return true; }
};

/// What every table gathers against the output that it has written.
void check_statistics(Convolving const& shape, Random& random) {
  Index const columns = shape.out_channels(), channels = columns - random.between(0, group - 1);
  Index const gathering = random.between(1, 3);
  bool const with_sums = gathering != 2, with_planes = gathering != 1;
  CAPTURE(shape);
  CAPTURE(channels);
  INFO(std::string(with_sums ? "with" : "without"), " sums, ", std::string(with_planes ? "with" : "without"),
       " planes");
  Index const rows = shape.output_height(), width = shape.output_width();
  auto const operands = shape.draw(random);

  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const own = converted<T>(operands, shape.depth());
    for (Random* const split : {static_cast<Random*>(nullptr), &random}) {
      Gathered<T> found(with_sums, with_planes, channels, columns, rows, width);
      auto output = shape.run(kernels, own, split, &found);
      if (split == nullptr) CHECK(same_bits(output, shape.run(kernels, own)));

      Gathered<double> expected(with_sums, with_planes, channels, columns, rows, width), magnitude = expected;
      Convolution<T> const work = shape.work(own, output);
      for (Index y = 0; y < rows; ++y) {
        for (Index x = 0; x < width; ++x) {
          T const* const pixel = work.output + y * work.output_row_step + x * work.output_pixel_step;
          double largest = static_cast<double>(pixel[0]), sum = 0.0, magnitudes = 0.0;
          for (Index c = 0; c < columns; ++c) {
            double const value = static_cast<double>(pixel[c]);
            if (with_sums) expected.sums[guard + c] += value, magnitude.sums[guard + c] += std::abs(value);
            if (c >= channels) continue;
            largest = std::max(largest, value), sum += value, magnitudes += std::abs(value);
          }
          if (!with_planes) continue;
          Index const at = guard + y * expected.pitch + x;
          expected.maximum[at] = largest;
          expected.mean[at] = sum / static_cast<double>(channels);
          magnitude.mean[at] = magnitudes / static_cast<double>(channels);
        }
      }
      CHECK(mismatch(found.maximum, expected.maximum) == "");
      auto const mean_bound = [&](Index i) { return roundings * epsilon<T> * std::abs(magnitude.mean[i]); };
      CHECK(mismatch(found.mean, expected.mean, mean_bound) == "");
      auto const sum_bound = [&](Index i) { return sum_roundings * epsilon<T> * std::abs(magnitude.sums[i]); };
      CHECK(mismatch(found.sums, expected.sums, sum_bound) == "");
    }
  });
}

/// Every table against the plain kernels in double.
template <class Case>
void check(Case const& shape, Random& random) {
  CAPTURE(shape);
  auto const operands = shape.draw(random);
  auto const exact = converted<double>(operands, shape.depth());
  auto const& oracle = test::plain_kernels<double>();
  auto const expected = shape.run(oracle, exact);
  auto const magnitude = shape.unactivated().run(oracle, exact.magnitudes());

  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const own = converted<T>(operands, shape.depth());
    // A fast algorithm adds and subtracts whole tiles: what is large in one pixel is felt by its neighbours.
    double const largest = *std::max_element(magnitude.begin() + guard, magnitude.end() - guard);
    bool const fast = shape.fast(kernels);
    auto const bound = [&](Index i) {
      return epsilon<T> * (fast ? fast_roundings * largest : roundings * magnitude[i]);
    };
    auto const result = shape.run(kernels, own), split = shape.run(kernels, own, &random);
    CHECK(mismatch(result, expected, bound) == "");
    // Eigen chooses its product by the size of the block. Networks always make the same blocks.
    if (std::string(kernels.isa) == "eigen" || (fast && !shape.whole_tiles())) {
      CHECK(mismatch(split, expected, bound) == "");
    } else {
      CHECK(same_bits(result, split));
    }
  });
}

constexpr Index channel_counts[] = {1, 3, 8, 15, 16, 17, 24, 33, 64, 100, 300};
constexpr float slopes[] = {1.0f, 0.0f, 0.25f};
constexpr Residual residuals[] = {Residual::none, Residual::separate, Residual::in_place};

struct Size {
  Index height, width;
};

/// Among them a pixel less and more than the blocks of the tables have.
constexpr Size sizes[] = {{1, 1},  {1, 9},  {7, 1},  {5, 6},  {6, 13}, {13, 11}, {1, 63},
                          {1, 64}, {1, 65}, {1, 83}, {1, 84}, {1, 85}, {2, 84}};

}  // namespace

TEST_CASE("convolution: kernels, strides and paddings of every size") {
  constexpr Size kernels[] = {{1, 1}, {3, 3}, {5, 5}, {1, 2}, {2, 1}, {2, 2}, {7, 3}};
  Random random(1);
  Cases cases(10);
  for (Size const kernel : kernels) {
    for (Size const size : sizes) {
      // Of everything else any combination: each choice meets each other one many times.
      for (int i = 0; i < 3; ++i) {
        if (cases.next_is_left_out()) continue;
        Index const channels = random.pick(channel_counts);
        Index const room = channels < 64 ? 4 : 1;  // for more output where there is less input
        check(Convolving{.height = size.height,
                         .width = size.width,
                         .channels = channels,
                         .groups = random.between(1, room),
                         .kernel_height = kernel.height,
                         .kernel_width = kernel.width,
                         .stride = random.between(1, 3),
                         .pad_top = random.between(0, kernel.height),
                         .pad_left = random.between(0, kernel.width),
                         .slope = random.pick(slopes),
                         .residual = random.pick({Residual::none, Residual::separate}),
                         .biased = random.between(0, 1) == 1,
                         .spread = random.between(1, 2),
                         .part_rows = random.pick({1, 8})},
              random);
      }
    }
  }
}

TEST_CASE("convolution: 1x1, for which pixels need not be gathered") {
  Random random(2);
  Cases cases(10);
  for (Index const channels : channel_counts) {
    for (Residual const residual : residuals) {
      for (Index groups = 1; groups <= 4; ++groups) {
        if (cases.next_is_left_out()) continue;
        Size const size = random.pick(sizes);
        check(Convolving{.height = size.height,
                         .width = size.width,
                         .channels = channels,
                         .groups = groups,
                         .kernel_height = 1,
                         .kernel_width = 1,
                         .slope = random.pick(slopes),
                         .residual = residual,
                         .biased = groups % 2 == 0,
                         .spread = random.between(1, 2)},
              random);
      }
    }
  }
}

TEST_CASE("convolution: shapes with fast algorithms, which the option turns off") {
  constexpr Size kernels[] = {{3, 3}, {1, 2}, {2, 1}, {2, 2}};
  constexpr Size fast_sizes[] = {{16, 16}, {17, 19}, {5, 70}, {1, 300}, {300, 1}, {18, 30}, {39, 23}};
  Random random(4);
  Cases cases(7);
  for (Size const kernel : kernels) {
    for (Size const size : std::span(fast_sizes).first(test::slow ? 3 : std::size(fast_sizes))) {
      for (Residual const residual : residuals) {
        for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
          if (cases.next_is_left_out()) continue;
          Convolving const shape{.height = size.height,
                                 .width = size.width,
                                 .channels = random.pick({8, 16, 17, 24, 33, 64, 100}),
                                 .groups = random.between(1, 6),
                                 .kernel_height = kernel.height,
                                 .kernel_width = kernel.width,
                                 // Sizes that stay or grow: enough pixels for a fast algorithm to be chosen.
                                 // Not more than the map has: what sees nothing of it has no summands to measure the
                                 // roundings by.
                                 .pad_top = std::min(kernel.height / 2 + random.between(0, 1), size.height),
                                 .pad_left = std::min(kernel.width / 2 + random.between(0, 1), size.width),
                                 .slope = random.pick(slopes),
                                 .residual = residual,
                                 .biased = random.between(0, 1) == 1,
                                 .spread = random.between(1, 2),
                                 .algorithm = algorithm,
                                 .part_rows = random.pick({1, 8})};
          every_table([&](auto const& table) {
            CAPTURE(shape);
            bool const plain = std::string(table.isa) == "scalar" || std::string(table.isa) == "eigen";
            CHECK(shape.fast(table) == (algorithm == Algorithm::automatic && !plain));
          });
          check(shape, random);
        }
      }
    }
  }
}

TEST_CASE("convolution: sums of its channels, and the largest and mean value of those that there are") {
  constexpr Size kernels[] = {{1, 1}, {3, 3}, {5, 5}, {1, 2}, {2, 1}, {2, 2}};
  constexpr Size statistic_sizes[] = {{1, 1}, {1, 84}, {1, 85}, {17, 19}, {5, 70}, {39, 23}};
  Random random(5);
  Cases cases(11);
  for (Size const kernel : kernels) {
    for (Size const size : std::span(statistic_sizes).first(test::slow ? 4 : std::size(statistic_sizes))) {
      for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
        if (cases.next_is_left_out()) continue;
        check_statistics({.height = size.height,
                          .width = size.width,
                          .channels = random.pick({3, 8, 16, 17, 33, 300}),
                          .groups = random.between(1, 6),
                          .kernel_height = kernel.height,
                          .kernel_width = kernel.width,
                          .pad_top = kernel.height / 2,
                          .pad_left = kernel.width / 2,
                          .slope = random.pick(slopes),
                          .residual = random.pick(residuals),
                          .biased = random.between(0, 1) == 1,
                          .spread = random.between(1, 2),
                          .algorithm = algorithm,
                          .part_rows = random.pick({1, 8})},
                         random);
      }
    }
  }
}

TEST_CASE("gated projection") {
  Random random(3);
  Cases cases(7);
  for (Index const channels : {1, 3, 8, 15, 16, 17, 24, 33, 64, 100}) {
    for (Index const pixels : {1, 5, 63, 64, 65, 83, 84, 85, 200}) {
      if (!cases.next_is_left_out()) check(GatedProjecting{pixels, channels, random.pick(residuals)}, random);
    }
  }
}

// --- By hand: in a group of float's, weight (o, k) is at k*16 + o -------------------------------------------------

TEST_CASE("convolution: an impulse gives the kernel, turned by half a turn") {
  Convolving const shape{.height = 5,
                         .width = 5,
                         .channels = 1,
                         .groups = 1,
                         .kernel_height = 3,
                         .kernel_width = 3,
                         .pad_top = 1,
                         .pad_left = 1};
  Operands<float> operands{
      .input = Buffer<float>(25 * group), .weights = Buffer<float>(9 * group), .output = guarded<float>(25 * group)};
  operands.input[12 * group] = 1.0f;
  for (Index k = 0; k < 9; ++k) operands.weights[k * group] = static_cast<float>(k + 1);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const output = shape.run(kernels, converted<T>(operands, shape.depth()));
    constexpr int expected[25] = {0, 0, 0, 0, 0,  //
                                  0, 9, 8, 7, 0,  //
                                  0, 6, 5, 4, 0,  //
                                  0, 3, 2, 1, 0,  //
                                  0, 0, 0, 0, 0};
    for (Index pixel = 0; pixel < 25; ++pixel) {
      CAPTURE(pixel);
      T const* const channels = output.data() + guard + pixel * group;
      CHECK(channels[0] == static_cast<T>(expected[pixel]));
      CHECK(std::count(channels + 1, channels + group, T(0)) == group - 1);
    }
  });
}

TEST_CASE("convolution: first the slope, then the residual") {
  Convolving const shape{.height = 1,
                         .width = 1,
                         .channels = 2,
                         .groups = 1,
                         .kernel_height = 1,
                         .kernel_width = 1,
                         .slope = 0.25f,
                         .residual = Residual::separate};
  Operands<float> operands{.input = Buffer<float>(group),
                           .weights = Buffer<float>(2 * group),
                           .residual = guarded<float>(group),
                           .output = guarded<float>(group)};
  // Output 0 is the sum of the two channels, output 1 their difference.
  operands.input[0] = 3.0f, operands.input[1] = 5.0f;
  operands.weights[0] = 1.0f, operands.weights[group] = 1.0f;
  operands.weights[1] = 1.0f, operands.weights[group + 1] = -1.0f;
  operands.residual[guard] = 10.0f, operands.residual[guard + 1] = 20.0f;
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const output = shape.run(kernels, converted<T>(operands, shape.depth()));
    CHECK(output[guard] == T(18));
    CHECK(output[guard + 1] == T(19.5));
  });
}

TEST_CASE("gated projection: the pixel gate is on the first half of the depth, the channel gate on the second") {
  GatedProjecting const shape{.pixels = 2, .channels = 2, .residual = Residual::separate};
  Operands<float> operands{.input = Buffer<float>(2 * group),
                           .pixel_gate = Buffer<float>(2),
                           .channel_gate = Buffer<float>(group),
                           .weights = Buffer<float>(4 * group),
                           .residual = Buffer<float>(2 * group + 2 * guard),
                           .output = guarded<float>(2 * group)};
  operands.input[0] = 1.0f, operands.input[1] = 10.0f;
  operands.input[group] = 100.0f, operands.input[group + 1] = 1000.0f;
  operands.pixel_gate[0] = 2.0f, operands.pixel_gate[1] = 3.0f;
  operands.channel_gate[0] = 5.0f, operands.channel_gate[1] = 7.0f;
  // Output 0 is channel 0 as the pixels gate it, output 1 channel 1 as its own gate does.
  operands.weights[0] = 1.0f, operands.weights[3 * group + 1] = 1.0f;
  operands.residual[guard] = 0.5f;
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const output = shape.run(kernels, converted<T>(operands, shape.depth()));
    CHECK(output[guard] == T(2.5));
    CHECK(output[guard + 1] == T(70));
    CHECK(output[guard + group] == T(300));
    CHECK(output[guard + group + 1] == T(7000));
  });
}

// The convolutions of the network as matrix products of work tiles, some pixels each: im2col and GEMM for any kernel, a
// plain GEMM where the kernel is 1x1, and the 1x1 of the dual attention unit with the attention applied while it
// gathers. Depthwise convolutions are no matrix products, and have a header of their own.
#pragma once

#include <algorithm>
#include <tuple>

#include <mirnet/kernels/depthwise.hpp>
#include <mirnet/kernels/gemm.hpp>
#include <mirnet/kernels/im2col.hpp>
#include <mirnet/kernels/pointwise.hpp>
#include <mirnet/kernels/reduction.hpp>
#include <mirnet/kernels/resampling.hpp>
#include <mirnet/kernels/winograd.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace convolution_detail {

/// A multiple of every tile height. At 64 channels a work tile of the result is 21 KB and of the patches 64 KB: both
/// stay in the second-level cache, and the weights are read from there once per work tile.
inline constexpr Index work_tile_pixels = 84;
/// The last work tile also takes the pixels that are too few for a tile of 12 rows: all weights would be read for them.
inline constexpr Index most_tile_pixels = work_tile_pixels + 11;

/// The work tiles of a matrix product, and the pixels of one: [first, last).
constexpr Index pixel_tiles(Index pixels) noexcept {
  return (std::min)(pixels, std::max<Index>((pixels + work_tile_pixels - 12) / work_tile_pixels, 1));
}
struct PixelTile {
  Index first, last;
};
constexpr PixelTile pixel_tile(Index pixels, Index index) noexcept {
  Index const first = index * work_tile_pixels;
  return {first, index + 1 == pixel_tiles(pixels) ? pixels : first + work_tile_pixels};
}

/// The part of a kernel's taps that is gathered and multiplied at a time. With about 288 of depth, 16 columns of
/// weights and the rows of a tile fit the first-level cache together.
template <class T>
MIRNET_ALWAYS_INLINE constexpr Index taps_per_slice(Convolution<T> const& work) noexcept {
  constexpr Index most_depth = 288;
  Index const taps = work.kernel_height * work.kernel_width;
  Index const slices = divide_up(taps, std::max<Index>(1, most_depth / work.channels));
  // A slice begins with a whole operand.
  Index const taps_an_operand = work.channels % numbers_an_operand<T> == 0 ? 1 : numbers_an_operand<T>;
  return (std::min)(taps, round_up(divide_up(taps, slices), taps_an_operand));
}

/// Every pixel's patch is the pixel itself.
template <class T>
MIRNET_ALWAYS_INLINE constexpr bool pointwise(Convolution<T> const& work) noexcept {
  return work.kernel_height == 1 && work.kernel_width == 1 && work.stride == 1 && work.pad_top == 0 &&
         work.pad_left == 0 && work.output_width == work.width && work.first_row + work.output_height <= work.height;
}

/// Where the output pixels [first, last) lie.
template <class T>
MIRNET_ALWAYS_INLINE void output_offsets(Convolution<T> const& work, Index first, Index last, Index* offsets) noexcept {
  Index y = first / work.output_width, x = first % work.output_width;
  for (Index pixel = first; pixel < last; ++pixel) {
    *offsets++ = y * work.output_row_step + x * work.output_pixel_step;
    if (++x == work.output_width) x = 0, ++y;
  }
}

/// A gate: the products of results and those `step` behind them.
template <class T>
MIRNET_ALWAYS_INLINE void multiply_results(T const* results, Index step, Index count, T* output) noexcept {
  using namespace simd;
  for (Index c = 0; c < count; c += lanes) store(output + c, load(results + c) * load(results + step + c));
}

/// The definition, as im2col and GEMM.
template <class T>
struct Direct {
  using Element = Operand<T>;
  static constexpr Index columns(Convolution<T> const& work) noexcept {
    return work.output_lines * channels_per_line<T>;
  }
  static constexpr Index depth(Convolution<T> const& work) noexcept {
    return work.kernel_height * work.kernel_width * work.channels;
  }
  /// Pixels are multiplied where they lie.
  static constexpr bool in_place(Convolution<T> const& work) noexcept {
    return std::is_same_v<T, OperandNumber<T>> && pointwise(work);
  }
  static constexpr Index slices(Convolution<T> const& work) noexcept {
    return divide_up(work.kernel_height * work.kernel_width, taps_per_slice(work));
  }
  static constexpr Index weight_lines(Convolution<T> const& work) noexcept {
    return columns(work) / channels_per_line<float>;
  }
  static constexpr bool suits(Convolution<T> const&) noexcept { return true; }
  static constexpr char const* name(Convolution<T> const& work) noexcept {
    return pointwise(work) ? "gemm" : "im2col+gemm";
  }
  static constexpr Index tile_height = 1, tile_width = 1;
  static constexpr Index tile_products(Convolution<T> const&) noexcept { return 0; }
  static constexpr Index weights_elements(Convolution<T> const& work) noexcept {
    return weight_operands<T>(depth(work), columns(work));
  }
  static constexpr Index patch_elements(Convolution<T> const& work) noexcept {
    if (in_place(work)) return 0;
    return most_tile_pixels * operands<T>(taps_per_slice(work) * work.channels) + channels_per_line<float>;
  }
  /// The patches, and sums between slices: the output may hold the residual until the last.
  static constexpr Index result_elements(Convolution<T> const& work) noexcept {
    return patch_elements(work) + (slices(work) > 1 ? most_tile_pixels * columns(work) : 0);
  }
  /// The columns of a gate's output that are computed at a time: few, so that their factors stay in the first-level
  /// cache, unless the patches would be gathered again for each part.
  static constexpr Index gated_columns(Convolution<T> const& work) noexcept {
    Index const half = columns(work) / 2;
    return in_place(work) ? (std::min)(half, 2 * channels_per_line<float>) : half;
  }
  /// And the results that a gate takes.
  static constexpr Index scratch_elements(Convolution<T> const& work) noexcept {
    return result_elements(work) + (work.gates ? most_tile_pixels * 2 * gated_columns(work) : 0);
  }
  static void transform_weights(Convolution<T> const& work, Index item, Element* prepared) noexcept {
    constexpr Index line = channels_per_line<float>;
    Index const column = item * line, depth = Direct::depth(work);
    prepare_matrix<T>(work.weights + packed_position<T>(depth, column, 0), depth, 0, depth, line, nullptr,
                      prepared + column * operands<T>(depth), 0);
  }
  static constexpr Index work_tiles(Convolution<T> const& work) noexcept {
    return pixel_tiles(work.output_height * work.output_width);
  }

  static void compute(Convolution<T> const& work, Element const* weights, Index index, float* scratch) noexcept {
    auto const [first, last] = pixel_tile(work.output_height * work.output_width, index);
    Index offsets[most_tile_pixels] = {};  // at -O1, GCC does not see that every offset is written before it is read
    output_offsets(work, first, last, offsets);
    if constexpr (std::is_same_v<T, float>) weights = work.weights;  // these were not prepared
    if (!work.gates) return multiply(work, weights, first, last, offsets, scratch, 0, columns(work));
    // Behind the patches, pixel after pixel: some results of the first half, then those of the second.
    Index const half = columns(work) / 2, some = gated_columns(work);
    Index places[most_tile_pixels] = {};
    for (Index i = 0; i < last - first; ++i) places[i] = i * 2 * some;
    for (Index column = 0; column < half; column += some) {
      Index const count = (std::min)(some, half - column);
      Convolution<T> results = work;
      results.output = reinterpret_cast<T*>(scratch + result_elements(work));
      multiply(results, weights, first, last, places, scratch, column, count);
      results.output += some;
      multiply(results, weights, first, last, places, scratch, half + column, count);
      for (Index i = 0; i < last - first; ++i) {
        multiply_results(results.output - some + places[i], some, count, work.output + offsets[i] + column);
      }
    }
  }

  /// body(y, x, pixels) for the runs of output pixels of a work tile.
  template <class Body>
  static void each_run(Convolution<T> const& work, Index index, Body&& body) noexcept {
    auto const [first, last] = pixel_tile(work.output_height * work.output_width, index);
    for (Index pixel = first; pixel < last;) {
      Index const y = pixel / work.output_width, x = pixel % work.output_width;
      Index const run = (std::min)(last - pixel, work.output_width - x);
      body(y, x, run);
      pixel += run;
    }
  }

 private:
  /// As im2col, of a pointwise convolution: in registers.
  static void widen(Convolution<T> const& work, Index first, Index last, float* to) noexcept {
    T const* in = work.input + ((work.first_row - work.input_first_row) * work.width + first) * work.input_pitch;
    bool const gaps = work.input_pitch != work.channels;
    Index const runs = gaps ? last - first : 1, length = gaps ? work.channels : (last - first) * work.channels;
    for (Index run = 0; run < runs; ++run, in += work.input_pitch, to += length) {
      for (Index c = 0; c < length; c += simd::lanes) simd::store(to + c, simd::load(in + c));
    }
  }

  /// Columns [column, column + count) of the results, which are written from `output` on.
  static void multiply(Convolution<T> const& work, Element const* weights, Index first, Index last,
                       Index const* offsets, float* scratch, Index column, Index count) noexcept {
    Index const line_stride = operands<T>(depth(work)) * channels_per_line<float>;
    weights += column / channels_per_line<float> * line_stride;
    auto const from_column = [&](T const* numbers) { return numbers == nullptr ? nullptr : numbers + column; };
    Index const taps = work.kernel_height * work.kernel_width;
    Gemm<T, Element> product{
        .a = nullptr,  // with its pitch and depth: the input itself, or one slice of patches after another
        .a_pitch = 0,
        .rows = last - first,
        .depth = 0,
        .b = weights,
        .b_line_stride = line_stride,
        .lines = count / channels_per_line<float>,
        .sum = nullptr,  // where there is more than one slice
        .sum_pitch = 0,
        .bias = from_column(work.bias),
        .finish = true,
        .c = work.output,
        .c_offsets = offsets,
        .residual = work.residual,
        .subtracts = work.subtracts,
        .slope = work.slope,
        .slopes = from_column(work.slopes),
        .scales = from_column(work.scales)};
    if constexpr (std::is_same_v<T, OperandNumber<T>>) {
      if (in_place(work)) {
        T const* const input =
            work.input + ((work.first_row - work.input_first_row) * work.width + first) * work.input_pitch;
        product.a = reinterpret_cast<Element const*>(input);
        product.a_pitch = operands<T>(work.input_pitch);
        product.depth = operands<T>(work.channels);
        Index const next = (std::min)(last + most_tile_pixels, work.output_height * work.output_width) - last;
        product.ahead = reinterpret_cast<std::byte const*>(input + (last - first) * work.input_pitch);
        product.ahead_lines = column == 0 ? next * work.input_pitch / packed_line<T> : 0;
        return gemm(product);
      }
    }
    Index const slice = taps_per_slice(work);
    product.a = reinterpret_cast<Element const*>(scratch);
    product.sum = scratch + patch_elements(work);
    product.sum_pitch = count;
    for (Index tap = 0; tap < taps; tap += slice) {
      Index const end = (std::min)(tap + slice, taps), numbers = (end - tap) * work.channels;
      product.a_pitch = product.depth = operands<T>(numbers);
      Index const padding = product.depth * numbers_an_operand<T> - numbers;
      if (!std::is_same_v<T, OperandNumber<T>> && pointwise(work)) {
        widen(work, first, last, scratch);
      } else {
        im2col(work, first, last, tap, end, reinterpret_cast<OperandNumber<T>*>(scratch), padding);
      }
      product.b = weights + operands<T>(tap * work.channels) * channels_per_line<float>;
      product.accumulate = tap > 0;
      product.finish = end == taps;
      gemm(product);
    }
  }
};

/// What is written to a register of output channels from `column` on, of the pixel at `at`.
template <class T>
MIRNET_ALWAYS_INLINE simd::Pack finished(Convolution<T> const& work, simd::Pack sum, Index at, Index column) noexcept {
  using namespace simd;
  Pack value = simd::prelu(sum, work.slopes != nullptr ? load(work.slopes + column) : broadcast(work.slope));
  if (work.scales != nullptr) value = value * load(work.scales + column);
  if (work.residual == nullptr) return value;
  Pack const residual = load(work.residual + at + column);
  return work.subtracts ? residual - value : value + residual;
}

/// Convolutions of several groups: im2col and GEMM, one group after another, into sums of all of them.
template <class T>
struct Grouped {
  using Element = Operand<T>;
  static constexpr Index line = channels_per_line<float>;
  static constexpr bool suits(Convolution<T> const& work) noexcept { return work.groups > 1; }
  static constexpr char const* name(Convolution<T> const&) noexcept { return "grouped im2col+gemm"; }
  static constexpr Index tile_height = 1, tile_width = 1;
  static constexpr Index tile_products(Convolution<T> const& work) noexcept {
    return work.depth() * weight_lines(work) * line;
  }
  static constexpr Index weight_lines(Convolution<T> const& work) noexcept { return products(work).weight_lines(); }
  static constexpr Index weights_elements(Convolution<T> const& work) noexcept {
    return operands<T>(work.depth()) * weight_lines(work) * line;
  }
  static constexpr Index patch_elements(Convolution<T> const& work) noexcept {
    return most_tile_pixels * operands<T>(taps_per_slice(group(work, 0)) * work.group_channels()) + line;
  }
  static constexpr Index scratch_elements(Convolution<T> const& work) noexcept {
    return patch_elements(work) + most_tile_pixels * products(work).sum_columns();
  }
  static constexpr Index work_tiles(Convolution<T> const& work) noexcept { return Direct<T>::work_tiles(work); }
  template <class Body>
  static void each_run(Convolution<T> const& work, Index index, Body&& body) noexcept {
    Direct<T>::each_run(work, index, body);
  }

  static void transform_weights(Convolution<T> const& work, Index item, Element* prepared) noexcept {
    GroupProducts<T> const groups = products(work);
    Index const depth = work.depth(), inputs = work.group_channels(), group = groups.product_of(item);
    for (Index column = 0; column < line; column += simd::lanes) {
      auto const row = [&](Index k) {
        if (k >= depth) return simd::broadcast(0.0f);
        return groups.weights(work, groups.column_of(item) + column, group * inputs + k % inputs, k / inputs);
      };
      Element* at = prepared + item * operands<T>(depth) * line + column;
      for (Index k = 0; k < depth; k += numbers_an_operand<T>, at += line) simd::store_row(at, row(k), row(k + 1));
    }
  }

  static void compute(Convolution<T> const& work, Element const* weights, Index index, float* scratch) noexcept {
    GroupProducts<T> const groups = products(work);
    auto const [first, last] = pixel_tile(work.output_height * work.output_width, index);
    Index const inputs = work.group_channels();
    Index const pitch = groups.sum_columns(), taps = work.kernel_height * work.kernel_width;
    Index const slice = taps_per_slice(group(work, 0)), b_line_stride = operands<T>(work.depth()) * line;
    float* const sums = scratch + patch_elements(work);
    for (Index g = 0; g < work.groups; ++g) {
      Gemm<T, Element> product{.a = reinterpret_cast<Element const*>(scratch),
                               .a_pitch = 0,
                               .rows = last - first,
                               .depth = 0,
                               .b = nullptr,
                               .b_line_stride = b_line_stride,
                               .lines = groups.product(g).lines,
                               .sum = sums + groups.product(g).first_column,
                               .sum_pitch = pitch};
      for (Index tap = 0; tap < taps; tap += slice) {
        Index const end = (std::min)(tap + slice, taps), numbers = (end - tap) * inputs;
        product.a_pitch = product.depth = operands<T>(numbers);
        im2col(group(work, g), first, last, tap, end, reinterpret_cast<OperandNumber<T>*>(scratch),
               product.depth * numbers_an_operand<T> - numbers, true);
        product.b = weights + groups.first_line(g) * b_line_stride + operands<T>(tap * inputs) * line;
        product.accumulate = tap > 0;
        gemm(product);
      }
    }
    for (Index pixel = first; pixel < last; ++pixel) {
      groups.clear_padding(sums + (pixel - first) * pitch);
      finish(work, pixel, sums + (pixel - first) * pitch);
    }
  }

 private:
  /// By group: each has patches of its own.
  static constexpr GroupProducts<T> products(Convolution<T> const& work) noexcept {
    return GroupProducts<T>(work, false);
  }

  /// One group as a convolution of its own, for what reads the input.
  static constexpr Convolution<T> group(Convolution<T> const& work, Index number) noexcept {
    Convolution<T> part = work;
    part.groups = 1;
    part.channels = work.group_channels();
    if (work.input != nullptr) part.input += number * part.channels;  // a rehearsal has no memory
    return part;
  }

  static void finish(Convolution<T> const& work, Index pixel, float const* sums) noexcept {
    using namespace simd;
    Index const at =
        pixel / work.output_width * work.output_row_step + pixel % work.output_width * work.output_pixel_step;
    for (Index c = 0; c < work.output_lines * channels_per_line<T>; c += lanes) {
      Pack const sum = work.bias != nullptr ? load(sums + c) + load(work.bias + c) : load(sums + c);
      store(work.output + at + c, finished(work, sum, at, c));
    }
  }
};

/// Whether each group of a convolution has whole lines of channels, in its packed weights too, so that any method can
/// compute it as a convolution.
template <class T>
constexpr bool has_whole_groups(Convolution<T> const& work) noexcept {
  return work.groups > 1 && work.channels % (work.groups * channels_per_line<T>) == 0 &&
         work.output_channels % (work.groups * packed_line<T>) == 0;
}

/// One of these groups.
template <class T>
constexpr Convolution<T> group_of(Convolution<T> const& work, Index group) noexcept {
  auto const behind = [](auto* p, Index n) { return p == nullptr ? p : p + n; };  // a rehearsal has no memory
  Convolution<T> part = work;
  part.groups = 1;
  part.channels = work.group_channels();
  part.output_lines = work.output_lines / work.groups;
  part.output_channels = work.output_channels / work.groups;
  Index const first = group * part.output_lines * channels_per_line<T>;
  part.input = behind(work.input, group * part.channels);
  part.weights = behind(work.weights, first * work.depth());
  part.bias = behind(work.bias, first);
  part.slopes = behind(work.slopes, first);
  part.scales = behind(work.scales, first);
  part.output = behind(work.output, first);
  part.residual = behind(work.residual, first);
  return part;
}

// In the order of ConvolutionPlan::method.
template <class T>
using Methods = std::tuple<Direct<T>,                                               // any
                           winograd::Tiles<T, winograd::F43, winograd::F43>,        // 3x3
                           winograd::Tiles<T, winograd::OneTap<1>, winograd::F42>,  // 1x2
                           winograd::Tiles<T, winograd::F42, winograd::OneTap<1>>,  // 2x1
                           winograd::Tiles<T, winograd::F42, winograd::F42>,        // 2x2
                           Grouped<T>,                                              // any, of several groups
                           Depthwise<T>>;
inline constexpr int grouped = 5, depthwise = 6;

/// body(method) with an object of the type that has this number.
template <class T, class Body>
MIRNET_ALWAYS_INLINE constexpr auto with_method(int number, Body&& body) noexcept {
  switch (number) {
    case 1: return body(std::tuple_element_t<1, Methods<T>>{});
    case 2: return body(std::tuple_element_t<2, Methods<T>>{});
    case 3: return body(std::tuple_element_t<3, Methods<T>>{});
    case 4: return body(std::tuple_element_t<4, Methods<T>>{});
    case grouped: return body(Grouped<T>{});
    case depthwise: return body(Depthwise<T>{});
    default: return body(Direct<T>{});
  }
}

template <class T>
constexpr int choose_method(Convolution<T> const& work, Algorithm algorithm) noexcept {
  if (Depthwise<T>::suits(work)) return depthwise;
  if (work.gates) return 0;
  constexpr bool rounds = !std::is_same_v<Operand<T>, float>;
  int chosen = work.groups > 1 ? grouped : 0;
  if (algorithm == Algorithm::direct || (algorithm == Algorithm::precise && rounds)) return chosen;
  for (int method = 1; method < grouped; ++method) {
    if (with_method<T>(method, [&](auto kernel) { return kernel.suits(work); })) chosen = method;
  }
  return chosen;
}

inline float* floats(std::byte* memory) noexcept { return reinterpret_cast<float*>(memory); }

}  // namespace convolution_detail

template <class T>
constexpr ConvolutionPlan plan_convolution(Convolution<T> const& work, Algorithm algorithm) noexcept {
  using namespace convolution_detail;
  if (has_whole_groups(work) && !work.gates) {
    ConvolutionPlan plan = plan_convolution(group_of(work, 0), algorithm);
    plan.groups = work.groups;
    plan.tile_products *= work.groups;
    plan.weights_bytes *= work.groups;
    plan.weights_items *= work.groups;
    return plan;
  }
  int const method = choose_method(work, algorithm);
  return with_method<T>(method, [&](auto kernel) {
    Index const weights = kernel.weights_elements(work) * static_cast<Index>(sizeof(float));
    return ConvolutionPlan{.method = method,
                           .weights_bytes = weights,
                           .weights_items = weights == 0 ? 0 : kernel.weight_lines(work),
                           .scratch_bytes = kernel.scratch_elements(work) * static_cast<Index>(sizeof(float)),
                           .name = kernel.name(work),
                           .tile_height = kernel.tile_height,
                           .tile_width = kernel.tile_width,
                           .tile_products = kernel.tile_products(work)};
  });
}

template <class T>
void prepare_weights(Convolution<T> const& work, ConvolutionPlan const& plan, Index item,
                     std::byte* prepared) noexcept {
  using namespace convolution_detail;
  if (plan.groups > 1) {
    Index const items = plan.weights_items / plan.groups, group = item / items;
    ConvolutionPlan const part{.method = plan.method};
    return prepare_weights(group_of(work, group), part, item % items,
                           prepared + group * (plan.weights_bytes / plan.groups));
  }
  with_method<T>(plan.method,
                 [&](auto kernel) { kernel.transform_weights(work, item, reinterpret_cast<Operand<T>*>(prepared)); });
}

template <class T>
constexpr Index convolution_work_tiles(Convolution<T> const& work, ConvolutionPlan const& plan) noexcept {
  using namespace convolution_detail;
  auto const work_tiles = [&](Convolution<T> const& part) {
    return with_method<T>(plan.method, [&](auto kernel) { return kernel.work_tiles(part); });
  };
  return plan.groups > 1 ? plan.groups * work_tiles(group_of(work, 0)) : work_tiles(work);
}

template <class T>
void convolution(Convolution<T> const& work, ConvolutionPlan const& plan, std::byte const* prepared, Index work_tile,
                 std::byte* scratch) noexcept {
  using namespace convolution_detail;
  if (plan.groups > 1) {
    ConvolutionPlan const part{.method = plan.method};
    Index const work_tiles = convolution_work_tiles(group_of(work, 0), part), group = work_tile / work_tiles;
    return convolution(group_of(work, group), part, prepared + group * (plan.weights_bytes / plan.groups),
                       work_tile % work_tiles, scratch);
  }
  with_method<T>(plan.method, [&](auto kernel) {
    kernel.compute(work, reinterpret_cast<Operand<T> const*>(prepared), work_tile, floats(scratch));
    // While the results are in the cache.
    if (work.function.wanted()) {
      kernel.each_run(work, work_tile, [&](Index y, Index x, Index pixels) {
        T* const out = work.output + y * work.output_row_step + x * work.output_pixel_step;
        Index const step = work.output_pixel_step;
        apply_function<T>({out, step, out, step, work.output_channels, work.function}, 0, pixels);
      });
    }
    if (!work.statistics.wanted()) return;
    start_statistics(work, work_tile);
    kernel.each_run(work, work_tile,
                    [&](Index y, Index x, Index pixels) { add_statistics(work, work_tile, y, x, pixels); });
  });
}

template <class T>
constexpr ProjectionPlan plan_gated_projection(GatedProjection<T> const& work) noexcept {
  constexpr bool in_place = std::is_same_v<T, OperandNumber<T>>;
  Index const weights = 2 * operands<T>(work.channels) * work.pitch;
  Index const scratch = in_place ? 0 : convolution_detail::work_tile_pixels * work.pitch;
  return {weights * static_cast<Index>(sizeof(float)), scratch * static_cast<Index>(sizeof(float))};
}

template <class T>
void prepare_gated_projection(GatedProjection<T> const& work, std::byte* prepared) noexcept {
  Index const depth = operands<T>(work.channels), half = depth * channels_per_line<float>;
  auto* const to = reinterpret_cast<Operand<T>*>(prepared);
  prepare_matrix<T>(work.weights, 2 * work.channels, 0, work.channels, work.pitch, nullptr, to, 2 * half);
  prepare_matrix<T>(work.weights, 2 * work.channels, work.channels, work.channels, work.pitch, work.channel_gate,
                    to + half, 2 * half);
}

template <class T>
void gated_projection(GatedProjection<T> const& work, std::byte const* prepared, Index first, Index last,
                      std::byte* scratch) noexcept {
  using namespace convolution_detail;
  MIRNET_ASSERT(last - first <= work_tile_pixels);
  Index offsets[work_tile_pixels];
  for (Index i = 0; i < last - first; ++i) offsets[i] = i * work.pitch;
  Index const depth = operands<T>(work.channels), half = depth * channels_per_line<float>;
  auto const* const weights = reinterpret_cast<Operand<T> const*>(prepared);
  T const* const input = work.input + first * work.pitch;
  Gemm<T, Operand<T>> product{.a = reinterpret_cast<Operand<T> const*>(scratch),
                              .a_pitch = operands<T>(work.pitch),
                              .rows = last - first,
                              .depth = depth,
                              .b = weights,
                              .b_line_stride = 2 * half,
                              .lines = work.pitch / channels_per_line<float>,
                              .sum = nullptr,
                              .sum_pitch = 0,
                              .finish = true,
                              .c = work.output + first * work.pitch,
                              .c_offsets = offsets,
                              .residual = work.residual == nullptr ? nullptr : work.residual + first * work.pitch,
                              .second_b = weights + half,
                              .row_scales = work.pixel_gate + first};
  if constexpr (std::is_same_v<T, OperandNumber<T>>) {
    product.a = reinterpret_cast<Operand<T> const*>(input);
    product.ahead = reinterpret_cast<std::byte const*>(work.input + last * work.pitch);
    Index const next = (std::min)(last + work_tile_pixels, work.pixels) - last;
    product.ahead_lines = next * work.pitch * static_cast<Index>(sizeof(T)) / alignment_bytes;
  } else {
    for (Index i = 0; i < product.rows * work.pitch; i += simd::lanes) {
      simd::store(floats(scratch) + i, simd::load(input + i));
    }
  }
  product.second_a = product.a;
  gemm(product);
}

template <class T>
constexpr ProjectionPlan plan_blurred_projection(BlurredProjection<T> const& work) noexcept {
  Index const columns = work.output_lines * channels_per_line<T>;
  Index const weights = work.branches * operands<T>(work.channels) * columns;
  Index const scratch = work.branches * convolution_detail::work_tile_pixels * operands<T>(work.blur[0].pitch);
  return {weights * static_cast<Index>(sizeof(float)), scratch * static_cast<Index>(sizeof(float))};
}

template <class T>
void prepare_blurred_projection(BlurredProjection<T> const& work, std::byte* prepared) noexcept {
  Index const columns = work.output_lines * channels_per_line<T>, depth = operands<T>(work.channels);
  auto* const to = reinterpret_cast<Operand<T>*>(prepared);
  for (int branch = 0; branch < work.branches; ++branch) {
    prepare_matrix<T>(work.weights[branch], work.channels, 0, work.channels, columns, nullptr,
                      to + branch * depth * columns, depth * channels_per_line<float>);
  }
}

template <class T>
void blurred_projection(BlurredProjection<T> const& work, std::byte const* prepared, Index first, Index last,
                        std::byte* scratch) noexcept {
  using namespace convolution_detail;
  static_assert(BlurredProjection<T>::branches == 2, "one product is added to another");
  MIRNET_ASSERT(last - first <= work_tile_pixels);
  Index const columns = work.output_lines * channels_per_line<T>, depth = operands<T>(work.channels);
  Index const numbers = work.blur[0].pitch, operand_pitch = operands<T>(numbers);
  auto* const blurred = reinterpret_cast<Operand<T>*>(scratch);
  Index const second = work_tile_pixels * operand_pitch;
  for (int branch = 0; branch < work.branches; ++branch) {
    Resampling<T> const& blur = work.blur[branch];
    Index const width = blur.width / 2;
    for (Index pixel = first; pixel < last;) {
      Index const x = pixel % width, run = (std::min)(last - pixel, width - x);
      blur_pool_pixels(blur, blur.first_row + pixel / width, x, x + run,
                       reinterpret_cast<OperandNumber<T>*>(blurred + branch * second) + (pixel - first) * numbers);
      pixel += run;
    }
  }
  Index offsets[work_tile_pixels];
  for (Index i = 0; i < last - first; ++i) offsets[i] = i * columns;
  auto const* const weights = reinterpret_cast<Operand<T> const*>(prepared);
  gemm(Gemm<T, Operand<T>>{.a = blurred,
                           .a_pitch = operand_pitch,
                           .rows = last - first,
                           .depth = depth,
                           .b = weights,
                           .b_line_stride = depth * channels_per_line<float>,
                           .lines = columns / channels_per_line<float>,
                           .sum = nullptr,
                           .sum_pitch = 0,
                           .finish = true,
                           .c = work.output + first * columns,
                           .c_offsets = offsets,
                           .second_a = blurred + second,
                           .second_b = weights + depth * columns});
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

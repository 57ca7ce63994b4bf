// The convolutions of the network as matrix products of blocks of pixels: im2col and GEMM for any kernel, a plain
// GEMM where the kernel is 1x1, and the 1x1 of the dual attention unit with the attention applied while it gathers.
#pragma once

#include <algorithm>
#include <tuple>

#include <mirnet/kernels/gemm.hpp>
#include <mirnet/kernels/im2col.hpp>
#include <mirnet/kernels/reduction.hpp>
#include <mirnet/kernels/resampling.hpp>
#include <mirnet/kernels/winograd.hpp>

namespace mirnet::inline v0::inline MIRNET_ISA {

namespace convolution_detail {

/// A multiple of every tile height. At 64 channels a block of the result is 21 KB and of the patches 64 KB: both stay
/// in the second-level cache, and the weights are read from there once a block.
inline constexpr Index block_pixels = 84;

/// The part of a kernel's taps that is gathered and multiplied at a time. With about 288 of depth, 16 columns of
/// weights and the rows of a tile fit the first-level cache together.
MIRNET_ALWAYS_INLINE Index taps_per_slice(Convolution<float> const& work) noexcept {
  constexpr Index most_depth = 288;
  Index const taps = work.kernel_height * work.kernel_width;
  Index const slices = divide_up(taps, std::max<Index>(1, most_depth / work.channels));
  return divide_up(taps, slices);
}

/// Every pixel's patch is the pixel itself.
MIRNET_ALWAYS_INLINE bool pointwise(Convolution<float> const& work) noexcept {
  return work.kernel_height == 1 && work.kernel_width == 1 && work.stride == 1 && work.pad_top == 0 &&
         work.pad_left == 0 && work.output_width == work.width && work.first_row + work.output_height <= work.height;
}

/// Where the output pixels [first, last) lie.
MIRNET_ALWAYS_INLINE void output_offsets(Convolution<float> const& work, Index first, Index last,
                                         Index* offsets) noexcept {
  Index y = first / work.output_width, x = first % work.output_width;
  for (Index pixel = first; pixel < last; ++pixel) {
    *offsets++ = y * work.output_row_step + x * work.output_pixel_step;
    if (++x == work.output_width) x = 0, ++y;
  }
}

/// The definition, as im2col and GEMM.
struct Direct {
  static Index columns(Convolution<float> const& work) noexcept { return work.output_groups * channel_group<float>; }
  static Index slices(Convolution<float> const& work) noexcept {
    return divide_up(work.kernel_height * work.kernel_width, taps_per_slice(work));
  }
  static Index weights_elements(Convolution<float> const&) noexcept { return 0; }
  static Index patch_elements(Convolution<float> const& work) noexcept {
    if (pointwise(work)) return 0;
    return block_pixels * taps_per_slice(work) * work.channels + channel_group<float>;
  }
  /// The patches, and sums between slices: the output may hold the residual until the last.
  static Index scratch_elements(Convolution<float> const& work) noexcept {
    return patch_elements(work) + (slices(work) > 1 ? block_pixels * columns(work) : 0);
  }
  static void transform_weights(Convolution<float> const&, Index, float*) noexcept {}
  static Index blocks(Convolution<float> const& work) noexcept {
    return divide_up(work.output_height * work.output_width, block_pixels);
  }

  static void block(Convolution<float> const& work, float const*, Index index, float* scratch) noexcept {
    Index const first = index * block_pixels;
    Index const last = std::min(first + block_pixels, work.output_height * work.output_width);
    Index offsets[block_pixels];
    output_offsets(work, first, last, offsets);
    multiply(work, first, last, offsets, scratch);
    if (work.statistics.channel_sums == nullptr && work.statistics.maximum == nullptr) return;
    start_statistics(work, index);
    for (Index pixel = first; pixel < last;) {
      Index const y = pixel / work.output_width, x = pixel % work.output_width;
      Index const run = std::min(last - pixel, work.output_width - x);
      add_statistics(work, index, y, x, run);
      pixel += run;
    }
  }

 private:
  static void multiply(Convolution<float> const& work, Index first, Index last, Index const* offsets,
                       float* scratch) noexcept {
    Index const taps = work.kernel_height * work.kernel_width;
    Gemm product{.a = nullptr,  // with its pitch and depth: the input itself, or one slice of patches after another
                 .a_pitch = 0,
                 .rows = last - first,
                 .depth = 0,
                 .b = work.weights,
                 .b_group_stride = taps * work.channels * channel_group<float>,
                 .groups = work.output_groups,
                 .sum = nullptr,  // where there is more than one slice
                 .sum_pitch = 0,
                 .finish = true,
                 .c = work.output,
                 .c_offsets = offsets,
                 .residual = work.residual,
                 .slope = work.slope};
    if (pointwise(work)) {
      product.a = work.input + ((work.first_row - work.input_first_row) * work.width + first) * work.input_pitch;
      product.a_pitch = work.input_pitch;
      product.depth = work.channels;
      Index const next = std::min(last + block_pixels, work.output_height * work.output_width) - last;
      product.ahead = product.a + (last - first) * work.input_pitch;
      product.ahead_lines = next * work.input_pitch / channel_group<float>;
      return gemm(product);
    }
    Index const slice = taps_per_slice(work);
    product.a = scratch;
    product.sum = scratch + patch_elements(work);
    product.sum_pitch = columns(work);
    for (Index tap = 0; tap < taps; tap += slice) {
      Index const end = std::min(tap + slice, taps);
      im2col(work, first, last, tap, end, scratch);
      product.a_pitch = product.depth = (end - tap) * work.channels;
      product.b = work.weights + tap * work.channels * channel_group<float>;
      product.accumulate = tap > 0;
      product.finish = end == taps;
      gemm(product);
    }
  }
};

// In the order of ConvolutionPlan::method.
using Methods = std::tuple<Direct,                                               // any
                           winograd::Tiles<winograd::F43, winograd::F43>,        // 3x3
                           winograd::Tiles<winograd::OneTap<1>, winograd::F42>,  // 1x2
                           winograd::Tiles<winograd::F42, winograd::OneTap<1>>,  // 2x1
                           winograd::Tiles<winograd::F42, winograd::F42>>;       // 2x2

/// body(method) with an object of the type that has this number.
template <class Body>
MIRNET_ALWAYS_INLINE auto with_method(int number, Body&& body) noexcept {
  switch (number) {
    case 1: return body(std::tuple_element_t<1, Methods>{});
    case 2: return body(std::tuple_element_t<2, Methods>{});
    case 3: return body(std::tuple_element_t<3, Methods>{});
    case 4: return body(std::tuple_element_t<4, Methods>{});
    default: return body(Direct{});
  }
}

inline int choose_method(Convolution<float> const& work, Algorithm algorithm) noexcept {
  // With fewer tiles, transforming the weights costs more than it saves; with fewer channels, transforming the tiles.
  constexpr Index fewest_tiles = 16, fewest_channels = 8;
  if (algorithm == Algorithm::direct || work.stride != 1 || work.channels < fewest_channels) return 0;
  int method = 0;
  if (work.kernel_height == 3 && work.kernel_width == 3) method = 1;
  if (work.kernel_height == 1 && work.kernel_width == 2) method = 2;
  if (work.kernel_height == 2 && work.kernel_width == 1) method = 3;
  if (work.kernel_height == 2 && work.kernel_width == 2) method = 4;
  Index const tile = method == 2 || method == 3 ? 4 : 16;
  return work.output_height * work.output_width >= fewest_tiles * tile ? method : 0;
}

inline float* floats(std::byte* memory) noexcept { return reinterpret_cast<float*>(memory); }
inline float const* floats(std::byte const* memory) noexcept { return reinterpret_cast<float const*>(memory); }

}  // namespace convolution_detail

inline ConvolutionPlan plan_convolution(Convolution<float> const& work, Algorithm algorithm) noexcept {
  using namespace convolution_detail;
  int const method = choose_method(work, algorithm);
  return with_method(method, [&](auto kernel) {
    Index const weights = kernel.weights_elements(work) * static_cast<Index>(sizeof(float));
    return ConvolutionPlan{.method = method,
                           .weights_bytes = weights,
                           .weights_items = weights == 0 ? 0 : work.output_groups,
                           .scratch_bytes = kernel.scratch_elements(work) * static_cast<Index>(sizeof(float))};
  });
}

inline void prepare_weights(Convolution<float> const& work, ConvolutionPlan const& plan, Index item,
                            std::byte* prepared) noexcept {
  using namespace convolution_detail;
  with_method(plan.method, [&](auto kernel) { kernel.transform_weights(work, item, floats(prepared)); });
}

inline Index convolution_blocks(Convolution<float> const& work, ConvolutionPlan const& plan) noexcept {
  return convolution_detail::with_method(plan.method, [&](auto kernel) { return kernel.blocks(work); });
}

inline void convolution(Convolution<float> const& work, ConvolutionPlan const& plan, std::byte const* prepared,
                        Index block, std::byte* scratch) noexcept {
  using namespace convolution_detail;
  with_method(plan.method, [&](auto kernel) { kernel.block(work, floats(prepared), block, floats(scratch)); });
}

inline Index gated_projection_scratch(GatedProjection<float> const& work) noexcept {
  Index const elements = convolution_detail::block_pixels * 2 * work.channels + channel_group<float>;
  return elements * static_cast<Index>(sizeof(float));
}

inline void gated_projection(GatedProjection<float> const& work, Index first, Index last,
                             std::byte* scratch_bytes) noexcept {
  using namespace convolution_detail;
  MIRNET_ASSERT(last - first <= block_pixels);
  float* const scratch = floats(scratch_bytes);
  Index offsets[block_pixels];
  Index const depth = 2 * work.channels;
  for (Index pixel = first; pixel < last; ++pixel) {
    offsets[pixel - first] = (pixel - first) * work.pitch;
    float const* const in = work.input + pixel * work.pitch;
    float* const row = scratch + (pixel - first) * depth;
    simd::Pack const gate = simd::broadcast(work.pixel_gate[pixel]);
    // Whole registers: what runs over the first half's end is overwritten by the second, what runs over the second's
    // by the next row, and the last row has a line of room behind it.
    for (Index c = 0; c < work.channels; c += simd::lanes) simd::store(row + c, simd::load(in + c) * gate);
    for (Index c = 0; c < work.channels; c += simd::lanes) {
      simd::store(row + work.channels + c, simd::load(in + c) * simd::load(work.channel_gate + c));
    }
  }
  gemm({.a = scratch,
        .a_pitch = depth,
        .rows = last - first,
        .depth = depth,
        .b = work.weights,
        .b_group_stride = depth * channel_group<float>,
        .groups = work.pitch / channel_group<float>,
        .sum = nullptr,
        .sum_pitch = 0,
        .finish = true,
        .c = work.output + first * work.pitch,
        .c_offsets = offsets,
        .residual = work.residual == nullptr ? nullptr : work.residual + first * work.pitch,
        .slope = 1.0f});
}

inline Index blurred_projection_scratch(BlurredProjection<float> const& work) noexcept {
  Index const columns = work.output_groups * channel_group<float>;
  return convolution_detail::block_pixels * (work.blur[0].pitch + columns) * static_cast<Index>(sizeof(float));
}

inline void blurred_projection(BlurredProjection<float> const& work, Index first, Index last,
                               std::byte* scratch) noexcept {
  using namespace convolution_detail;
  MIRNET_ASSERT(last - first <= block_pixels);
  Index const columns = work.output_groups * channel_group<float>, pitch = work.blur[0].pitch;
  float* const blurred = floats(scratch);
  Index offsets[block_pixels];
  for (Index i = 0; i < last - first; ++i) offsets[i] = i * columns;
  Gemm product{.a = blurred,
               .a_pitch = pitch,
               .rows = last - first,
               .depth = work.channels,
               .b = nullptr,
               .b_group_stride = work.channels * channel_group<float>,
               .groups = work.output_groups,
               .sum = blurred + block_pixels * pitch,
               .sum_pitch = columns,
               .c = work.output + first * columns,
               .c_offsets = offsets};
  for (int branch = 0; branch < work.branches; ++branch) {
    Resampling<float> const& blur = work.blur[branch];
    Index const width = blur.width / 2;
    for (Index pixel = first; pixel < last;) {
      Index const x = pixel % width, run = std::min(last - pixel, width - x);
      blur_pool_pixels(blur, blur.first_row + pixel / width, x, x + run, blurred + (pixel - first) * pitch);
      pixel += run;
    }
    product.b = work.weights[branch];
    product.accumulate = branch > 0;
    product.finish = branch + 1 == work.branches;
    gemm(product);
  }
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA

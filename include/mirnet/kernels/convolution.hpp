// The convolutions of the network as matrix products of blocks of pixels: im2col and GEMM for any kernel, a plain
// GEMM where the kernel is 1x1, and the 1x1 of the dual attention unit with the attention applied while it gathers.
#pragma once

#include <algorithm>

#include <mirnet/kernels/gemm.hpp>
#include <mirnet/kernels/im2col.hpp>

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
         work.pad_left == 0 && work.output_height == work.height && work.output_width == work.width;
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

}  // namespace convolution_detail

inline Index convolution_scratch(Convolution<float> const& work) noexcept {
  using namespace convolution_detail;
  if (pointwise(work)) return 0;
  return block_pixels * taps_per_slice(work) * work.channels + channel_group<float>;
}

inline void convolution(Convolution<float> const& work, Index first, Index last, float* scratch) noexcept {
  using namespace convolution_detail;
  MIRNET_ASSERT(last - first <= block_pixels);
  Index offsets[block_pixels];
  output_offsets(work, first, last, offsets);

  Index const taps = work.kernel_height * work.kernel_width;
  Gemm product{.a = nullptr,  // with its pitch and depth: the input itself below, or one slice of patches after another
               .a_pitch = 0,
               .rows = last - first,
               .depth = 0,
               .b = work.weights,
               .b_group_stride = taps * work.channels * channel_group<float>,
               .groups = work.output_groups,
               .c = work.output,
               .c_offsets = offsets,
               .accumulate = false,
               .finish = true,
               .residual = work.residual,
               .slope = work.slope};
  if (pointwise(work)) {
    product.a = work.input + first * work.input_pitch;
    product.a_pitch = work.input_pitch;
    product.depth = work.channels;
    return gemm(product);
  }

  Index const slice = taps_per_slice(work);
  product.a = scratch;
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

inline Index gated_projection_scratch(GatedProjection<float> const& work) noexcept {
  return convolution_detail::block_pixels * 2 * work.channels + channel_group<float>;
}

inline void gated_projection(GatedProjection<float> const& work, Index first, Index last, float* scratch) noexcept {
  using namespace convolution_detail;
  MIRNET_ASSERT(last - first <= block_pixels);
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
        .c = work.output + first * work.pitch,
        .c_offsets = offsets,
        .accumulate = false,
        .finish = true,
        .residual = work.residual == nullptr ? nullptr : work.residual + first * work.pitch,
        .slope = 1.0f});
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA

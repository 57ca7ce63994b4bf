// The kernels of the instruction set that this translation unit is compiled for.
#pragma once

#include <mirnet/config.hpp>

#if MIRNET_NO_SIMD
#include <mirnet/kernels/reference.hpp>
#else
#include <mirnet/kernels/convolution.hpp>
#include <mirnet/kernels/pointwise.hpp>
#include <mirnet/kernels/reduction.hpp>
#include <mirnet/kernels/resampling.hpp>
#endif

namespace mirnet::inline v0::inline MIRNET_ISA {

/// The table a program with fixed compiler flags gives its Context. A program that chooses at run time compiles a
/// small file per instruction set that returns this.
inline KernelTable<float> const& native_kernels() noexcept {
#if MIRNET_NO_SIMD
  return reference_kernels<float>();
#else
  static constexpr KernelTable<float> table{
      .isa = MIRNET_ISA_NAME,
      .plan_convolution = plan_convolution,
      .prepare_weights = prepare_weights,
      .convolution_blocks = convolution_blocks,
      .convolution = convolution,
      .block_pixels = convolution_detail::block_pixels,
      .gated_projection_scratch = gated_projection_scratch,
      .gated_projection = gated_projection,
      .blurred_projection_scratch = blurred_projection_scratch,
      .blurred_projection = blurred_projection,
      .blur_pool = blur_pool,
      .bilinear_double = bilinear_double,
      .channel_sums = channel_sums,
      .channel_max_mean = channel_max_mean,
      .spatial_gate = spatial_gate,
      .prelu = prelu,
      .sigmoid = sigmoid,
      .softmax = softmax,
      .weighted_sum = weighted_sum,
  };
  return table;
#endif
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA

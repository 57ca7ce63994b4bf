// The kernels of the instruction set that this translation unit is compiled for.
#pragma once

#include <type_traits>

#include <mirnet/base/half.hpp>
#include <mirnet/config.hpp>

#if MIRNET_NO_SIMD
#include <mirnet/kernels/reference.hpp>
#else
#include <mirnet/kernels/convolution.hpp>
#include <mirnet/kernels/normalization.hpp>
#include <mirnet/kernels/pointwise.hpp>
#include <mirnet/kernels/pooling.hpp>
#include <mirnet/kernels/reduction.hpp>
#include <mirnet/kernels/resampling.hpp>
#endif

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

#if !MIRNET_NO_SIMD
/// What native_kernels returns.
template <class T>
inline constexpr KernelTable<T> native_table{
    .isa = MIRNET_ISA_NAME,
    .plan_convolution = plan_convolution<T>,
    .prepare_weights = prepare_weights<T>,
    .convolution_work_tiles = convolution_work_tiles<T>,
    .convolution = convolution<T>,
    .work_tile_pixels = convolution_detail::work_tile_pixels,
    .plan_gated_projection = plan_gated_projection<T>,
    .prepare_gated_projection = prepare_gated_projection<T>,
    .gated_projection = gated_projection<T>,
    .plan_blurred_projection = plan_blurred_projection<T>,
    .prepare_blurred_projection = prepare_blurred_projection<T>,
    .blurred_projection = blurred_projection<T>,
    .blur_pool = blur_pool<T>,
    .bilinear_double = bilinear_double<T>,
    .average_halve = average_halve<T>,
    .bilinear_double_sum = bilinear_double_sum<T>,
    .channel_sums = channel_sums<T>,
    .channel_max_mean = channel_max_mean<T>,
    .spatial_gate = spatial_gate<T>,
    .attention_pool = attention_pool<T>,
    .activated_sum = activated_sum<T>,
    .prelu = prelu<T>,
    .channel_prelu = channel_prelu<T>,
    .sigmoid = sigmoid<T>,
    .softmax = softmax<T>,
    .weighted_sum = weighted_sum<T>,
    .apply_function = apply_function<T>,
    .combine = combine<T>,
    .scale_and_shift = scale_and_shift<T>,
    .normalize = normalize<T>,
    .softmax_of_channels = softmax_of_channels<T>,
    .channel_squares = channel_squares<T>,
    .channel_exponentials = channel_exponentials<T>,
    .pool = pool<T>,
    .interpolate = interpolate<T>,
};
#endif

/// The table that a program with fixed compiler flags gives its Context: T is float, or bfloat16 for maps and weights
/// of half the size. A program that chooses at run time compiles a small file per instruction set that returns this.
/// Without SIMD there are the plain kernels, of float only.
template <class T = float>
constexpr KernelTable<T> const& native_kernels() noexcept {
#if MIRNET_NO_SIMD
  static_assert(std::is_same_v<T, float>, "native_kernels: without SIMD there are kernels of float only");
  return reference_kernels<T>();
#else
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, bfloat16>,
                "native_kernels: there are SIMD kernels of float and bfloat16; double has those of kernels/eigen.hpp");
  return native_table<T>;
#endif
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

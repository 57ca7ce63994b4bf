// Resampling by two.
#pragma once

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline v0 {

namespace detail {

/// Runs one of the context's resampling kernels.
template <class T, class Kernel>
void resample(Context<T>& context, View<T const> input, View<T> output, Kernel KernelTable<T>::*kernel) noexcept {
  MIRNET_ASSERT(input.channels() == output.channels() && input.pitch() == output.pitch());
  Resampling<T> const work{input.data(), input.height(), input.width(), input.pitch(), output.data()};
  context.each_range(output.height(), rows_a_range,
                     [&](Index first, Index last, Index) { (context.kernels->*kernel)(work, first, last); });
}

}  // namespace detail

/// Anti-aliased downsampling by two (Zhang, ICML 2019): [1 2 1] x [1 2 1] / 16, borders reflected without the edge.
/// The input's height and width are even.
template <class T>
void blur_pool(Context<T>& context, View<T const> input, View<T> output) noexcept {
  MIRNET_ASSERT(input.height() == 2 * output.height() && input.width() == 2 * output.width());
  detail::resample(context, input, output, &KernelTable<T>::blur_pool);
}

/// torch.nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False).
template <class T>
void bilinear_double(Context<T>& context, View<T const> input, View<T> output) noexcept {
  MIRNET_ASSERT(output.height() == 2 * input.height() && output.width() == 2 * input.width());
  detail::resample(context, input, output, &KernelTable<T>::bilinear_double);
}

}  // namespace mirnet::inline v0

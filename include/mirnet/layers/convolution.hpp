// Convolution layers: packed weights and the call of the kernel. None has a bias, as none in MIRNet has.
#pragma once

#include <span>

#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline v0 {

/// What happens to each result of a convolution before it is written.
template <class T>
struct Epilogue {
  T slope = T(1);            ///< PReLU's; 1 is none, 0 is ReLU
  View<T const> residual{};  ///< added after the activation; without data: none
};

namespace detail {

/// body(first, last, scratch) for blocks of the kernels' size that make up [0, pixels), `elements` of scratch each.
template <class T, class Body>
void in_blocks(Context<T>& context, Index pixels, Index elements, Body&& body) noexcept {
  auto const scratch = context.scratch(elements);
  context.each_range(pixels, context.kernels->block_pixels, [&](Index first, Index last, Index worker) {
    body(first, last, scratch.data() + worker * elements);
  });
}

template <class T>
void convolve(Context<T>& context, Convolution<T> const& work) noexcept {
  KernelTable<T> const& kernels = *context.kernels;
  in_blocks(context, work.output_height * work.output_width, kernels.convolution_scratch(work),
            [&](Index first, Index last, T* scratch) { kernels.convolution(work, first, last, scratch); });
}

}  // namespace detail

/// torch.nn.Conv2d with a square kernel: weights (out_channels, in_channels, kernel, kernel), zero padding.
template <class T>
class Conv2d {
 public:
  Conv2d() = default;

  /// Without `padding`, odd kernels keep the size.
  Conv2d(Index in_channels, Index out_channels, Index kernel, Index stride, Index padding) noexcept
      : in_(in_channels), out_(out_channels), kernel_(kernel), stride_(stride), padding_(padding) {}
  Conv2d(Index in_channels, Index out_channels, Index kernel) noexcept
      : Conv2d(in_channels, out_channels, kernel, 1, kernel / 2) {}

  ParameterShape shape() const noexcept { return {4, {out_, in_, kernel_, kernel_}}; }
  Index packed_elements() const noexcept { return depth() * pixel_pitch<T>(out_); }
  void bind(T* memory) noexcept { weights_ = memory; }
  void pack(Index first, std::span<T const> values) noexcept {
    each_element(shape(), first, values, [&](T value, Index o, Index i, Index y, Index x) {
      weights_[packed_position<T>(depth(), o, (y * kernel_ + x) * in_ + i)] = value;
    });
  }

  /// The weights as kernels read them.
  T const* packed() const noexcept { return weights_; }

  Shape output_shape(Shape input) const noexcept {
    auto const size = [&](Index n) { return (n + 2 * padding_ - kernel_) / stride_ + 1; };
    return {size(input.height), size(input.width), out_};
  }

  /// `output` has output_shape(input.shape()) and does not overlap the input. The residual has the output's shape; it
  /// may be the output itself if the kernel is 1x1.
  void forward(Context<T>& context, View<T const> input, View<T> output, Epilogue<T> epilogue = {}) const noexcept {
    MIRNET_ASSERT(input.channels() == in_ && output.shape() == output_shape(input.shape()));
    context.count(output.pixels(), depth() * out_);
    detail::convolve<T>(context, {.input = input.data(),
                                  .height = input.height(),
                                  .width = input.width(),
                                  .channels = in_,
                                  .input_pitch = input.pitch(),
                                  .weights = weights_,
                                  .kernel_height = kernel_,
                                  .kernel_width = kernel_,
                                  .stride = stride_,
                                  .pad_top = padding_,
                                  .pad_left = padding_,
                                  .output = output.data(),
                                  .output_height = output.height(),
                                  .output_width = output.width(),
                                  .output_groups = output.pitch() / channel_group<T>,
                                  .output_row_step = output.width() * output.pitch(),
                                  .output_pixel_step = output.pitch(),
                                  .residual = epilogue.residual.data(),
                                  .slope = epilogue.slope});
  }

 private:
  Index depth() const noexcept { return kernel_ * kernel_ * in_; }

  T* weights_ = nullptr;
  Index in_ = 0, out_ = 0, kernel_ = 1, stride_ = 1, padding_ = 0;
};

/// torch.nn.ConvTranspose2d(kernel 3, stride 2, padding 1, output_padding 1): weights (in_channels, out_channels, 3,
/// 3), twice the height and width.
///
/// Output row 2y sees the kernel's middle row at input row y; row 2y + 1 sees its last row at y and its first row at
/// y + 1; columns likewise. So the four phases of the output are four stride-1 convolutions of the input with kernels
/// of 1x1, 1x2, 2x1 and 2x2 taps: nine multiplications for four pixels, and no zero is multiplied.
template <class T>
class ConvTranspose2d {
 public:
  ConvTranspose2d() = default;
  ConvTranspose2d(Index in_channels, Index out_channels) noexcept : in_(in_channels), out_(out_channels) {}

  ParameterShape shape() const noexcept { return {4, {in_, out_, 3, 3}}; }
  Index packed_elements() const noexcept { return 9 * in_ * pixel_pitch<T>(out_); }
  void bind(T* memory) noexcept { weights_ = memory; }
  void pack(Index first, std::span<T const> values) noexcept {
    each_element(shape(), first, values, [&](T value, Index i, Index o, Index ky, Index kx) {
      // Kernel row 1 belongs to the even rows, 2 and 0 are the first and second tap of the odd ones.
      Index const odd_y = ky != 1, odd_x = kx != 1, tap = (ky == 0) * (1 + odd_x) + (kx == 0);
      weights_[phase_start(odd_y, odd_x) + packed_position<T>(phase_depth(odd_y, odd_x), o, tap * in_ + i)] = value;
    });
  }

  Shape output_shape(Shape input) const noexcept { return {2 * input.height, 2 * input.width, out_}; }

  void forward(Context<T>& context, View<T const> input, View<T> output, T slope = T(1)) const noexcept {
    MIRNET_ASSERT(input.channels() == in_ && output.shape() == output_shape(input.shape()));
    context.count(input.pixels(), 9 * in_ * out_);
    Index const row = output.width() * output.pitch();
    for (Index const odd_y : {0, 1}) {
      for (Index const odd_x : {0, 1}) {
        detail::convolve<T>(context, {.input = input.data(),
                                      .height = input.height(),
                                      .width = input.width(),
                                      .channels = in_,
                                      .input_pitch = input.pitch(),
                                      .weights = advance(weights_, phase_start(odd_y, odd_x)),
                                      .kernel_height = 1 + odd_y,
                                      .kernel_width = 1 + odd_x,
                                      .stride = 1,
                                      .pad_top = 0,
                                      .pad_left = 0,
                                      .output = advance(output.data(), odd_y * row + odd_x * output.pitch()),
                                      .output_height = input.height(),
                                      .output_width = input.width(),
                                      .output_groups = output.pitch() / channel_group<T>,
                                      .output_row_step = 2 * row,
                                      .output_pixel_step = 2 * output.pitch(),
                                      .residual = nullptr,
                                      .slope = slope});
      }
    }
  }

 private:
  Index phase_depth(Index odd_y, Index odd_x) const noexcept { return (1 + odd_y) * (1 + odd_x) * in_; }

  /// The phases' weights follow each other: 1, 2, 2 and 4 taps.
  Index phase_start(Index odd_y, Index odd_x) const noexcept {
    Index const taps_before = odd_y * 3 + odd_x * (1 + odd_y);
    return taps_before * in_ * pixel_pitch<T>(out_);
  }

  T* weights_ = nullptr;
  Index in_ = 0, out_ = 0;
};

/// The 1x1 convolution behind a dual attention unit, over [pixel_gate * r ; channel_gate * r]: weights
/// (channels, 2*channels, 1, 1).
template <class T>
class GatedConv1x1 {
 public:
  GatedConv1x1() = default;
  explicit GatedConv1x1(Index channels) noexcept : conv_(2 * channels, channels, 1), channels_(channels) {}

  ParameterShape shape() const noexcept { return conv_.shape(); }
  Index packed_elements() const noexcept { return conv_.packed_elements(); }
  void bind(T* memory) noexcept { conv_.bind(memory); }
  void pack(Index first, std::span<T const> values) noexcept { conv_.pack(first, values); }

  /// pixel_gate has r.pixels() elements, channel_gate is 1 x 1 x channels. The output may be the residual, not r.
  void forward(Context<T>& context, View<T const> r, T const* pixel_gate, View<T const> channel_gate, View<T> output,
               View<T const> residual) const noexcept {
    MIRNET_ASSERT(r.channels() == channels_ && output.shape() == r.shape() && residual.shape() == r.shape());
    context.count(r.pixels(), 2 * channels_ * channels_);
    GatedProjection<T> const work{.input = r.data(),
                                  .pixels = r.pixels(),
                                  .channels = channels_,
                                  .pitch = r.pitch(),
                                  .pixel_gate = pixel_gate,
                                  .channel_gate = channel_gate.data(),
                                  .weights = conv_.packed(),
                                  .output = output.data(),
                                  .residual = residual.data()};
    KernelTable<T> const& kernels = *context.kernels;
    detail::in_blocks(
        context, work.pixels, kernels.gated_projection_scratch(work),
        [&](Index first, Index last, T* scratch) { kernels.gated_projection(work, first, last, scratch); });
  }

 private:
  Conv2d<T> conv_;
  Index channels_ = 0;
};

}  // namespace mirnet::inline v0

// The residual resizing modules (section 3.3, figure 5): one step halves or doubles the resolution, and a chain of
// steps connects streams that are further apart.
#pragma once

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/resampling.hpp>

namespace mirnet::inline v0 {

/// Half the resolution, twice the channels: W3 blur(prelu(conv(prelu(W1 x)))) + W4 blur(x).
template <class T>
class Downsampling {
 public:
  Downsampling() = default;
  explicit Downsampling(Index channels) noexcept
      : top_0_(channels, channels, 1),
        top_2_(channels, channels, 3),
        top_5_(channels, 2 * channels, 1),
        bottom_1_(channels, 2 * channels, 1) {}

  static Shape output_shape(Shape input) noexcept { return {input.height / 2, input.width / 2, 2 * input.channels}; }

  template <class Visitor>
  void layers(Visitor&& visit, Name const& name) {
    visit(top_0_, name / "top.0");
    visit(top_1_, name / "top.1");
    visit(top_2_, name / "top.2");
    visit(top_3_, name / "top.3");
    visit(top_5_, name / "top.5");
    visit(bottom_1_, name / "bot.1");
  }

  void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    ArenaMap<T> const small(context.arena, {output.height(), output.width(), x.channels()});
    blur_pool<T>(context, x, small);
    bottom_1_.forward(context, small, output);

    ArenaMap<T> inner(context.arena, x.shape());
    top_0_.forward(context, x, inner, {.slope = top_1_.slope()});
    ArenaMap<T> const filtered(context.arena, x.shape());
    top_2_.forward(context, inner, filtered, {.slope = top_3_.slope()});
    inner.release();
    blur_pool<T>(context, filtered, small);
    top_5_.forward(context, small, output, {.residual = output});
  }

 private:
  Conv2d<T> top_0_, top_2_, top_5_, bottom_1_;
  PRelu<T> top_1_, top_3_;
};

/// Twice the resolution, half the channels: W3 prelu(transposed_conv(prelu(W1 x))) + W4 bilinear(x).
template <class T>
class Upsampling {
 public:
  Upsampling() = default;
  explicit Upsampling(Index channels) noexcept
      : top_0_(channels, channels, 1),
        top_4_(channels, channels / 2, 1),
        bottom_1_(channels, channels / 2, 1),
        top_2_(channels, channels) {}

  static Shape output_shape(Shape input) noexcept { return {2 * input.height, 2 * input.width, input.channels / 2}; }

  template <class Visitor>
  void layers(Visitor&& visit, Name const& name) {
    visit(top_0_, name / "top.0");
    visit(top_1_, name / "top.1");
    visit(top_2_, name / "top.2");
    visit(top_3_, name / "top.3");
    visit(top_4_, name / "top.4");
    visit(bottom_1_, name / "bot.1");
  }

  void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    {
      // A 1x1 convolution commutes with the interpolation: before it there are a quarter of the pixels. Counted is the
      // arithmetic of the network as it is written.
      context.count(3 * x.pixels(), x.channels() * output.channels());
      ArenaMap<T> const small(context.arena, {x.height(), x.width(), output.channels()});
      bottom_1_.forward(context, x, small);
      bilinear_double<T>(context, small, output);
    }
    ArenaMap<T> const filtered(context.arena, top_2_.output_shape(x.shape()));
    {
      ArenaMap<T> const inner(context.arena, x.shape());
      top_0_.forward(context, x, inner, {.slope = top_1_.slope()});
      top_2_.forward(context, inner, filtered, top_3_.slope());
    }
    top_4_.forward(context, filtered, output, {.residual = output});
  }

 private:
  Conv2d<T> top_0_, top_4_, bottom_1_;
  ConvTranspose2d<T> top_2_;
  PRelu<T> top_1_, top_3_;
};

/// `steps` of Downsampling or Upsampling, one after the other, from maps of `channels`.
template <class T, template <class> class Step>
class Resizing {
 public:
  static constexpr Index most_steps = 3;

  Resizing() = default;
  Resizing(Index channels, Index steps) noexcept : count_(steps) {
    Shape shape{4, 4, channels};
    for (Index i = 0; i < steps; ++i) {
      steps_[i] = Step<T>(shape.channels);
      shape = Step<T>::output_shape(shape);
    }
  }

  template <class Visitor>
  void layers(Visitor&& visit, Name const& name) {
    for (Index i = 0; i < count_; ++i) steps_[i].layers(visit, name / "body" / i);
  }

  void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    ArenaMap<T> between;
    for (Index i = 0; i + 1 < count_; ++i) {
      ArenaMap<T> next(context.arena, Step<T>::output_shape(x.shape()));
      steps_[i].forward(context, x, next);
      between = std::move(next);
      x = between;
    }
    steps_[count_ - 1].forward(context, x, output);
  }

 private:
  Index count_ = 0;
  Step<T> steps_[most_steps];
};

}  // namespace mirnet::inline v0

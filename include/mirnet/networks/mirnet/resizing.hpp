// The residual resizing modules (section 3.3, figure 5): one step halves or doubles the resolution, and a chain of
// steps connects streams that are further apart.
#pragma once

#include <algorithm>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/band.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/resampling.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Half the resolution, twice the channels: W3 blur(prelu(conv(prelu(W1 x)))) + W4 blur(x).
template <class T>
class Downsampling {
 public:
  Downsampling() = default;
  explicit constexpr Downsampling(Index channels) noexcept
      : top_0_(channels, channels, 1),
        top_2_(channels, channels, 3),
        top_5_(channels, 2 * channels, 1),
        bottom_1_(channels, 2 * channels, 1) {}

  static constexpr Shape output_shape(Shape input) noexcept {
    return {input.height / 2, input.width / 2, 2 * input.channels};
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(top_0_, name / "top.0");
    visit(top_1_, name / "top.1");
    visit(top_2_, name / "top.2");
    visit(top_3_, name / "top.3");
    visit(top_5_, name / "top.5");
    visit(bottom_1_, name / "bot.1");
  }

  constexpr void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    Index const height = x.height(), band = rows_a_band(x.width());
    typename Conv2d<T>::Rows const top_0(top_0_, context.at("top.0"), x.shape());
    typename Conv2d<T>::Rows const top_2(top_2_, context.at("top.2"), x.shape());
    Projection const last_projection(*this, context.at("top.5+bot.1"), x.shape(), output.shape());
    // The blur reads one row above its own, the 3x3 kernel one above and one below.
    RollingRows<T> inner(context, x.shape(), band + 2), filtered(context, x.shape(), band + 1);
    auto const forward_band = [&](Index first, Index last) {
      Index const ahead = (std::min)(last + 1, height);
      Index const above = std::max<Index>(first - 1, 0);
      Band<T> const added = inner.append(context, above, ahead);
      top_0.forward(context, rows_of(x, added.first_row, added.rows.height()), added, {.activation = top_1_});
      top_2.forward(context, inner.rows(), filtered.append(context, above, last), {.activation = top_3_});
      last_projection.forward(context, filtered.rows(), x, rows_of(output, first / 2, (last - first) / 2));
    };
    each_band(context, height, band, forward_band, inner, filtered);
  }

 private:
  /// The last 1x1 convolutions of both branches, behind their blurs, a few rows at a time.
  class Projection {
   public:
    constexpr Projection(Downsampling const& layer, Context<T>& context, Shape input, Shape output) noexcept
        : layer_(layer),
          node_(layer.projection_node(context, input, output)),
          plan_(context.kernels->plan_blurred_projection(
              layer.work(Band<T const>(input), Band<T const>(input), Band<T>(output)))),
          prepared_(context.arena, plan_.weights_bytes),
          scratch_(context.scratch(plan_.scratch_bytes)) {
      Piece const piece(context, node_);
      context.once([&] {
        context.kernels->prepare_blurred_projection(
            layer.work(Band<T const>(input), Band<T const>(input), Band<T>(output)), prepared_.data());
      });
    }

    constexpr void forward(Context<T>& context, Band<T const> filtered, Band<T const> x,
                           Band<T> output) const noexcept {
      if (!context.accepts("blurred 1x1", "input", x.rows, x.rows.shape(), Layout::dense) ||
          !context.accepts("blurred 1x1", "output", output.rows, output.rows.shape(), Layout::dense)) {
        return;
      }
      context.count(output.rows.pixels(), macs_a_pixel(x.rows.shape(), output.rows.shape()));
      BlurredProjection<T> const work = layer_.work(filtered, x, output);
      KernelTable<T> const& kernels = *context.kernels;
      Node node = node_;
      Piece const piece(context, node);
      context.each_range(output.rows.pixels(), kernels.work_tile_pixels, [&](Index first, Index last, Index worker) {
        kernels.blurred_projection(work, prepared_.data(), first, last, scratch_.data() + worker * plan_.scratch_bytes);
      });
    }

   private:
    Downsampling const& layer_;
    Node node_;
    ProjectionPlan plan_;
    ArenaBlock<std::byte> prepared_, scratch_;
  };

  constexpr BlurredProjection<T> work(Band<T const> filtered, Band<T const> x, Band<T> output) const noexcept {
    auto const blur = [&](Band<T const> input) {
      return Resampling<T>{input.rows.data(), input.map_height, input.rows.width(), input.rows.pitch(),
                           nullptr,           input.first_row,  output.first_row};
    };
    return {.blur = {blur(filtered), blur(x)},
            .channels = x.rows.channels(),
            .weights = {top_5_.packed(), bottom_1_.packed()},
            .output = output.rows.data(),
            .output_lines = divide_up(output.rows.channels(), channels_per_line<T>)};
  }

  constexpr Node projection_node(Context<T>& context, Shape input, Shape output) const noexcept {
    Node node = context.new_node("blurred 1x1", input, output);
    node.kernel = "blurred_projection";
    node.macs = static_cast<std::uint64_t>(output.pixels()) * static_cast<std::uint64_t>(macs_a_pixel(input, output));
    Index const weights = top_5_.packed_elements() + bottom_1_.packed_elements();
    node.bytes += context.bytes_of(input) + weights * static_cast<Index>(sizeof(T));  // there are two inputs
    return node;
  }

  static constexpr Index macs_a_pixel(Shape input, Shape output) noexcept {
    return 2 * input.channels * output.channels;
  }

  Conv2d<T> top_0_, top_2_, top_5_, bottom_1_;
  PRelu<T> top_1_, top_3_;
};

/// Twice the resolution, half the channels: W3 prelu(transposed_conv(prelu(W1 x))) + W4 bilinear(x).
template <class T>
class Upsampling {
 public:
  Upsampling() = default;
  explicit constexpr Upsampling(Index channels) noexcept
      : top_0_(channels, channels, 1),
        top_4_(channels, channels / 2, 1),
        bottom_1_(channels, channels / 2, 1),
        top_2_(channels, channels) {}

  static constexpr Shape output_shape(Shape input) noexcept {
    return {2 * input.height, 2 * input.width, input.channels / 2};
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(top_0_, name / "top.0");
    visit(top_1_, name / "top.1");
    visit(top_2_, name / "top.2");
    visit(top_3_, name / "top.3");
    visit(top_4_, name / "top.4");
    visit(bottom_1_, name / "bot.1");
  }

  constexpr void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    Shape const small_shape{x.height(), x.width(), output.channels()};
    Shape const filtered_shape = top_2_.output_shape(x.shape());
    Index const height = x.height(), band = rows_a_band(output.width()) / 2;
    typename Conv2d<T>::Rows const top_0(top_0_, context.at("top.0"), x.shape());
    // A 1x1 convolution commutes with the interpolation: before it there are a quarter of the pixels. Counted is the
    // arithmetic of the network as it is written.
    typename Conv2d<T>::Rows const bottom_1(bottom_1_, context.at("bot.1"), x.shape(), 4);
    typename ConvTranspose2d<T>::Rows const top_2(top_2_, context.at("top.2"), x.shape());
    typename Conv2d<T>::Rows const top_4(top_4_, context.at("top.4"), filtered_shape);
    Node bilinear_node = bilinear_double_node<T>(context.at("bot.0"), small_shape);
    // The transposed kernel reads one row below its own, the interpolation one above and one below.
    RollingRows<T> inner(context, x.shape(), band + 1), small(context, small_shape, band + 2);
    ArenaMap<T> const filtered(context.arena,
                               {2 * (std::min)(band, height), filtered_shape.width, filtered_shape.channels});
    auto const forward_band = [&](Index first, Index last) {
      Index const ahead = (std::min)(last + 1, height);
      Band<T> const added = inner.append(context, first, ahead);
      Band<T const> const from = rows_of(x, added.first_row, added.rows.height());
      bottom_1.forward(context, from, small.append(context, std::max<Index>(first - 1, 0), ahead));
      top_0.forward(context, from, added, {.activation = top_1_});
      Band<T> const doubled = rows_of(output, 2 * first, 2 * (last - first));
      Band<T> const band_filtered(
          View<T>(filtered.view().data(), {doubled.rows.height(), filtered_shape.width, filtered_shape.channels}),
          doubled.first_row, filtered_shape.height);
      bilinear_double_rows<T>(context, bilinear_node, small.rows(), doubled);
      top_2.forward(context, inner.rows(), band_filtered, top_3_);
      top_4.forward(context, band_filtered, doubled, {.residual = doubled.rows});
    };
    each_band(context, height, band, forward_band, inner, small);
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
  /// At most most_steps.
  constexpr Resizing(Index channels, Index steps) noexcept : count_((std::min)(steps, most_steps)) {
    MIRNET_ASSERT(steps <= most_steps);
    Shape shape{4, 4, channels};
    for (Index i = 0; i < count_; ++i) {
      steps_[i] = Step<T>(shape.channels);
      shape = Step<T>::output_shape(shape);
    }
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    for (Index i = 0; i < count_; ++i) steps_[i].layers(visit, name / "body" / i);
  }

  constexpr void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    ArenaMap<T> between;
    for (Index i = 0; i + 1 < count_; ++i) {
      ArenaMap<T> next(context.arena, Step<T>::output_shape(x.shape()));
      steps_[i].forward(context.at("body", i), x, next);
      between = std::move(next);
      x = between;
    }
    steps_[count_ - 1].forward(context.at("body", count_ - 1), x, output);
  }

 private:
  Index count_ = 0;
  Step<T> steps_[most_steps];
};

}  // namespace mirnet::inline MIRNET_ABI

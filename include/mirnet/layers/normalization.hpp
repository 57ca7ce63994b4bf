// Normalizations that depend on the map: of each pixel over its channels, of each channel over the pixels. (Batch
// normalization does not: the converter folds it into convolutions.)
#pragma once

#include <algorithm>
#include <cmath>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The options of a LayerNorm, with PyTorch's names.
struct LayerNormOptions {
  double eps = 1e-5;   ///< added to the variance
  bool affine = true;  ///< whether there are a weight and a bias
};

/// The options of an InstanceNorm2d, with PyTorch's names.
struct InstanceNormOptions {
  double eps = 1e-5;    ///< added to the variance
  bool affine = false;  ///< whether there are a weight and a bias
};

/// Of each pixel: (x - mean) / sqrt(variance + eps) over its channels (the variance divides by their number), times
/// `weight`, plus `bias`, with a number for each channel: torch.nn.LayerNorm of channels-last maps, and the LayerNorm2d
/// of restoration networks.
template <class T>
class LayerNorm : public PlainParameter<T> {
 public:
  LayerNorm() = default;
  explicit constexpr LayerNorm(Index channels, LayerNormOptions const& options = {}) noexcept
      : PlainParameter<T>({1, {channels, 1, 1, 1}}), options_(options) {}

  /// `bias`, right behind `weight`.
  constexpr bool has_bias() const noexcept { return true; }
  constexpr PlainParameter<T> bias() const noexcept { return PlainParameter<T>(this->shape()); }

  /// The output has the input's shape, and may be the input.
  constexpr void forward(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output) const noexcept {
    Context<T>& context = where.context();
    Index const channels = this->shape().dim[0];
    Shape const shape{input.height(), input.width(), channels};
    if (!context.accepts("layer norm", "input", input, shape) ||
        !context.accepts("layer norm", "output", output, shape) ||
        (options_.affine && !detail::has_weights(context, "layer norm", this->data()))) {
      return;
    }
    T const* const scale = options_.affine ? this->data() : nullptr;
    T const* const shift = options_.affine ? advance(this->data(), this->packed_elements()) : nullptr;
    Normalization<T> const work{input.data(), input.pitch(), output.data(), output.pitch(),
                                channels,     scale,         shift,         options_.eps};
    Node node = context.new_node("layer norm", shape, shape);
    node.kernel = "normalize";
    Piece const piece(context, node);
    context.each_range(shape.pixels(), 256,
                       [&](Index first, Index last, Index) { context.kernels->normalize(work, first, last); });
  }
  /// Into a new map of the context's arena.
  constexpr ArenaMap<T> operator()(AnyContext<T> const& context, ViewOf<T const> input) const noexcept {
    ArenaMap<T> output(context.context().arena, input.shape());
    forward(context, input, output);
    return output;
  }

 private:
  LayerNormOptions options_;
};

/// torch.nn.InstanceNorm2d: of each channel, (x - mean) / sqrt(variance + eps) over all pixels (the variance divides by
/// their number); with options.affine
/// times `weight`, plus `bias`. Sums over pixels are in double.
template <class T>
class InstanceNorm2d : public PlainParameter<T> {
 public:
  InstanceNorm2d() = default;
  explicit constexpr InstanceNorm2d(Index channels, InstanceNormOptions const& options = {}) noexcept
      : PlainParameter<T>({1, {channels, 1, 1, 1}}), options_(options) {}

  constexpr bool has_bias() const noexcept { return true; }
  constexpr PlainParameter<T> bias() const noexcept { return PlainParameter<T>(this->shape()); }

  /// The output has the input's shape, and may be the input.
  constexpr void forward(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output) const noexcept {
    using Sum = Accumulator<T>;
    constexpr Index pixels_a_part = ChannelSums<T>::pixels_a_line;
    Context<T>& context = where.context();
    Index const channels = this->shape().dim[0];
    Shape const shape{input.height(), input.width(), channels};
    if (!context.accepts("instance norm", "input", input, shape, Layout::dense) ||
        !context.has_pixels("instance norm", shape) || !context.accepts("instance norm", "output", output, shape) ||
        (options_.affine && !detail::has_weights(context, "instance norm", this->data()))) {
      return;
    }
    Index const pixels = shape.pixels(), pitch = input.pitch(), parts = divide_up(pixels, pixels_a_part);
    ChannelSums<T> sums(context, channels), squares(context, channels);
    ArenaBlock<Sum> const partial(context.arena, parts * pitch), numbers(context.arena, 3 * pitch);
    Sum *const mean = numbers.data(), *const scale = advance(mean, pitch), *const shift = advance(scale, pitch);
    Node node = context.new_node("instance norm", shape, shape);
    node.kernel = "channel_squares + scale_and_shift";
    node.bytes += 2 * context.bytes_of(shape);
    Piece const piece(context, node);
    auto const gather = [&](ChannelSums<T>& to, auto&& kernel) {
      context.each_range(pixels, pixels_a_part, [&](Index first, Index last, Index) {
        kernel(input.data() + first * pitch, last - first, partial.data() + first / pixels_a_part * pitch);
      });
      to.add(context, partial.data(), parts, pixels);
    };
    gather(sums, [&](T const* x, Index some, Sum* to) { context.kernels->channel_sums(x, some, pitch, to); });
    context.once([&] {
      for (Index c = 0; c < pitch; ++c) mean[c] = static_cast<Sum>(sums.mean(c));
    });
    gather(squares,
           [&](T const* x, Index some, Sum* to) { context.kernels->channel_squares(x, some, pitch, pitch, mean, to); });
    context.once([&] {
      for (Index c = 0; c < pitch; ++c) {
        // The centre is the rounded mean: what that is off counts where the mean is large beside the deviation.
        double const off = static_cast<double>(mean[c]) - sums.mean(c);
        double const factor = (options_.affine ? static_cast<double>(this->data()[c]) : 1.0) /
                              std::sqrt((std::max)(squares.mean(c) - off * off, 0.0) + options_.eps);
        double const bias = options_.affine ? static_cast<double>(this->data()[this->packed_elements() + c]) : 0.0;
        scale[c] = static_cast<Sum>(factor);
        shift[c] = static_cast<Sum>(bias + off * factor);
      }
    });
    Scaling<T> const work{input.data(), pitch, output.data(), output.pitch(), channels, mean, scale, shift};
    context.each_range(pixels, 256,
                       [&](Index first, Index last, Index) { context.kernels->scale_and_shift(work, first, last); });
  }
  /// Into a new map of the context's arena.
  constexpr ArenaMap<T> operator()(AnyContext<T> const& context, ViewOf<T const> input) const noexcept {
    ArenaMap<T> output(context.context().arena, input.shape());
    forward(context, input, output);
    return output;
  }

 private:
  InstanceNormOptions options_;
};

}  // namespace mirnet::inline MIRNET_ABI

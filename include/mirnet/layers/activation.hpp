// Activations: as layers of their own, in place, and as the last step of a convolution.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Whether a layer has its weights, where it computes with them.
template <class T>
constexpr bool has_weights(Context<T>& context, char const* layer, T const* weights) noexcept {
  if (weights != nullptr || !context.computes()) return true;
  return context.refuse({.layer = layer, .reason = "it has no weights: is it visited by the network's layers()?"});
}

/// A node of that name, which is its kernel's: body(first, count) for whole pixels of x, of which only the lines of its
/// channels are touched. Where nothing lies between the pixels, many are one call.
template <class T, class Body>
constexpr void each_element_in_place(Context<T>& context, char const* name, View<T> x, Body&& body) noexcept {
  if (!context.accepts(name, "map", x, x.shape())) return;
  Node node = context.new_node(name, x.shape(), x.shape());
  node.kernel = name;
  Piece const piece(context, node);
  context.each_range(x.pixels(), 4096, [&](Index first, Index last, Index) {
    Index const lines = pixel_pitch<T>(x.channels());
    if (x.pitch() == lines) return body(x.data() + first * lines, (last - first) * lines);
    for (Index i = first; i < last; ++i) body(x.data() + i * x.pitch(), lines);
  });
}

}  // namespace detail

/// torch.nn.PReLU with one slope: max(x, 0) + slope * min(x, 0). It costs less as the activation of the convolution
/// before it.
template <class T>
class PRelu {
 public:
  static constexpr bool holds_its_numbers = true;

  constexpr ParameterShape shape() const noexcept { return {}; }
  constexpr Index packed_elements(Index = 0) const noexcept { return 0; }
  constexpr Index packed_from(Index, Index) const noexcept { return no_element; }
  constexpr Index packed_at(Index, Index element) const noexcept { return element; }
  void bind(T const*) noexcept {}
  void pack(T*, Index, std::span<T const> values) noexcept {
    if (!values.empty()) slope_ = values[0];
  }

  constexpr T slope() const noexcept { return slope_; }

  /// In place.
  constexpr void forward(Context<T>& context, View<T> x) const noexcept {
    detail::each_element_in_place(context, "prelu", x,
                                  [&](T* first, Index count) { context.kernels->prelu(first, count, slope_); });
  }

 private:
  T slope_ = T(1);
};

/// torch.nn.PReLU with a slope for each channel: a parameter of `channels` elements.
template <class T>
class ChannelPRelu : public PlainParameter<T> {
 public:
  ChannelPRelu() = default;
  explicit constexpr ChannelPRelu(Index channels) noexcept : PlainParameter<T>({1, {channels, 1, 1, 1}}) {}

  constexpr Index channels() const noexcept { return this->shape().dim[0]; }

  /// In place.
  constexpr void forward(Context<T>& context, View<T> x) const noexcept {
    if (!context.accepts("prelu", "map", x, {x.height(), x.width(), channels()}) ||
        !detail::has_weights(context, "prelu", this->data())) {
      return;
    }
    Node node = context.new_node("prelu", x.shape(), x.shape());
    node.kernel = "channel_prelu";
    Piece const piece(context, node);
    context.each_range(x.pixels(), 256, [&](Index first, Index last, Index) {
      context.kernels->channel_prelu(x.data() + first * x.pitch(), last - first, x.pitch(), pixel_pitch<T>(channels()),
                                     this->data());
    });
  }
};

/// torch.nn.ReLU and LeakyReLU, for Activation.
struct Relu {};
inline constexpr Relu relu{};
struct LeakyRelu {
  double slope = 0.01;  ///< rounded to the type of the maps
};
constexpr LeakyRelu leaky_relu(double slope) noexcept { return {slope}; }

/// torch.clamp, ReLU6 and Hardtanh, for Activation: low is at most high.
struct Clamp {
  double low, high;
};
constexpr Clamp clamp(double low, double high) noexcept { return {low, high}; }

/// NAFNet's SimpleGate, for the Activation of a convolution: the output has half of the channels, the products of the
/// first and the second half of the results.
struct SimpleGate {};
inline constexpr SimpleGate simple_gate{};

/// The function that a layer applies to its results: none; a PReLU whose slope is 0 (ReLU), given (LeakyReLU) or
/// learned, for all channels or for each; a clamp or another Function. Made from `relu`, `leaky_relu(slope)`, the layer
/// that has the slopes (which must outlive it), `clamp(low, high)` or `Function::gelu` and the like.
template <class T>
class Activation {
 public:
  constexpr Activation() noexcept {}
  constexpr Activation(Relu) noexcept : slope_(T(0)) {}
  constexpr Activation(LeakyRelu layer) noexcept : slope_(T(layer.slope)) {}
  constexpr Activation(PRelu<T> const& layer) noexcept : slope_(layer.slope()) {}
  constexpr Activation(ChannelPRelu<T> const& layer) noexcept : layer_(&layer) {}
  constexpr Activation(Clamp bounds) noexcept : function_{Function::clamp, bounds.low, bounds.high} {}
  constexpr Activation(SimpleGate) noexcept : gates_(true) {}
  /// Function::clamp has no bounds; use clamp(low, high).
  constexpr Activation(Function function) noexcept
      : function_{function, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()} {}

  /// The slope of all channels; 1 leaves results as they are.
  constexpr T slope() const noexcept { return slope_; }
  /// The slopes of the channels, up to the end of the last line; null: all have slope().
  constexpr T const* slopes() const noexcept { return layer_ == nullptr ? nullptr : layer_->data(); }
  constexpr ChannelPRelu<T> const* layer() const noexcept { return layer_; }
  /// The function, where it is not a PReLU.
  constexpr PointFunction const& function() const noexcept { return function_; }
  constexpr bool gates() const noexcept { return gates_; }
  constexpr bool computes() const noexcept {
    return layer_ != nullptr || slope_ != T(1) || function_.wanted() || gates_;
  }
  /// Channels of the output, for results of this many.
  constexpr Index channels_of(Index results) const noexcept { return gates_ ? results / 2 : results; }
  /// Whether the slopes fit this number of channels, and a gate finds two halves; if not, the context computes nothing
  /// that follows.
  constexpr bool takes(Context<T>& context, char const* layer, Index channels) const noexcept {
    if (gates_ && channels % 2 != 0)
      return context.refuse({.layer = layer, .reason = "a gate needs an even number of channels"});
    if (layer_ == nullptr) return true;
    if (layer_->channels() == channels) return detail::has_weights(context, "prelu", layer_->data());
    return context.refuse({layer, "activation", {1, 1, layer_->channels()}, {1, 1, channels}});
  }

 private:
  T slope_ = T(1);
  ChannelPRelu<T> const* layer_ = nullptr;
  PointFunction function_{};
  bool gates_ = false;
};

namespace detail {

/// The name of a function's node.
constexpr char const* name_of(Function function) noexcept {
  switch (function) {
    case Function::none: break;
    case Function::clamp: return "clamp";
    case Function::sigmoid: return "sigmoid";
    case Function::tanh: return "tanh";
    case Function::gelu: return "gelu";
    case Function::gelu_tanh: return "gelu tanh";
    case Function::silu: return "silu";
    case Function::hard_sigmoid: return "hard sigmoid";
    case Function::hard_swish: return "hard swish";
  }
  return "copy";
}

/// A function as a node of its own; the output may be the input.
template <class T>
constexpr void apply(Context<T>& context, PointFunction const& function, View<T const> input, View<T> output) noexcept {
  char const* const name = name_of(function.function);
  if (!context.accepts(name, "input", input, input.shape()) ||
      !context.accepts(name, "output", output, input.shape())) {
    return;
  }
  FunctionOf<T> const work{input.data(), input.pitch(), output.data(), output.pitch(), input.channels(), function};
  Node node = context.new_node(name, input.shape(), output.shape());
  node.kernel = "function";
  Piece const piece(context, node);
  context.each_range(input.pixels(), 256,
                     [&](Index first, Index last, Index) { context.kernels->apply_function(work, first, last); });
}

}  // namespace detail

/// The activation as a layer of its own, in place.
template <class T>
constexpr void activate(AnyContext<T> const& where, std::type_identity_t<Activation<T>> activation,
                        ViewOf<T> x) noexcept {
  Context<T>& context = where.context();
  if (activation.gates()) {
    context.refuse({.layer = "activation", .reason = "a gate is for the results of a convolution"});
    return;
  }
  if (activation.function().wanted()) return detail::apply<T>(context, activation.function(), x, x);
  if (activation.layer() != nullptr) return activation.layer()->forward(context, x);
  detail::each_element_in_place(
      context, "prelu", x, [&](T* first, Index count) { context.kernels->prelu(first, count, activation.slope()); });
}

/// From one map into another of its shape, which may be the same.
template <class T>
constexpr void activate(AnyContext<T> const& where, std::type_identity_t<Activation<T>> activation,
                        ViewOf<T const> input, ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
  if (activation.function().wanted()) return detail::apply<T>(context, activation.function(), input, output);
  // A clamp to any number: a copy.
  constexpr double infinity = std::numeric_limits<double>::infinity();
  detail::apply<T>(context, {Function::clamp, -infinity, infinity}, input, output);
  activate<T>(context, activation, output);
}

/// 1 / (1 + exp(-x)) in place; padding stays zero.
template <class T>
constexpr void sigmoid(AnyContext<T> const& where, ViewOf<T> x) noexcept {
  Context<T>& context = where.context();
  detail::each_element_in_place(context, "sigmoid", x, [&](T* first, Index count) {
    context.kernels->sigmoid(first, count);
    Index const lines = pixel_pitch<T>(x.channels());
    if (x.channels() == lines) return;
    for (T* pixel = first; pixel != first + count; pixel += lines) std::fill(pixel + x.channels(), pixel + lines, T(0));
  });
}

/// For each of the channels, the softmax of `count` vectors of this many channels that lie at `logits`, a pitch apart;
/// in place.
template <class T>
constexpr void softmax_of_vectors(Context<T>& context, T* logits, Index count, Index channels) noexcept {
  Shape const vector{1, 1, channels};
  Node node = context.new_node("softmax", vector, vector);
  node.kernel = "softmax";
  node.bytes *= count;
  Index const pitch = pixel_pitch<T>(channels);
  Piece const piece(context, node);
  context.once([&] { context.kernels->softmax(logits, count, pitch, pitch); });
}

/// torch.softmax over the channels of each pixel, in place.
template <class T>
constexpr void softmax_of_channels(AnyContext<T> const& where, ViewOf<T> x) noexcept {
  Context<T>& context = where.context();
  if (!context.accepts("softmax", "map", x, x.shape())) return;
  Node node = context.new_node("softmax", x.shape(), x.shape());
  node.kernel = "softmax_of_channels";
  Piece const piece(context, node);
  context.each_range(x.pixels(), 256, [&](Index first, Index last, Index) {
    context.kernels->softmax_of_channels(x.data() + first * x.pitch(), last - first, x.channels(), x.pitch());
  });
}

}  // namespace mirnet::inline MIRNET_ABI

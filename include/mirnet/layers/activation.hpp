// Activations: as layers of their own, in place, and as the last step of a convolution.
#pragma once

#include <algorithm>
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

/// The function that a convolution applies to its results: none, or a PReLU whose slope is 0 (ReLU), given (LeakyReLU)
/// or learned, for all channels or for each. Made from `relu`, `leaky_relu(slope)` or the layer that has the slopes,
/// which must outlive it.
template <class T>
class Activation {
 public:
  constexpr Activation() noexcept {}
  constexpr Activation(Relu) noexcept : slope_(T(0)) {}
  constexpr Activation(LeakyRelu layer) noexcept : slope_(T(layer.slope)) {}
  constexpr Activation(PRelu<T> const& layer) noexcept : slope_(layer.slope()) {}
  constexpr Activation(ChannelPRelu<T> const& layer) noexcept : layer_(&layer) {}

  /// The slope of all channels; 1 leaves results as they are.
  constexpr T slope() const noexcept { return slope_; }
  /// The slopes of the channels, up to the end of the last line; null: all have slope().
  constexpr T const* slopes() const noexcept { return layer_ == nullptr ? nullptr : layer_->data(); }
  constexpr ChannelPRelu<T> const* layer() const noexcept { return layer_; }
  constexpr bool computes() const noexcept { return layer_ != nullptr || slope_ != T(1); }
  /// Whether the slopes fit this number of channels; if not, the context computes nothing that follows.
  constexpr bool takes(Context<T>& context, char const* layer, Index channels) const noexcept {
    if (layer_ == nullptr) return true;
    if (layer_->channels() == channels) return detail::has_weights(context, "prelu", layer_->data());
    return context.refuse({layer, "activation", {1, 1, layer_->channels()}, {1, 1, channels}});
  }

 private:
  T slope_ = T(1);
  ChannelPRelu<T> const* layer_ = nullptr;
};

/// The activation as a layer of its own, in place.
template <class T>
constexpr void activate(Context<T>& context, std::type_identity_t<Activation<T>> activation, ViewOf<T> x) noexcept {
  if (activation.layer() != nullptr) return activation.layer()->forward(context, x);
  detail::each_element_in_place(
      context, "prelu", x, [&](T* first, Index count) { context.kernels->prelu(first, count, activation.slope()); });
}

/// 1 / (1 + exp(-x)) in place; padding stays zero.
template <class T>
constexpr void sigmoid(Context<T>& context, ViewOf<T> x) noexcept {
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

template <class T>
constexpr void activate(ScopedContext<T> const& context, std::type_identity_t<Activation<T>> activation,
                        ViewOf<T> x) noexcept {
  activate<T>(static_cast<Context<T>&>(context), activation, x);
}
template <class T>
constexpr void sigmoid(ScopedContext<T> const& context, ViewOf<T> x) noexcept {
  sigmoid<T>(static_cast<Context<T>&>(context), x);
}

}  // namespace mirnet::inline MIRNET_ABI

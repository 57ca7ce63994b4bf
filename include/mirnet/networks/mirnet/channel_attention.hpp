// Channel attention: which channels matter, from their averages over the whole image (section 3.2 of the paper).
#pragma once

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>

namespace mirnet::inline MIRNET_ABI {

/// gate = sigmoid(W2 relu(W1 mean(r))), one value a channel. The caller multiplies.
template <class T>
class ChannelAttention {
 public:
  static constexpr Index reduction = 8;

  ChannelAttention() = default;
  explicit constexpr ChannelAttention(Index channels) noexcept
      : squeeze_(channels, channels / reduction, 1), excite_(channels / reduction, channels, 1) {}

  /// visit(layer, name) for each layer with parameters, in the order of the checkpoint.
  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(squeeze_, name / "conv_du.0");
    visit(excite_, name / "conv_du.2");
  }

  /// From the sums of r; `gate` is 1 x 1 x channels.
  constexpr void gate(Context<T>& context, ChannelSums<T> const& r, View<T> gate) const noexcept {
    ArenaMap<T> const mean(context.arena, gate.shape());
    global_average<T>(context.at("avg_pool"), r, mean);
    ArenaMap<T> const squeezed(context.arena, squeeze_.output_shape(mean.shape()));
    squeeze_.forward(context.at("conv_du.0"), mean, squeezed, {.activation = relu});
    excite_.forward(context.at("conv_du.2"), squeezed, gate);
    sigmoid<T>(context.at("conv_du.3"), gate);
  }

 private:
  Conv2d<T> squeeze_, excite_;
};

}  // namespace mirnet::inline MIRNET_ABI

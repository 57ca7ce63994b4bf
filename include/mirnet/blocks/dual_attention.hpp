// The dual attention unit (section 3.2, figure 4): two convolutions, then spatial and channel attention side by side.
#pragma once

#include <mirnet/blocks/channel_attention.hpp>
#include <mirnet/blocks/spatial_attention.hpp>

namespace mirnet::inline v0 {

/// x + W [s*r ; c*r] with r = conv(prelu(conv(x))), s the spatial and c the channel gate of r.
template <class T>
class DualAttention {
 public:
  DualAttention() = default;
  explicit DualAttention(Index channels) noexcept
      : conv_0_(channels, channels, 3), conv_2_(channels, channels, 3), channel_(channels), merge_(channels) {}

  /// `prelu` is the network's shared activation in the unit that names it, else null.
  template <class Visitor>
  void layers(Visitor&& visit, Name const& name, PRelu<T>* prelu) {
    visit(conv_0_, name / "body.0");
    if (prelu != nullptr) visit(*prelu, name / "body.1");
    visit(conv_2_, name / "body.2");
    spatial_.layers(visit, name / "SA");
    channel_.layers(visit, name / "CA");
    visit(merge_, name / "conv1x1");
  }

  /// The output may be the input.
  void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> const r(context.arena, x.shape());
    typename SpatialAttention<T>::Planes const planes(context, x.shape());
    ChannelSums<T> sums;
    {
      ArenaMap<T> const inner(context.arena, x.shape());
      conv_0_.forward(context, x, inner, {.slope = prelu.slope()});
      conv_2_.forward(context, inner, r, {.statistics = planes.statistics(), .sums = &sums});
    }
    ArenaBlock<T> const pixel_gate(context.arena, x.pixels());
    spatial_.gate(context, planes, pixel_gate.data());
    ArenaMap<T> const channel_gate(context.arena, {1, 1, x.channels()});
    channel_.gate(context, sums, channel_gate);
    merge_.forward(context, r, pixel_gate.data(), channel_gate, output, x);
  }

 private:
  Conv2d<T> conv_0_, conv_2_;
  SpatialAttention<T> spatial_;
  ChannelAttention<T> channel_;
  GatedConv1x1<T> merge_;
};

}  // namespace mirnet::inline v0

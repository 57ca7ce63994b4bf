// The dual attention unit (section 3.2, figure 4): two convolutions, then spatial and channel attention side by side.
#pragma once

#include <mirnet/networks/mirnet/channel_attention.hpp>
#include <mirnet/networks/mirnet/spatial_attention.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + W [s*r ; c*r] with r = conv(prelu(conv(x))), s the spatial and c the channel gate of r.
template <class T>
class DualAttention {
 public:
  DualAttention() = default;
  explicit constexpr DualAttention(Index channels) noexcept
      : conv_0_(channels, channels, 3), conv_2_(channels, channels, 3), channel_(channels), merge_(channels) {}

  /// `prelu` is the network's shared activation in the unit that names it, else null.
  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name, PRelu<T>* prelu) {
    visit(conv_0_, name / "body.0");
    if (prelu != nullptr) visit(*prelu, name / "body.1");
    visit(conv_2_, name / "body.2");
    spatial_.layers(visit, name / "SA");
    channel_.layers(visit, name / "CA");
    visit(merge_, name / "conv1x1");
  }

  /// The output may be the input.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> const r(context.arena, x.shape());
    typename SpatialAttention<T>::Planes const planes(context, x.shape());
    ChannelSums<T> sums(context, x.channels());
    convolve(context, x, r, prelu, planes, sums);
    ArenaBlock<T> const pixel_gate(context.arena, x.pixels());
    spatial_.gate(context.at("SA"), planes, pixel_gate.data());
    ArenaMap<T> const channel_gate(context.arena, {1, 1, x.channels()});
    channel_.gate(context.at("CA"), sums, channel_gate);
    merge_.forward(context.at("conv1x1"), r, pixel_gate.data(), channel_gate, output, x);
  }

 private:
  /// r with what the attentions want to know of it. The map between the convolutions exists in bands only.
  constexpr void convolve(Context<T>& context, View<T const> x, View<T> r, PRelu<T> const& prelu,
                          typename SpatialAttention<T>::Planes const& planes, ChannelSums<T>& sums) const noexcept {
    Index const height = x.height(), band = rows_a_band(x.width());
    typename Conv2d<T>::Rows const conv_0(conv_0_, context.at("body.0"), x.shape());
    typename Conv2d<T>::Rows const conv_2(conv_2_, context.at("body.2"), x.shape());
    RollingRows<T> inner(context, x.shape(), band + 2);
    auto const forward_band = [&](Index first, Index last) {
      Index const ahead = (std::min)(last + 1, height);
      conv_0.forward(context, x, inner.append(context, std::max<Index>(first - 1, 0), ahead), {.activation = prelu});
      conv_2.forward(context, inner.rows(), rows_of(r, first, last - first),
                     {.statistics = planes.statistics(first), .sums = &sums});
    };
    each_band(context, height, band, forward_band, inner);
  }

  Conv2d<T> conv_0_, conv_2_;
  SpatialAttention<T> spatial_;
  ChannelAttention<T> channel_;
  GatedConv1x1<T> merge_;
};

}  // namespace mirnet::inline MIRNET_ABI

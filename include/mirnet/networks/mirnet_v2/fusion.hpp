// Selective kernel feature fusion of two streams (TPAMI 2022, section 3.1.1): a weighted sum, the weights chosen per
// channel from the average of both.
#pragma once

#include <algorithm>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>

namespace mirnet::inline MIRNET_ABI {

/// own = a * own + b * up(below) with up a 1x1 convolution and bilinear doubling, (a, b) = softmax(W_a z, W_b z) for
/// each channel, and z = lrelu(W mean(own + up(below))).
///
/// The interpolation leaves means as they are, so that of up(below) is the mean behind the 1x1 convolution, and the
/// doubled map is never stored.
template <class T>
class UpsamplingFusion {
 public:
  UpsamplingFusion() = default;
  explicit constexpr UpsamplingFusion(Index channels) noexcept {
    Index const squeezed = std::max<Index>(channels / 8, 4);
    squeeze_ = {channels, squeezed, 1};
    std::fill_n(select_, 2, Conv2d<T>(squeezed, channels, 1));
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(squeeze_, name / "conv_du.0");
    for (Index i = 0; i < 2; ++i) visit(select_[i], name / "fcs" / i);
  }

  /// `sums` are those of `own`, which has twice the height and width of `below`; up_name is the up-sampler's scope, for
  /// the names of nodes.
  constexpr void forward(Context<T>& context, char const* name, char const* up_name, Conv2d<T> const& up,
                         View<T const> below, ChannelSums<T> const& sums, View<T> own) const noexcept {
    Index const channels = own.channels();
    Shape const vector{1, 1, channels};
    ArenaMap<T> const small(context.arena, up.output_shape(below.shape()));
    ChannelSums<T> small_sums(context, channels);
    up.forward(context.at(up_name).at("body.0.bot.0"), below, small, {.sums = &small_sums});
    auto const inside = context.at(name);
    ArenaMap<T> const squeezed(context.arena, squeeze_.output_shape(vector));
    {
      ArenaMap<T> const mean(context.arena, vector);
      global_average<T>(inside.at("avg_pool"), sums, small_sums, mean);
      squeeze_.forward(inside.at("conv_du.0"), mean, squeezed, {.activation = leaky_relu(0.2)});
    }
    Index const pitch = pixel_pitch<T>(channels);
    ArenaBlock<T> const weights(context.arena, 2 * pitch);
    View<T> const chosen[2] = {{weights.data(), vector}, {advance(weights.data(), pitch), vector}};
    for (Index i = 0; i < 2; ++i) select_[i].forward(inside.at("fcs", i), squeezed, chosen[i]);
    softmax_of_vectors<T>(inside.at("softmax"), weights.data(), 2, channels);
    bilinear_double_sum<T>(inside.at("sum"), small, chosen[0], chosen[1], own);
  }

 private:
  Conv2d<T> squeeze_, select_[2];
};

}  // namespace mirnet::inline MIRNET_ABI

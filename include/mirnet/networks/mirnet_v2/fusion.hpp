// Selective kernel feature fusion of two streams (TPAMI 2022, section 3): a weighted sum, the weights chosen per
// channel from the average of both.
#pragma once

#include <algorithm>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/networks/mirnet_v2/config.hpp>

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

  /// The fusion a few rows at a time, in place, so that the next layer finds them in the cache.
  class Rows {
   public:
    /// `sums` are those of `own`, which has twice the height and width of `below`; up_name is the up-sampler's scope,
    /// for the names of nodes.
    constexpr Rows(UpsamplingFusion const& layer, Context<T>& context, char const* name, char const* up_name,
                   Conv2d<T> const& up, View<T const> below, ChannelSums<T> const& sums, View<T> own) noexcept
        : own_(own),
          small_(context.arena, up.output_shape(below.shape())),
          weights_(context.arena, 2 * own.pitch()),
          node_(bilinear_double_sum_node<T>(context.at(name), own.shape())) {
      Index const channels = own.channels();
      Shape const vector{1, 1, channels};
      ChannelSums<T> small_sums(context, channels);
      up.forward(context.at(up_name).at("body.0.bot.0"), below, small_, {.sums = &small_sums});
      auto const inside = context.at(name);
      ArenaMap<T> const mean(context.arena, vector), squeezed(context.arena, layer.squeeze_.output_shape(vector));
      global_average<T>(inside.at("avg_pool"), sums, small_sums, mean);
      layer.squeeze_.forward(inside.at("conv_du.0"), mean, squeezed, {.activation = mirnet_v2_activation<T>});
      for (Index i = 0; i < 2; ++i) {
        View<T> const logits(advance(weights_.data(), i * pixel_pitch<T>(channels)), vector);
        layer.select_[i].forward(inside.at("fcs", i), squeezed, logits);
      }
      softmax_of_vectors<T>(inside.at("softmax"), weights_.data(), 2, channels);
    }

    /// Rows [first, last).
    constexpr void forward(Context<T>& context, Index first, Index last) noexcept {
      bilinear_double_sum_rows<T>(context, node_, small_, weights_.data(), rows_of(own_, first, last - first));
    }

   private:
    View<T> own_;
    ArenaMap<T> small_;
    ArenaBlock<T> weights_;
    Node node_;
  };

 private:
  Conv2d<T> squeeze_, select_[2];
};

}  // namespace mirnet::inline MIRNET_ABI

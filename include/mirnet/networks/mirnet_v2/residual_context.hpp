// The residual context block (TPAMI 2022, section 3, "residual contextual block"): two grouped convolutions, and
// what one vector says of the whole image.
#pragma once

#include <algorithm>
#include <cmath>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/band.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/sum.hpp>
#include <mirnet/networks/mirnet_v2/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A 1x1 convolution to one channel whose results go through a softmax over all pixels: a bias of it, which the softmax
/// cancels, is read and not used.
template <class T>
class ContextMask : public PlainParameter<T> {
 public:
  ContextMask() = default;
  constexpr ContextMask(Index channels, bool bias) noexcept
      : PlainParameter<T>({4, {1, channels, 1, 1}}), has_bias_(bias) {}

  constexpr bool has_bias() const noexcept { return has_bias_; }
  constexpr PlainParameter<T> bias() const noexcept { return PlainParameter<T>({1, {1, 1, 1, 1}}); }

 private:
  bool has_bias_ = false;
};

/// x + lrelu(y + W2 lrelu(W1 z)) with y = conv(lrelu(conv(x))) and z the mean of y over all pixels, of which each
/// counts as much as the softmax over all of them says of mask * y.
template <class T>
class ResidualContext {
 public:
  static constexpr LeakyRelu activation = mirnet_v2_activation<T>;

  ResidualContext() = default;
  constexpr ResidualContext(Index channels, Index groups, bool bias) noexcept
      : conv_0_(channels, channels, 3, {.groups = groups, .bias = bias}),
        conv_2_(channels, channels, 3, {.groups = groups, .bias = bias}),
        mask_(channels, bias),
        add_0_(channels, channels, 1, {.bias = bias}),
        add_2_(channels, channels, 1, {.bias = bias}) {}

  /// visit(layer, name) for each layer with parameters, in the order of the checkpoint.
  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(conv_0_, name / "body.0");
    visit(conv_2_, name / "body.2");
    visit(mask_, name / "gcnet.conv_mask");
    visit(add_0_, name / "gcnet.channel_add_conv.0");
    visit(add_2_, name / "gcnet.channel_add_conv.2");
  }

  /// The output is another map than x. `sums`, unless null, are told the sums of its channels.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output,
                         ChannelSums<T>* sums = nullptr) const noexcept {
    forward(context, x, output, sums, [](Index, Index) {});
  }

  /// The same for a map that is not there yet: write_rows(first, last) writes rows [first, last) of x, from top to
  /// bottom, right before they are read.
  template <class WriteRows>
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output, ChannelSums<T>* sums,
                         WriteRows&& write_rows) const noexcept {
    if (!context.accepts("residual context", "input", x, output.shape(), Layout::dense) ||
        !context.accepts("residual context", "output", output, output.shape(), Layout::dense)) {
      return;
    }
    Shape const vector{1, 1, x.channels()};
    ArenaMap<T> const mean(context.arena, vector), added(context.arena, vector);
    convolve(context, x, output, mean, write_rows);
    {
      ArenaMap<T> const inner(context.arena, vector);
      add_0_.forward(context.at("gcnet.channel_add_conv.0"), mean, inner, {.activation = activation});
      add_2_.forward(context.at("gcnet.channel_add_conv.2"), inner, added);
    }
    add_activated<T>(context.at("sum"), x, added, activation, output, sums);
  }

 private:
  using Pool = AttentionPool<T>;

  /// y, and the mean of its pixels. The map between the convolutions exists in bands only, and y is pooled while it is
  /// in the cache.
  template <class WriteRows>
  constexpr void convolve(Context<T>& context, View<T const> x, View<T> y, View<T> mean,
                          WriteRows&& write_rows) const noexcept {
    Index const height = x.height(), band = rows_a_band(x.width()), parts_a_band = divide_up(band * x.width(), part);
    Pool const pool{y.data(), y.pitch(), mask_.data()};
    Node node = pool_node(context.at("gcnet.conv_mask"), y.shape());
    ArenaBlock<Accumulator<T>> const parts(context.arena,
                                           divide_up(height, band) * parts_a_band * pool.part_elements());
    Index count = 0;
    {
      typename Conv2d<T>::Rows const conv_0(conv_0_, context.at("body.0"), x.shape());
      typename Conv2d<T>::Rows const conv_2(conv_2_, context.at("body.2"), x.shape());
      RollingRows<T> inner(context, x.shape(), band + 2);
      auto const forward_band = [&](Index first, Index last) {
        // One row more for each of the convolutions.
        Index const ahead = (std::min)(last + 1, height);
        write_rows(first == 0 ? 0 : (std::min)(first + 2, height), (std::min)(last + 2, height));
        conv_0.forward(context, x, inner.append(context, std::max<Index>(first - 1, 0), ahead),
                       {.activation = activation});
        conv_2.forward(context, inner.rows(), rows_of(y, first, last - first));
        Index const begin = first * x.width(), pixels = (last - first) * x.width();
        context.count(pixels, x.channels());
        Piece const piece(context, node);
        context.each_range(pixels, part, [&](Index from, Index to, Index) {
          context.kernels->attention_pool(pool, begin + from, begin + to,
                                          parts.data() + (count + from / part) * pool.part_elements());
        });
        count += divide_up(pixels, part);
      };
      each_band(context, height, band, forward_band, inner);
    }
    Piece const piece(context, node);
    context.once([&] { write_mean(parts.data(), count, pool.part_elements(), mean); });
  }

  constexpr Node pool_node(Context<T>& context, Shape y) const noexcept {
    Node node = context.new_node("attention pool", y, {1, 1, y.channels});
    node.kernel = "attention_pool";
    node.macs = static_cast<std::uint64_t>(y.pixels()) * static_cast<std::uint64_t>(y.channels);
    node.bytes += mask_.packed_elements() * static_cast<Index>(sizeof(T));
    return node;
  }

  /// Parts cover few pixels and are added in double, in a fixed order: neither the number of threads nor the size of
  /// the image costs accuracy.
  static void write_mean(Accumulator<T> const* parts, Index count, Index step, View<T> mean) noexcept {
    double largest = static_cast<double>(parts[0]), total = 0;
    for (Index i = 1; i < count; ++i) largest = (std::max)(largest, static_cast<double>(parts[i * step]));
    auto const weight = [&](Index i) { return std::exp(static_cast<double>(parts[i * step]) - largest); };
    for (Index i = 0; i < count; ++i) total += weight(i) * static_cast<double>(parts[i * step + 1]);
    // A line of channels at a time, so that each weight is computed once for many.
    constexpr Index line = channels_per_line<T>;
    for (Index c = 0; c < mean.pitch(); c += line) {
      double sum[line] = {};
      for (Index i = 0; i < count; ++i) {
        double const of_part = weight(i);
        Accumulator<T> const* const sums = parts + i * step + Pool::sums + c;
        for (Index j = 0; j < line; ++j) sum[j] += of_part * static_cast<double>(sums[j]);
      }
      for (Index j = 0; j < line; ++j) mean.data()[c + j] = static_cast<T>(static_cast<Accumulator<T>>(sum[j] / total));
    }
  }

  static constexpr Index part = Pool::most_pixels;

  Conv2d<T> conv_0_, conv_2_;
  ContextMask<T> mask_;
  Conv2d<T> add_0_, add_2_;
};

}  // namespace mirnet::inline MIRNET_ABI

// Averages over the whole image.
#pragma once

#include <algorithm>
#include <span>

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Sums of a map's channels, gathered while a layer writes its rows: each work tile of the kernels has a line of its
/// own. Lines cover few pixels and are added in double, in a fixed order: neither the number of threads nor the size of
/// the image costs accuracy.
template <class T>
class ChannelSums {
 public:
  /// Of a line, where a layer takes pixels by number and not by row.
  static constexpr Index pixels_a_line = 256;

  constexpr ChannelSums(Context<T>& context, Index channels) noexcept
      : channels_(channels), pitch_(pixel_pitch<T>(channels)), totals_(context.arena, pitch_) {
    context.once([&] { std::fill_n(totals_.data(), pitch_, 0.0); });
  }

  constexpr Index channels() const noexcept { return channels_; }
  constexpr Index pitch() const noexcept { return pitch_; }
  /// Whether they are for maps of this many channels; if not, the context computes nothing that follows.
  constexpr bool take(Context<T>& context, char const* layer, Index channels) const noexcept {
    return channels_ == channels || context.refuse({layer, "set of sums", {1, 1, channels_}, {1, 1, channels}});
  }

  /// Adds the lines that the kernels have filled for so many pixels.
  constexpr void add(Context<T> const& context, Accumulator<T> const* lines, Index count, Index pixels) noexcept {
    pixels_ += pixels;
    context.once([&] {
      for (Index i = 0; i < count; ++i) {
        for (Index c = 0; c < pitch_; ++c) totals_.data()[c] += static_cast<double>(lines[i * pitch_ + c]);
      }
    });
  }

  double mean(Index channel) const noexcept { return totals_.data()[channel] / static_cast<double>(pixels_); }

 private:
  Index channels_, pitch_, pixels_ = 0;
  ArenaBlock<double> totals_;
};

namespace detail {

/// mean(c) for the channels up to the end of their line.
template <class T, class Mean>
constexpr void write_means(Context<T> const& context, View<T> output, Mean&& mean) noexcept {
  context.once([&] {
    Index const lines = pixel_pitch<T>(output.channels());
    for (Index c = 0; c < lines; ++c) output.data()[c] = static_cast<T>(mean(c));
  });
}

}  // namespace detail

/// The mean over all pixels of a map whose sums are there: `output` is 1x1.
template <class T>
constexpr void global_average(Context<T>& context, ChannelSums<T> const& sums, ViewOf<T> output) noexcept {
  if (!context.accepts("mean", "output", output, {1, 1, sums.channels()})) return;
  Node node = context.new_node("mean", output.shape(), output.shape());
  node.kernel = "sums of the layer before";
  Piece const piece(context, node);
  detail::write_means(context, output, [&](Index c) { return sums.mean(c); });
}

/// The sum of the means of two maps, of any sizes, whose sums are there: `output` is 1x1.
template <class T>
constexpr void global_average(Context<T>& context, ChannelSums<T> const& first, ChannelSums<T> const& second,
                              ViewOf<T> output) noexcept {
  if (!context.accepts("mean", "output", output, {1, 1, first.channels()})) return;
  if (!second.take(context, "mean", first.channels())) return;
  Node node = context.new_node("mean", output.shape(), output.shape());
  node.kernel = "sums of the layers before";
  Piece const piece(context, node);
  detail::write_means(context, output, [&](Index c) { return first.mean(c) + second.mean(c); });
}

/// The mean over all pixels of the sum of several maps of one shape, which is the sum of their means: `output` is 1x1.
template <class T>
constexpr void global_average(Context<T>& context, std::span<ViewOf<T const> const> maps, ViewOf<T> output) noexcept {
  constexpr Index pixels_a_line = ChannelSums<T>::pixels_a_line;
  Shape const shape = maps[0].shape();
  for (auto const& map : maps) {
    if (!context.accepts("mean", "input", map, shape, Layout::dense)) return;
  }
  if (!context.accepts("mean", "output", output, {1, 1, shape.channels})) return;
  Index const pixels = maps[0].pixels(), pitch = maps[0].pitch(), lines = divide_up(pixels, pixels_a_line);
  ChannelSums<T> sums(context, maps[0].channels());
  ArenaBlock<Accumulator<T>> const partial(context.arena, lines * pitch);
  Node node = context.new_node("mean", maps[0].shape(), output.shape());
  node.kernel = "channel_sums";
  node.bytes += (static_cast<Index>(maps.size()) - 1) * context.bytes_of(maps[0].shape());
  Piece const piece(context, node);
  for (auto const& map : maps) {
    context.each_range(pixels, pixels_a_line, [&](Index first, Index last, Index) {
      context.kernels->channel_sums(map.data() + first * pitch, last - first, pitch,
                                    partial.data() + first / pixels_a_line * pitch);
    });
    // All maps have the same pixels, which count once.
    sums.add(context, partial.data(), lines, &map == &maps[0] ? pixels : 0);
  }
  detail::write_means(context, output, [&](Index c) { return sums.mean(c); });
}

template <class T>
constexpr void global_average(ScopedContext<T> const& context, ChannelSums<T> const& sums, ViewOf<T> output) noexcept {
  global_average<T>(static_cast<Context<T>&>(context), sums, output);
}
template <class T>
constexpr void global_average(ScopedContext<T> const& context, ChannelSums<T> const& first,
                              ChannelSums<T> const& second, ViewOf<T> output) noexcept {
  global_average<T>(static_cast<Context<T>&>(context), first, second, output);
}
template <class T>
constexpr void global_average(ScopedContext<T> const& context, std::span<ViewOf<T const> const> maps,
                              ViewOf<T> output) noexcept {
  global_average<T>(static_cast<Context<T>&>(context), maps, output);
}

}  // namespace mirnet::inline MIRNET_ABI

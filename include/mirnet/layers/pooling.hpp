// Largest and mean values, of windows and of the whole map; softmax over the whole map.
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
constexpr void global_average(AnyContext<T> const& where, ChannelSums<T> const& sums, ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
  if (!context.accepts("mean", "output", output, {1, 1, sums.channels()})) return;
  Node node = context.new_node("mean", output.shape(), output.shape());
  node.kernel = "sums of the layer before";
  Piece const piece(context, node);
  detail::write_means(context, output, [&](Index c) { return sums.mean(c); });
}

/// The sum of the means of two maps, of any sizes, whose sums are there: `output` is 1x1.
template <class T>
constexpr void global_average(AnyContext<T> const& where, ChannelSums<T> const& first, ChannelSums<T> const& second,
                              ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
  if (!context.accepts("mean", "output", output, {1, 1, first.channels()})) return;
  if (!second.take(context, "mean", first.channels())) return;
  Node node = context.new_node("mean", output.shape(), output.shape());
  node.kernel = "sums of the layers before";
  Piece const piece(context, node);
  detail::write_means(context, output, [&](Index c) { return first.mean(c) + second.mean(c); });
}

/// The mean over all pixels of the sum of several maps of one shape, which is the sum of their means: `output` is 1x1.
template <class T>
constexpr void global_average(AnyContext<T> const& where, std::span<ViewOf<T const> const> maps,
                              ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
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

/// The options of max_pool and average_pool, with PyTorch's names.
struct PoolOptions {
  Index stride = 0;   ///< pixels from one window to the next; 0: the window's size
  Index padding = 0;  ///< at most half of a window
  bool ceil_mode = false;
  bool count_include_pad = true;  ///< average_pool: padding counts as zeros
};

namespace detail {

constexpr bool are_windows(Index window, PoolOptions const& options) noexcept {
  return window >= 1 && options.stride >= 0 && options.padding >= 0 && options.padding <= window / 2;
}

/// Without pixels where there are no such windows.
constexpr Shape pooled_shape(Shape input, Index window, PoolOptions const& options) noexcept {
  if (!are_windows(window, options)) return {0, 0, input.channels};
  Index const stride = options.stride == 0 ? window : options.stride, padding = options.padding;
  auto const size = [&](Index n) -> Index {
    Index const beyond = n + 2 * padding - window;
    if (beyond < 0) return 0;
    if (!options.ceil_mode) return beyond / stride + 1;
    // The last window begins in the map or in the padding before it.
    Index const windows = divide_up(beyond, stride) + 1;
    return (windows - 1) * stride >= n + padding ? windows - 1 : windows;
  };
  return {size(input.height), size(input.width), input.channels};
}

/// A node of that name for windows of any height and width.
template <class T>
constexpr void pool(Context<T>& context, char const* layer, Pooling<T> work, View<T const> input,
                    View<T> output) noexcept {
  if (!context.accepts(layer, "input", input, input.shape()) ||
      !context.accepts(layer, "output", output, output.shape()) || !context.differ(layer, input, output) ||
      !context.has_pixels(layer, input.shape()) || !context.has_pixels(layer, output.shape())) {
    return;
  }
  work.input = input.data();
  work.height = input.height();
  work.width = input.width();
  work.input_pitch = input.pitch();
  work.channels = input.channels();
  work.output = output.data();
  work.output_width = output.width();
  work.output_pitch = output.pitch();
  Node node = context.new_node(layer, input.shape(), output.shape());
  node.kernel = "pool";
  Piece const piece(context, node);
  context.each_range(output.height(), rows_a_range,
                     [&](Index first, Index last, Index) { context.kernels->pool(work, first, last); });
}

template <class T>
constexpr void pool(AnyContext<T> const& where, char const* layer, bool largest, View<T const> input, Index window,
                    PoolOptions const& options, View<T> output) noexcept {
  Context<T>& context = where.context();
  if (!are_windows(window, options)) {
    context.refuse({.layer = layer, .reason = "a window has at least one pixel, and at most half of it is padding"});
    return;
  }
  if (!context.accepts(layer, "output", output, pooled_shape(input.shape(), window, options))) return;
  Pooling<T> work{};
  work.window_height = work.window_width = window;
  work.stride = options.stride == 0 ? window : options.stride;
  work.padding = options.padding;
  work.largest = largest;
  work.counts_padding = options.count_include_pad;
  pool<T>(context, layer, work, input, output);
}

/// The largest value of each channel, first of each row and then of these; `output` is 1x1.
template <class T>
constexpr void global_max(Context<T>& context, View<T const> input, View<T> output) noexcept {
  if (!context.accepts("max", "output", output, {1, 1, input.channels()})) return;
  ArenaMap<T> const rows(context.arena, {input.height(), 1, input.channels()});
  Pooling<T> work{};
  work.largest = true;
  work.stride = 1;
  work.window_height = 1;
  work.window_width = input.width();
  pool<T>(context, "max", work, input, rows);
  work.window_height = input.height();
  work.window_width = 1;
  pool<T>(context, "max", work, rows, output);
}

}  // namespace detail

/// torch.nn.functional.max_pool2d with windows of `window` x `window` pixels. The output does not overlap the input.
template <class T>
constexpr void max_pool(AnyContext<T> const& context, ViewOf<T const> input, Index window, PoolOptions const& options,
                        ViewOf<T> output) noexcept {
  detail::pool<T>(context, "max pool", true, input, window, options, output);
}
/// Into a new map of the context's arena.
template <class T>
constexpr ArenaMap<T> max_pool(AnyContext<T> const& context, ViewOf<T const> input, Index window,
                               PoolOptions const& options = {}) noexcept {
  ArenaMap<T> output(context.context().arena, detail::pooled_shape(input.shape(), window, options));
  max_pool<T>(context, input, window, options, output);
  return output;
}

/// torch.nn.functional.avg_pool2d with windows of `window` x `window` pixels. The output does not overlap the input.
template <class T>
constexpr void average_pool(AnyContext<T> const& context, ViewOf<T const> input, Index window,
                            PoolOptions const& options, ViewOf<T> output) noexcept {
  detail::pool<T>(context, "average pool", false, input, window, options, output);
}
/// Into a new map of the context's arena.
template <class T>
constexpr ArenaMap<T> average_pool(AnyContext<T> const& context, ViewOf<T const> input, Index window,
                                   PoolOptions const& options = {}) noexcept {
  ArenaMap<T> output(context.context().arena, detail::pooled_shape(input.shape(), window, options));
  average_pool<T>(context, input, window, options, output);
  return output;
}

/// The mean of each channel, a new map of 1x1: torch.nn.AdaptiveAvgPool2d(1).
template <class T>
constexpr ArenaMap<T> global_average(AnyContext<T> const& context, ViewOf<T const> input) noexcept {
  ArenaMap<T> output(context.context().arena, {1, 1, input.channels()});
  if (!context.context().has_pixels("mean", input.shape())) return output;
  ViewOf<T const> const maps[] = {input};
  global_average<T>(context.context(), std::span<ViewOf<T const> const>(maps), output);
  return output;
}

/// The largest value of each channel, a new map of 1x1: torch.nn.AdaptiveMaxPool2d(1).
template <class T>
constexpr ArenaMap<T> global_max(AnyContext<T> const& context, ViewOf<T const> input) noexcept {
  ArenaMap<T> output(context.context().arena, {1, 1, input.channels()});
  detail::global_max<T>(context.context(), input, output);
  return output;
}

/// torch.softmax of each channel over all pixels, in place. Sums are in double.
template <class T>
constexpr void softmax_of_pixels(AnyContext<T> const& where, ViewOf<T> x) noexcept {
  using Sum = Accumulator<T>;
  constexpr Index pixels_a_part = ChannelSums<T>::pixels_a_line;
  Context<T>& context = where.context();
  if (!context.accepts("softmax", "map", x, x.shape(), Layout::dense)) return;
  Index const pixels = x.pixels(), pitch = x.pitch(), parts = divide_up(pixels, pixels_a_part);
  ArenaMap<T> const largest(context.arena, {1, 1, x.channels()});
  detail::global_max<T>(context, x, largest);
  ChannelSums<T> sums(context, x.channels());
  ArenaBlock<Sum> const partial(context.arena, parts * pitch), numbers(context.arena, 3 * pitch);
  Sum *const most = numbers.data(), *const scale = advance(most, pitch), *const zeros = advance(scale, pitch);
  Node node = context.new_node("softmax", x.shape(), x.shape());
  node.kernel = "channel_exponentials + scale_and_shift";
  Piece const piece(context, node);
  context.once([&] {
    for (Index c = 0; c < pitch; ++c) {
      most[c] = static_cast<Sum>(largest.view().data()[c]);
      zeros[c] = Sum(0);
    }
  });
  context.each_range(pixels, pixels_a_part, [&](Index first, Index last, Index) {
    context.kernels->channel_exponentials(x.data() + first * pitch, last - first, pitch, pitch, most,
                                          partial.data() + first / pixels_a_part * pitch);
  });
  sums.add(context, partial.data(), parts, pixels);
  context.once([&] {
    for (Index c = 0; c < pitch; ++c) {
      scale[c] = static_cast<Sum>(1.0 / (sums.mean(c) * static_cast<double>(pixels)));
    }
  });
  Scaling<T> const work{x.data(), pitch, x.data(), pitch, x.channels(), zeros, scale, zeros};
  context.each_range(pixels, 256,
                     [&](Index first, Index last, Index) { context.kernels->scale_and_shift(work, first, last); });
}

}  // namespace mirnet::inline MIRNET_ABI

// Concatenation along the channels, for skip connections.
#pragma once

#include <algorithm>
#include <initializer_list>

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Writes the channels of a map to the output from channel `first` on, and zero padding after the output's last
/// channel.
template <class T>
void put_channels(View<T const> map, Index first, View<T> output, Index first_row, Index last_row) noexcept {
  Index const lines = pixel_pitch<T>(output.channels()), end = first + map.channels();
  for (Index y = first_row; y < last_row; ++y) {
    for (Index x = 0; x < output.width(); ++x) {
      T* const to = output.pixel(y, x);
      std::copy_n(map.pixel(y, x), map.channels(), to + first);
      if (end == output.channels()) std::fill(to + end, to + lines, T(0));
    }
  }
}

template <class T>
constexpr Shape concatenated(std::initializer_list<View<T const>> maps) noexcept {
  Shape shape{};
  for (auto const& map : maps) shape = {map.height(), map.width(), shape.channels + map.channels()};
  return shape;
}

}  // namespace detail

/// torch.cat of feature maps along the channels. All maps have the same height and width, and the output has the
/// channels of all. This copies; a layer whose channels fill whole lines can write directly into a
/// channel_slice of the output.
template <class T>
constexpr void concat(AnyContext<T> const& where, std::initializer_list<ViewOf<T const>> maps,
                      ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
  Shape const shape = detail::concatenated<T>(maps);
  if (!context.accepts("concat", "output", output, shape)) return;
  for (auto const& map : maps) {
    if (!context.accepts("concat", "input", map, {shape.height, shape.width, map.channels()})) return;
  }
  Node node = context.new_node("concat", shape, shape);
  node.kernel = "copy";
  Piece const piece(context, node);
  context.each_range(shape.height, rows_a_range, [&](Index first_row, Index last_row, Index) {
    Index first = 0;
    for (auto const& map : maps) {
      detail::put_channels<T>(map, first, output, first_row, last_row);
      first += map.channels();
    }
  });
}

/// The same into a new map of the context's arena.
template <class T>
constexpr ArenaMap<T> concat(AnyContext<T> const& where, std::initializer_list<ViewOf<T const>> maps) noexcept {
  Context<T>& context = where.context();
  ArenaMap<T> output(context.arena, detail::concatenated<T>(maps));
  concat(context, maps, output.view());
  return output;
}

/// Channels [first, first + count) of a map, as a new map: where channel_slice, which copies nothing, does not take
/// them.
template <class T>
constexpr ArenaMap<T> copy_channels(AnyContext<T> const& where, ViewOf<T const> map, Index first,
                                    Index count) noexcept {
  Context<T>& context = where.context();
  Shape const shape{map.height(), map.width(), count};
  ArenaMap<T> output(context.arena, shape);
  if (first < 0 || count < 0 || first + count > map.channels()) {
    context.refuse({"split", "map", map.shape(), {map.height(), map.width(), first + count}});
    return output;
  }
  if (!context.accepts("split", "map", map, map.shape())) return output;
  Node node = context.new_node("split", map.shape(), shape);
  node.kernel = "copy";
  Piece const piece(context, node);
  context.each_range(shape.height, rows_a_range, [&](Index first_row, Index last_row, Index) {
    View<T const> const part(map.data() + first, shape, map.pitch(), map.row_pitch());
    detail::put_channels<T>(part, 0, output, first_row, last_row);
  });
  return output;
}

}  // namespace mirnet::inline MIRNET_ABI

// Pixel shuffle and unshuffle: channels to space and back, for networks that compute on cells of pixels.
#pragma once

#include <algorithm>

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Writes the pixels of some rows: body(pixel, y, x) writes the channels, and the padding becomes zeros.
template <class T, class Body>
void write_rows(View<T> output, Index first_row, Index last_row, Body&& body) noexcept {
  Index const lines = pixel_pitch<T>(output.channels());
  for (Index y = first_row; y < last_row; ++y) {
    for (Index x = 0; x < output.width(); ++x) {
      T* const pixel = output.pixel(y, x);
      body(pixel, y, x);
      std::fill(pixel + output.channels(), pixel + lines, T(0));
    }
  }
}

/// A node that writes a whole output with write_rows, if the maps have the shapes `from` and `to`.
template <class T, class Body>
constexpr void move_pixels(Context<T>& context, char const* operation, View<T const> input, Shape from, View<T> output,
                           Shape to, Body&& body) noexcept {
  if (!context.accepts(operation, "input", input, from) || !context.accepts(operation, "output", output, to)) return;
  Node node = context.new_node(operation, from, to);
  node.kernel = "copy";
  Piece const piece(context, node);
  context.each_range(to.height, rows_a_range,
                     [&](Index first, Index last, Index) { write_rows<T>(output, first, last, body); });
}

}  // namespace detail

/// torch.nn.functional.pixel_unshuffle: channel c of the pixel in row i and column j of a cell of factor x factor
/// pixels becomes channel (c*factor + i)*factor + j. The input's height and width are multiples of the factor; the
/// output is smaller by the factor in both directions and has factor^2 times the channels.
template <class T>
constexpr void pixel_unshuffle(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output,
                               Index factor) noexcept {
  Context<T>& context = where.context();
  Shape const whole{factor * output.height(), factor * output.width(), input.channels()};
  Shape const cells{output.height(), output.width(), factor * factor * input.channels()};
  detail::move_pixels<T>(context, "pixel unshuffle", input, whole, output, cells, [&](T* to, Index y, Index x) {
    for (Index i = 0; i < factor; ++i) {
      T const* from = input.pixel(y * factor + i, x * factor);
      for (Index j = 0; j < factor; ++j, from += input.pitch()) {
        T* part = to + i * factor + j;
        for (Index c = 0; c < input.channels(); ++c, part += factor * factor) *part = from[c];
      }
    }
  });
}

/// torch.nn.functional.pixel_shuffle: the reverse. The input's channels are a multiple of factor^2.
template <class T>
constexpr void pixel_shuffle(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output,
                             Index factor) noexcept {
  Context<T>& context = where.context();
  Shape const cells{input.height(), input.width(), factor * factor * output.channels()};
  Shape const whole{factor * input.height(), factor * input.width(), output.channels()};
  detail::move_pixels<T>(context, "pixel shuffle", input, cells, output, whole, [&](T* to, Index y, Index x) {
    T const* from = input.pixel(y / factor, x / factor) + y % factor * factor + x % factor;
    for (Index c = 0; c < output.channels(); ++c, from += factor * factor) to[c] = *from;
  });
}

/// The same into a new map of the context's arena.
template <class T>
constexpr ArenaMap<T> pixel_unshuffle(AnyContext<T> const& where, ViewOf<T const> input, Index factor) noexcept {
  Context<T>& context = where.context();
  ArenaMap<T> output(context.arena,
                     {input.height() / factor, input.width() / factor, input.channels() * factor * factor});
  pixel_unshuffle(context, input, output.view(), factor);
  return output;
}
template <class T>
constexpr ArenaMap<T> pixel_shuffle(AnyContext<T> const& where, ViewOf<T const> input, Index factor) noexcept {
  Context<T>& context = where.context();
  ArenaMap<T> output(context.arena,
                     {input.height() * factor, input.width() * factor, input.channels() / (factor * factor)});
  pixel_shuffle(context, input, output.view(), factor);
  return output;
}

}  // namespace mirnet::inline MIRNET_ABI

// Pixel shuffle and unshuffle: space to channels and back, for networks that compute on cells of pixels.
#pragma once

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// body(y, x, c, i, j) for channel c of the pixel in row i and column j of the cell that is pixel (y, x) of `cells`, in
/// the order of the cells.
template <class T, class Body>
constexpr void each_of_cells(Context<T>& context, char const* operation, Shape from, Shape to, Shape cells,
                             Index factor, Body&& body) noexcept {
  Node node = context.new_node(operation, from, to);
  node.kernel = operation;
  Piece const piece(context, node);
  context.each_range(cells.height, rows_a_range, [&](Index first, Index last, Index) {
    for (Index y = first; y < last; ++y) {
      for (Index x = 0; x < cells.width; ++x) {
        for (Index at = 0; at < cells.channels; ++at) {
          body(y, x, at / (factor * factor), at / factor % factor, at % factor);
        }
      }
    }
  });
}

}  // namespace detail

/// torch.nn.functional.pixel_unshuffle: channel c of the pixel in row i and column j of a cell of factor x factor
/// pixels becomes channel (c*factor + i)*factor + j. The input's height and width are multiples of the factor; the
/// output is so many times smaller and has factor^2 times the channels.
template <class T>
constexpr void pixel_unshuffle(Context<T>& context, ViewOf<T const> input, ViewOf<T> output, Index factor) noexcept {
  Shape const whole{factor * output.height(), factor * output.width(), input.channels()};
  Shape const cells{output.height(), output.width(), factor * factor * input.channels()};
  if (!context.accepts("pixel unshuffle", "input", input, whole) ||
      !context.accepts("pixel unshuffle", "output", output, cells)) {
    return;
  }
  detail::each_of_cells(
      context, "pixel_unshuffle", whole, cells, cells, factor, [&](Index y, Index x, Index c, Index i, Index j) {
        output.pixel(y, x)[(c * factor + i) * factor + j] = input.pixel(y * factor + i, x * factor + j)[c];
      });
}

/// torch.nn.functional.pixel_shuffle: the reverse. The input's channels are a multiple of factor^2.
template <class T>
constexpr void pixel_shuffle(Context<T>& context, ViewOf<T const> input, ViewOf<T> output, Index factor) noexcept {
  Shape const cells{input.height(), input.width(), factor * factor * output.channels()};
  Shape const whole{factor * input.height(), factor * input.width(), output.channels()};
  if (!context.accepts("pixel shuffle", "input", input, cells) ||
      !context.accepts("pixel shuffle", "output", output, whole)) {
    return;
  }
  detail::each_of_cells(
      context, "pixel_shuffle", cells, whole, cells, factor, [&](Index y, Index x, Index c, Index i, Index j) {
        output.pixel(y * factor + i, x * factor + j)[c] = input.pixel(y, x)[(c * factor + i) * factor + j];
      });
}

}  // namespace mirnet::inline MIRNET_ABI

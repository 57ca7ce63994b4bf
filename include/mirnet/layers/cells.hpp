// Copies between images and maps of another size, type and order of their pixels: what pads, crops, unshuffles and
// shuffles, in one pass.
#pragma once

#include <algorithm>

#include <mirnet/base/half.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Cells are squares of pixels that are one pixel of a map, with the cell's channels in the order of torch's
/// pixel_unshuffle: channel c of the pixel in row y and column x of a cell of u x u becomes channel c*u*u + y*u + x. A
/// cell of one pixel is that pixel.
inline constexpr Index largest_cell = 4;               ///< its side
inline constexpr Index most_channels_of_a_pixel = 16;  ///< of an image that is cut into cells
inline constexpr Index most_channels_of_a_cell = most_channels_of_a_pixel * largest_cell * largest_cell;

namespace detail {

/// Rows [first, last) of the sum of the image and the residual, which has a pixel for every cell of the image.
template <class T, class Pixel>
void add_cells(View<Pixel const> image, View<T const> residual, Index cell, View<Pixel> output, Index first,
               Index last) noexcept {
  for (Index y = first; y < last; ++y) {
    Pixel const* from = image.row(y);
    Pixel* to = output.row(y);
    T const* part = residual.row(y / cell) + y % cell * cell;
    for (Index x = 0; x < output.width(); x += cell, part += residual.pitch()) {
      Index const end = (std::min)(cell, output.width() - x);
      for (Index i = 0; i < end; ++i, from += image.pitch(), to += output.pitch()) {
        for (Index c = 0; c < output.channels(); ++c) {
          to[c] = from[c] + static_cast<Pixel>(part[c * cell * cell + i]);
        }
      }
    }
  }
}

/// Rows [first, last) of what fit() writes.
template <class From, class To>
void fit_to_cells(View<From const> image, View<To> map, Index cell, bool reflects, Index first, Index last) noexcept {
  auto const source = [&](Index i, Index side, Index wanted) {
    if (i < side) return i;
    return reflects && wanted - side < side ? 2 * (side - 1) - i : side - 1;
  };
  // Gathered one by one, converted four at a time; zeros behind them.
  From pixel[most_channels_of_a_cell] = {};
  Index const channels = round_up(image.channels() * cell * cell, 4), lines = pixel_pitch<To>(channels);
  for (Index y = first; y < last; ++y) {
    From const* rows[largest_cell];
    for (Index i = 0; i < cell; ++i) rows[i] = image.row(source(y * cell + i, image.height(), map.height() * cell));
    for (Index x = 0; x < map.width(); ++x) {
      for (Index j = 0; j < cell; ++j) {
        Index const column = source(x * cell + j, image.width(), map.width() * cell) * image.pitch();
        for (Index i = 0; i < cell; ++i) {
          for (Index c = 0; c < image.channels(); ++c) pixel[(c * cell + i) * cell + j] = rows[i][column + c];
        }
      }
      To* const to = map.pixel(y, x);
      for (Index four = 0; four < channels; four += 4) {
        for (Index c = four; c < four + 4; ++c) to[c] = static_cast<To>(pixel[c]);
      }
      std::fill(to + channels, to + lines, To(0));
    }
  }
}

}  // namespace detail

/// Fits an image to a map that has a pixel for every cell of it, or the reverse with cells of one pixel. Where the map
/// is smaller, the image is cut at the right and below; where it is larger, it is continued there by reflection without
/// repeating the edge (torch's 'reflect'). It is continued by repeating the edge where `reflects` is false or a side is
/// no longer than the pixels it lacks. A cell has at most most_channels_of_a_cell channels.
template <class T, class From, class To>
constexpr void fit(Context<T>& context, View<From const> image, View<To> map, Index cell,
                   bool reflects = true) noexcept {
  if (cell > largest_cell || image.channels() * cell * cell > most_channels_of_a_cell) {
    context.refuse({.layer = "copy", .reason = "a cell of pixels has more channels than can be gathered"});
    return;
  }
  Node node = context.new_node("copy", image.shape(), map.shape());
  node.kernel = "copy";
  Piece const piece(context, node);
  context.each_range(map.height(), rows_a_range, [&](Index first, Index last, Index) {
    detail::fit_to_cells(image, map, cell, reflects, first, last);
  });
}

/// The sum of an image and a residual, which has a pixel for every cell of the image and may reach beyond it.
template <class T>
constexpr void add_residual(Context<T>& context, View<Accumulator<T> const> image, View<T const> residual, Index cell,
                            View<Accumulator<T>> output) noexcept {
  Node node = context.new_node("copy", residual.shape(), output.shape());
  node.kernel = "copy";
  node.bytes += context.bytes_of(image.shape());
  node.residual = true;
  Piece const piece(context, node);
  context.each_range(output.height(), rows_a_range, [&](Index first, Index last, Index) {
    detail::add_cells(image, residual, cell, output, first, last);
  });
}

}  // namespace mirnet::inline MIRNET_ABI

// From an image's samples to the maps that networks read, and back: three colour channels in [0, 1]. Gray is replicated
// to three channels and averaged afterwards; alpha never enters a network.
#pragma once

#include <algorithm>
#include <array>

#include <mirnet/image/image.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// The three colours of a pixel whose image has 3 colours or 1, on the scale where white is 1.
template <class T>
constexpr std::array<float, 3> unit_colours(T const* pixel, Index colours) noexcept {
  Index const green = colours == 3 ? 1 : 0;
  return {to_unit(pixel[0]), to_unit(pixel[green]), to_unit(pixel[2 * green])};
}

/// Copies the alpha of `width` pixels of a row, from pixel (y, x) on, to another image of the same format.
inline void copy_alpha(ImageView from, MutableImageView to, Index y, Index x, Index width) noexcept {
  if (!from.has_alpha()) return;
  Index const channels = from.channels();
  to.visit(
      [&](auto target) {
        using T = typename decltype(target)::Sample;
        T const* const source = from.template rows<T>(x)(y);
        for (Index i = channels - 1; i < width * channels; i += channels) target(y)[i] = source[i];
      },
      x);
}

}  // namespace detail

/// Writes the colours of a rectangle of an image, from pixel (first_row, first_column) on, to a map with three
/// channels.
inline void to_map(ImageView image, Index first_row, Index first_column, View<float> map) noexcept {
  MIRNET_ASSERT(map.channels() == 3 && first_row + map.height() <= image.height() &&
                first_column + map.width() <= image.width());
  image.visit(
      [&](auto rows) {
        for (Index y = 0; y < map.height(); ++y) {
          auto const* from = rows(first_row + y);
          float* to = map.row(y);
          for (Index x = 0; x < map.width(); ++x, from += image.channels(), to += map.pitch()) {
            auto const colours = detail::unit_colours(from, image.colours());
            std::copy(colours.begin(), colours.end(), to);
          }
        }
      },
      first_column);
}

/// Writes the whole image to a map of its size.
inline void to_map(ImageView image, View<float> map) noexcept {
  MIRNET_ASSERT((map.shape() == Shape{image.height(), image.width(), 3}));
  to_map(image, 0, 0, map);
}

/// Overwrites the image's colours, from pixel (first_row, first_column) on, with a map of three channels.
inline void put_rows(View<float const> map, MutableImageView image, Index first_row, Index first_column = 0) noexcept {
  MIRNET_ASSERT(map.channels() == 3 && first_column + map.width() <= image.width() &&
                first_row + map.height() <= image.height());
  image.visit(
      [&](auto rows) {
        using T = typename decltype(rows)::Sample;
        for (Index y = 0; y < map.height(); ++y) {
          float const* from = map.row(y);
          T* to = rows(first_row + y);
          for (Index x = 0; x < map.width(); ++x, to += image.channels(), from += map.pitch()) {
            if (image.colours() == 1) {
              // What nothing has changed stays as it is: the sum of three equal floats is rounded.
              bool const is_gray = from[0] == from[1] && from[1] == from[2];
              to[0] = from_unit<T>(is_gray ? from[0] : (from[0] + from[1] + from[2]) / 3.0f);
            } else {
              for (Index c = 0; c < 3; ++c) to[c] = from_unit<T>(from[c]);
            }
          }
        }
      },
      first_column);
}

/// The image that a map of three channels shows, with the size, the channels, the sample type and the alpha of
/// `original`. Errors: memory.
inline Result<Image> from_map(View<float const> map, Image const& original) noexcept {
  MIRNET_ASSERT(map.height() == original.height());
  auto image = colourless_copy(original);
  if (image) put_rows(map, *image, 0);
  return image;
}

}  // namespace mirnet::inline MIRNET_ABI

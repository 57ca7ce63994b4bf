// Colours that nobody sees. Under full transparency a file may hold any colour, and a network that saw it would spread
// it into the visible edge. Before a network runs, these pixels take the colours of the visible pixels around them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Colours weighted by alpha, and their weight.
struct WeightedColour {
  float colours[3] = {};
  float weight = 0;

  void add(WeightedColour const& other) noexcept {
    for (int c = 0; c < 3; ++c) colours[c] += other.colours[c];
    weight += other.weight;
  }
};

/// Averages of 2 x 2 pixels, of 2 x 2 of these, and so on up to one for all.
constexpr Index pyramid_cells(Index width, Index height) noexcept {
  Index cells = 0;
  do {
    width = divide_up(width, 2);
    height = divide_up(height, 2);
    cells += width * height;
  } while (width > 1 || height > 1);
  return cells;
}

template <class T>
void fill_hidden(T* samples, Index width, Index height, Index channels, WeightedColour* pyramid) noexcept {
  Index const colours = channels - 1;
  auto const pixel = [&](Index y, Index x) { return samples + (y * width + x) * channels; };
  auto const is_hidden = [&](T const* of) { return !(of[colours] > T{0}); };
  // From fine to coarse: sums.
  std::fill_n(pyramid, pyramid_cells(width, height), WeightedColour{});
  Index level_width = divide_up(width, 2), level_height = divide_up(height, 2);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      T const* const from = pixel(y, x);
      if (is_hidden(from)) continue;
      WeightedColour seen;
      seen.weight = to_unit(from[colours]);
      for (Index c = 0; c < 3; ++c) seen.colours[c] = seen.weight * to_unit(from[(std::min)(c, colours - 1)]);
      pyramid[y / 2 * level_width + x / 2].add(seen);
    }
  }
  WeightedColour* level = pyramid;
  while (level_width > 1 || level_height > 1) {
    WeightedColour* const above = level + level_width * level_height;
    Index const above_width = divide_up(level_width, 2);
    for (Index y = 0; y < level_height; ++y) {
      for (Index x = 0; x < level_width; ++x) above[y / 2 * above_width + x / 2].add(level[y * level_width + x]);
    }
    level = above;
    level_width = above_width;
    level_height = divide_up(level_height, 2);
  }
  // A hidden pixel takes the average of the smallest square around it in which something is visible.
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      T* const to = pixel(y, x);
      if (!is_hidden(to)) continue;
      WeightedColour const* cells = pyramid;
      Index cells_width = width, cells_height = height, shift = 0;
      WeightedColour around;
      do {
        cells_width = divide_up(cells_width, 2);
        cells_height = divide_up(cells_height, 2);
        ++shift;
        around = cells[(y >> shift) * cells_width + (x >> shift)];
        cells += cells_width * cells_height;
      } while (!(around.weight > 0) && (cells_width > 1 || cells_height > 1));
      for (Index c = 0; c < colours; ++c) {
        to[c] = around.weight > 0 ? from_unit<T>(around.colours[c] / around.weight) : T{0};
      }
    }
  }
}

/// Fills the hidden colours of an image whose rows have no gaps. `pyramid` has as many as pyramid_cells.
inline void fill_hidden(MutableImageView image, WeightedColour* pyramid) noexcept {
  image.visit([&](auto rows) { fill_hidden(rows(0), image.width(), image.height(), image.channels(), pyramid); });
}

/// The parts of a memory in which a copy of an image is filled.
struct FilledBytes {
  Index copy, pyramid;  ///< multiples of a line

  /// Errors: memory, where an Index cannot hold their sum.
  static Result<FilledBytes> of(ImageView image) noexcept {
    constexpr Index most = (std::numeric_limits<Index>::max)() / 2 - alignment_bytes;
    auto const copy = checked_product(image.height(), image.row_bytes());
    auto const pyramid =
        checked_product(pyramid_cells(image.width(), image.height()), static_cast<Index>(sizeof(WeightedColour)));
    if (!copy || !pyramid || *copy > most || *pyramid > most) {
      return Error(ErrorCode::memory, "the averages of a transparent image need more memory than can be addressed");
    }
    return FilledBytes{round_up(*copy, alignment_bytes), round_up(*pyramid, alignment_bytes)};
  }

  Index sum() const noexcept { return copy + pyramid; }
};

/// What a network sees of an image: the image, or if it has alpha, a copy with hidden colours filled at the beginning
/// of `memory`, which starts at a multiple of 64 and has the bytes of FilledBytes.
inline ImageView seen_of(ImageView image, std::byte* memory, FilledBytes const& bytes) noexcept {
  if (!image.has_alpha()) return image;
  Index const row = image.row_bytes();
  for (Index y = 0; y < image.height(); ++y) {
    std::memcpy(memory + y * row, image.samples() + y * image.stride(), static_cast<std::size_t>(row));
  }
  MutableImageView const filled(memory, image.width(), image.height(), image.channels(), image.type(), row);
  fill_hidden(filled, reinterpret_cast<WeightedColour*>(memory + bytes.copy));
  return filled;
}

/// Puts the colours of the original image back where its pixels are fully transparent, in a row whose first pixel is
/// pixel (y, x) of that image.
inline void put_hidden(ImageView image, Index y, Index x, View<float> row) noexcept {
  if (!image.has_alpha()) return;
  image.visit(
      [&](auto rows) {
        auto const* from = rows(y);
        float* to = row.data();
        for (Index i = 0; i < row.width(); ++i, from += image.channels(), to += row.pitch()) {
          if (from[image.channels() - 1] > 0) continue;
          auto const colours = unit_colours(from, image.colours());
          std::copy(colours.begin(), colours.end(), to);
        }
      },
      x);
}

}  // namespace detail

/// A copy of an image with alpha, in which fully transparent pixels have the colours of the visible ones around them,
/// weighted by alpha. Errors: memory.
inline Result<Image> with_hidden_filled(Image const& image) noexcept {
  MIRNET_ASSERT(image.has_alpha());
  auto filled = Image::create(image.width(), image.height(), image.channels(), image.type());
  if (!filled) return filled;
  std::copy(image.bytes().begin(), image.bytes().end(), filled->bytes().begin());
  auto const bytes = detail::FilledBytes::of(image);
  if (!bytes) return bytes.error();
  auto const pyramid = Memory::allocate(bytes->pyramid);
  if (!pyramid) return pyramid.error();
  detail::fill_hidden(*filled, reinterpret_cast<detail::WeightedColour*>(pyramid->bytes().data()));
  return filled;
}

}  // namespace mirnet::inline MIRNET_ABI

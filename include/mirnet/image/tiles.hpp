// How an image is cut into overlapping tiles where its memory as a whole would be too much, and put together again
// without a seam. What the network says of a tile is not what it says of the same place in the whole image: it averages
// over all that it sees. Where tiles overlap, one fades into the other.
#pragma once

#include <algorithm>
#include <cstdint>

#include <mirnet/base/integer.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Pixels by which neighbours overlap. The outermost `tile_margin` of a tile are left out at its inner borders, where
/// the network saw no neighbours; across the rest one tile fades into the next.
inline constexpr Index tile_overlap = 64;
inline constexpr Index tile_margin = 16;
/// Tiles are no shorter: three of them must not overlap, and averages over a few pixels are no averages.
inline constexpr Index shortest_tile = 256;

/// Tiles along one side of an image: equally long, evenly spread. Lengths are multiples of 8, so of what networks on
/// single pixels are padded to, where the image is longer than a tile.
class TileAxis {
 public:
  TileAxis() = default;
  /// `count` tiles for `size` pixels. All but the last begin at multiples of `step`, which lengths are multiples of,
  /// too: 1, or a power of two of at most 64.
  constexpr TileAxis(Index size, Index count, Index step = 1) noexcept
      : size_(size),
        count_(count),
        step_(step),
        length_((std::min)(size,
                           round_up(divide_up(size + (count - 1) * tile_overlap, count), std::max<Index>(step, 8)))) {}

  /// As few tiles as there can be of at most `longest` pixels, which are more than `tile_overlap` by 2 * step or more.
  static constexpr TileAxis of_at_most(Index size, Index longest, Index step = 1) noexcept {
    TileAxis axis(size, size <= longest ? 1 : divide_up(size - tile_overlap, longest - tile_overlap), step);
    while (axis.length_ > longest && axis.length_ < size) axis = axis.with_one_more();  // lengths are rounded up
    return axis;
  }

  constexpr TileAxis with_one_more() const noexcept { return {size_, count_ + 1, step_}; }

  constexpr Index size() const noexcept { return size_; }
  constexpr Index count() const noexcept { return count_; }
  constexpr Index length() const noexcept { return length_; }
  constexpr Index first(Index tile) const noexcept {
    if (tile + 1 == count_) return size_ - length_;
    // Rounded up: no tile begins further behind the one before than its length without the overlap, a multiple of the
    // step. Rounded down, that could be true of the last.
    return round_up(static_cast<Index>(std::int64_t{tile} * (size_ - length_) / (count_ - 1)), step_);
  }
  /// The first pixel that a tile and its successors have no part in, or that the tile leaves to its successor.
  constexpr Index settled(Index tile) const noexcept {
    return tile + 1 == count_ ? size_ : first(tile + 1) + tile_margin;
  }

  /// The part of a tile in a pixel that it covers, 0 to 1. Over all tiles, a pixel's parts add up to 1.
  constexpr float weight(Index tile, Index pixel) const noexcept {
    float const entered = tile == 0 ? 1.0f : faded(tile - 1, pixel);
    float const left = tile + 1 == count_ ? 0.0f : faded(tile, pixel);
    return entered - left;
  }

 private:
  /// How far `tile` has faded into its successor: 0 before their overlap, 1 behind it.
  constexpr float faded(Index tile, Index pixel) const noexcept {
    Index const begin = first(tile + 1) + tile_margin, end = first(tile) + length_ - tile_margin;
    if (pixel < begin) return 0.0f;
    if (pixel >= end) return 1.0f;
    return (static_cast<float>(pixel - begin) + 0.5f) / static_cast<float>(end - begin);
  }

  Index size_ = 0, count_ = 1, step_ = 1, length_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

// How an image is cut into overlapping tiles where its memory as a whole would be too much, and put together again
// without a seam. What a network says of a tile is not what it says of the same place in the whole image: it may
// average over all that it sees. Where tiles overlap, one fades into the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <mirnet/base/integer.hpp>
#include <mirnet/base/result.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Pixels by which neighbours overlap. The outermost `tile_margin` of a tile are left out at its inner borders, where
/// the network saw no neighbours; across the rest one tile fades into the next.
inline constexpr Index tile_overlap = 64;
inline constexpr Index tile_margin = 16;
/// The sides of tiles of photographs are no shorter: averages over a few pixels are no averages.
inline constexpr Index shortest_tile = 256;

/// The sides of tiles, in pixels.
struct TileOptions {
  Index longest = shortest_tile;
  Index overlap = tile_overlap;
  Index margin = tile_margin;

  /// What `longest` is at least, so that three tiles in a row do not share a pixel, for tiles that begin at multiples
  /// of `step`.
  constexpr Index shortest(Index step = 1) const noexcept {
    return 5 * overlap / 2 - 3 * margin + 4 * std::max<Index>(step, 8);
  }

  /// Whether there are such tiles of an image's side. Errors: invalid_argument, with what was expected.
  constexpr Result<void> check(Index size, Index step = 1) const noexcept {
    constexpr Index most_overlap = 4096;
    auto const number = [](Index value) { return static_cast<long long>(value); };
    if (margin < 0 || overlap > most_overlap || overlap <= 2 * (std::min)(margin, most_overlap)) {
      return Error(ErrorCode::invalid_argument,
                   "tiles overlap by %lld pixels with margins of %lld, expected more than two margins and at most %lld",
                   number(overlap), number(margin), number(most_overlap));
    }
    if (overlap % step != 0) {
      return Error(ErrorCode::invalid_argument,
                   "tiles overlap by %lld pixels, expected a multiple of the network's step of %lld", number(overlap),
                   number(step));
    }
    if (longest < shortest(step)) {
      return Error(ErrorCode::invalid_argument, "tiles of %lld pixels are too small; expected %lld or more",
                   number(longest), number(shortest(step)));
    }
    // All tiles together have the pixels of the side, the overlaps, and what lengths are rounded up by.
    constexpr Index longest_side = (std::min)(std::int64_t{(std::numeric_limits<std::int32_t>::max)()},
                                              std::int64_t{(std::numeric_limits<Index>::max)() / 4});
    bool countable = size >= 1 && size <= longest_side;
    if (countable && size > longest) {
      auto const overlaps = checked_product(divide_up(size - overlap, longest - overlap), overlap);
      countable = overlaps && checked_sum(*overlaps, 2 * size);
    }
    if (!countable) {
      return Error(ErrorCode::invalid_argument, "a side of %lld pixels cannot be cut into tiles; expected 1 to %lld",
                   number(size), number(longest_side));
    }
    return {};
  }
};

/// Tiles along one side of an image: equally long, evenly spread. Lengths are multiples of 8, so of what networks on
/// single pixels are padded to, where the image is longer than a tile.
class TileAxis {
 public:
  TileAxis() = default;
  /// `count` tiles for `size` pixels. All but the last begin at multiples of `step`, which lengths are multiples of,
  /// too: 1, or a power of two that the overlap is a multiple of.
  constexpr TileAxis(Index size, Index count, Index step = 1, Index overlap = tile_overlap,
                     Index margin = tile_margin) noexcept
      : size_(size),
        count_(count),
        step_(step),
        overlap_(overlap),
        margin_(margin),
        length_((std::min)(size, round_up(divide_up(size + (count - 1) * overlap, count), std::max<Index>(step, 8)))) {}

  /// As few tiles as there can be of options that TileOptions::check accepts for this size and step.
  static constexpr TileAxis of_at_most(Index size, TileOptions const& tile, Index step = 1) noexcept {
    Index const count = size <= tile.longest ? 1 : divide_up(size - tile.overlap, tile.longest - tile.overlap);
    TileAxis axis(size, count, step, tile.overlap, tile.margin);
    while (axis.length_ > tile.longest && axis.length_ < size) axis = axis.with_one_more();  // lengths are rounded up
    return axis;
  }
  /// The same with the usual overlap and margin.
  static constexpr TileAxis of_at_most(Index size, Index longest, Index step = 1) noexcept {
    return of_at_most(size, TileOptions{.longest = longest}, step);
  }

  constexpr TileAxis with_one_more() const noexcept { return {size_, count_ + 1, step_, overlap_, margin_}; }

  constexpr Index size() const noexcept { return size_; }
  constexpr Index count() const noexcept { return count_; }
  constexpr Index length() const noexcept { return length_; }
  constexpr Index first(Index tile) const noexcept {
    if (tile + 1 == count_) return size_ - length_;
    // Rounded up: no tile begins further behind the one before than its length without the overlap, a multiple of the
    // step. Rounded down, that could be true of the last.
    return round_up(static_cast<Index>(std::int64_t{tile} * (size_ - length_) / (count_ - 1)), step_);
  }
  /// Behind the last pixel of a tile.
  constexpr Index end(Index tile) const noexcept { return first(tile) + length_; }
  /// The first pixel that a tile and its successors have no part in, or that the tile leaves to its successor.
  constexpr Index settled(Index tile) const noexcept { return tile + 1 == count_ ? size_ : first(tile + 1) + margin_; }

  /// The part of a tile in a pixel that it covers, 0 to 1. Over all tiles, a pixel's parts add up to 1.
  constexpr float weight(Index tile, Index pixel) const noexcept {
    float const entered = tile == 0 ? 1.0f : faded(tile - 1, pixel);
    float const left = tile + 1 == count_ ? 0.0f : faded(tile, pixel);
    return entered - left;
  }

 private:
  /// How far `tile` has faded into its successor: 0 before their overlap, 1 behind it.
  constexpr float faded(Index tile, Index pixel) const noexcept {
    Index const begin = first(tile + 1) + margin_, end = first(tile) + length_ - margin_;
    if (pixel < begin) return 0.0f;
    if (pixel >= end) return 1.0f;
    return (static_cast<float>(pixel - begin) + 0.5f) / static_cast<float>(end - begin);
  }

  Index size_ = 0, count_ = 1, step_ = 1, overlap_ = tile_overlap, margin_ = tile_margin, length_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

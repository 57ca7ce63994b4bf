// Cuts an image into overlapping tiles, and puts the results together without a seam. A network's result for a tile
// differs from its result for the same place in the whole image, as the network may average over its whole input. How
// an image is cut therefore follows from its size and the options alone, never from the memory that happens to be free.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <mirnet/base/integer.hpp>
#include <mirnet/base/result.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Pixels by which neighbouring tiles overlap. At its inner borders, a tile's outermost `tile_margin` pixels are left
/// out, as the network saw no neighbours there; across the rest of the overlap, one tile fades into the next.
inline constexpr Index tile_overlap = 32;
inline constexpr Index tile_margin = 8;
/// The longest side of a tile where none is named. Training sees patches, so smaller tiles denoise a little better and
/// take less memory, but do more of the work twice: 9 % for 6000 x 4000 pixels.
inline constexpr Index usual_tile = 768;
/// The shortest side of a tile of a photograph: an average over fewer pixels says little about the image.
inline constexpr Index shortest_tile = 256;
/// The least that a network sees of an image: the patches of the training had so many pixels in height and width. In an
/// image of a few pixels, most lie at a border, and attention averages over little.
inline constexpr Index smallest_input = 64;
/// Shorter sides are continued by their last pixel instead of being mirrored. A mirror image of a few pixels is a
/// pattern that repeats, of which a network cannot tell whether it is noise: it changed the mean of such pictures by up
/// to 6 of 255. Of longer ones, streaks would look like lines, and their noise would stay.
inline constexpr Index shortest_mirrored = 10;

/// The sides of tiles, in pixels.
struct TileOptions {
  Index longest = usual_tile;
  Index overlap = tile_overlap;
  Index margin = tile_margin;
  /// Where a side of the image is shorter, the network sees the image mirrored at its edges (below `shortest_mirrored`,
  /// continued by its last pixels) until it is as long, though no longer than `longest`.
  Index smallest = smallest_input;

  /// The least value of `longest` at which no three tiles in a row share a pixel, for tiles that begin at multiples of
  /// `step`.
  constexpr Index shortest(Index step = 1) const noexcept {
    return 5 * overlap / 2 - 3 * margin + 4 * std::max<Index>(step, 8);
  }

  /// Whether an image's side of `size` pixels can be cut into such tiles. Errors: invalid_argument, with what was
  /// expected.
  constexpr Result<void> check(Index size, Index step = 1) const noexcept {
    constexpr Index most_overlap = 4096;
    auto const number = [](Index value) { return static_cast<long long>(value); };
    if (margin < 0 || overlap > most_overlap || overlap <= 2 * (std::min)(margin, most_overlap)) {
      return Error(ErrorCode::invalid_argument,
                   "tiles overlap by %lld pixels with margins of %lld, expected more than two margins and at most %lld",
                   number(overlap), number(margin), number(most_overlap));
    }
    if (smallest < 1 || smallest > most_overlap) {
      return Error(ErrorCode::invalid_argument, "images are mirrored to %lld pixels, expected 1 to %lld",
                   number(smallest), number(most_overlap));
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
    // Together, the tiles have the pixels of the side, the overlaps, and the pixels by which lengths are rounded up.
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

/// Tiles along one side of an image: equally long, evenly spread. Where the image is longer than a tile, lengths are
/// multiples of 8, to which MIRNet on single pixels would pad them.
class TileAxis {
 public:
  TileAxis() = default;
  /// `count` tiles for `size` pixels. All but the last begin at multiples of `step`, and lengths are multiples of it,
  /// too. `step` is 1 or a power of two that divides the overlap.
  constexpr TileAxis(Index size, Index count, Index step = 1, Index overlap = tile_overlap, Index margin = tile_margin,
                     Index smallest = smallest_input) noexcept
      : size_(size),
        count_(count),
        step_(step),
        overlap_(overlap),
        margin_(margin),
        smallest_(smallest),
        length_((std::min)(size, round_up(divide_up(size + (count - 1) * overlap, count), std::max<Index>(step, 8)))) {}

  /// The fewest tiles that `tile` allows. TileOptions::check accepts `tile` for this size and step.
  static constexpr TileAxis of_at_most(Index size, TileOptions const& tile, Index step = 1) noexcept {
    Index const count = size <= tile.longest ? 1 : divide_up(size - tile.overlap, tile.longest - tile.overlap);
    TileAxis axis(size, count, step, tile.overlap, tile.margin, (std::min)(tile.smallest, tile.longest));
    while (axis.length_ > tile.longest && axis.length_ < size) axis = axis.with_one_more();  // lengths are rounded up
    return axis;
  }
  /// The same with the default overlap and margin.
  static constexpr TileAxis of_at_most(Index size, Index longest, Index step = 1) noexcept {
    return of_at_most(size, TileOptions{.longest = longest}, step);
  }

  constexpr TileAxis with_one_more() const noexcept { return {size_, count_ + 1, step_, overlap_, margin_, smallest_}; }

  constexpr Index size() const noexcept { return size_; }
  constexpr Index count() const noexcept { return count_; }
  constexpr Index length() const noexcept { return length_; }
  /// What the network sees of a tile: its length, or more where the image is mirrored.
  constexpr Index seen() const noexcept { return count_ == 1 ? (std::max)(length_, smallest_) : length_; }
  /// How much of that lies before the tile's first pixel.
  constexpr Index before() const noexcept { return (seen() - length_) / 2; }
  constexpr Index first(Index tile) const noexcept {
    if (tile + 1 == count_) return size_ - length_;
    // Rounded up, so that each tile begins at most its length less the overlap, a multiple of the step, after the one
    // before. If this were rounded down, the last tile could begin later than that.
    return round_up(static_cast<Index>(std::int64_t{tile} * (size_ - length_) / (count_ - 1)), step_);
  }
  /// One past the last pixel of a tile.
  constexpr Index end(Index tile) const noexcept { return first(tile) + length_; }
  /// The end of the pixels that are final after this tile: later tiles contribute to none before it.
  constexpr Index settled(Index tile) const noexcept { return tile + 1 == count_ ? size_ : first(tile + 1) + margin_; }

  /// The weight of a tile in a pixel that it covers, 0 to 1. Over all tiles, a pixel's weights add up to 1.
  constexpr float weight(Index tile, Index pixel) const noexcept {
    float const entered = tile == 0 ? 1.0f : faded(tile - 1, pixel);
    float const left = tile + 1 == count_ ? 0.0f : faded(tile, pixel);
    return entered - left;
  }

 private:
  /// How far `tile` has faded into its successor: 0 before their overlap, 1 after it.
  constexpr float faded(Index tile, Index pixel) const noexcept {
    Index const begin = first(tile + 1) + margin_, end = first(tile) + length_ - margin_;
    if (pixel < begin) return 0.0f;
    if (pixel >= end) return 1.0f;
    return (static_cast<float>(pixel - begin) + 0.5f) / static_cast<float>(end - begin);
  }

  Index size_ = 0, count_ = 1, step_ = 1, overlap_ = tile_overlap, margin_ = tile_margin;
  Index smallest_ = smallest_input, length_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

// Layers that work on a few rows of a map at a time: what lies between them stays in the cache and takes little memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Rows of a map, which may exist only in part: row `first_row` of a map of `map_height` rows is the first of `rows`.
template <class T>
struct Band {
  View<T> rows;
  Index first_row = 0;
  Index map_height = 0;

  constexpr Band(View<T> band, Index first, Index height) noexcept : rows(band), first_row(first), map_height(height) {}
  constexpr Band(View<T> whole) noexcept : Band(whole, 0, whole.height()) {}
  /// All of a map of which only the shape is known.
  explicit constexpr Band(Shape map) noexcept : Band(View<T>(nullptr, map)) {}
  template <class U>
    requires std::is_same_v<U const, T>
  constexpr Band(Band<U> const& other) noexcept : Band(other.rows, other.first_row, other.map_height) {}

  constexpr Shape map_shape() const noexcept { return {map_height, rows.width(), rows.channels()}; }
};

/// Rows [first, first + count) of a map that is there.
template <class T>
constexpr Band<T> rows_of(View<T> map, Index first, Index count) noexcept {
  return {rows(map, first, count), first, map.height()};
}

/// How many rows of a map make a band: few enough that the maps between two layers stay in the last cache, enough for
/// many workers, and no number that depends on the workers, as results may not. A multiple of 8, so of the tiles of
/// every fast algorithm.
constexpr Index rows_a_band(Index width) noexcept {
  constexpr Index pixels = 8192;
  return round_up(std::max<Index>(pixels / width, 1), 8);
}

/// A map that is never held whole: its rows are computed from top to bottom, and forgotten when nobody needs them.
template <class T>
class RollingRows {
 public:
  /// Memory for at most `capacity` rows of a map of this shape at a time.
  constexpr RollingRows(Context<T>& context, Shape map, Index capacity) noexcept
      : map_(map), rows_(context.arena, {(std::min)(capacity, map.height), map.width, map.channels}) {}

  /// Forgets the rows before `keep` and makes room for those up to `end`: the caller writes what is returned.
  constexpr Band<T> append(Context<T> const& context, Index keep, Index end) noexcept {
    Index const row = map_.width * rows_.view().pitch(), kept = end_ - keep;
    MIRNET_ASSERT(keep >= first_ && keep <= end_ && end >= end_ && end <= map_.height &&
                  end - keep <= rows_.shape().height);
    T* const data = rows_.view().data();
    context.once(
        [&] { std::memmove(data, data + (keep - first_) * row, static_cast<std::size_t>(kept * row) * sizeof(T)); });
    Band<T> const added(View<T>(advance(data, kept * row), {end - end_, map_.width, map_.channels}), end_, map_.height);
    first_ = keep;
    end_ = end;
    return added;
  }

  /// In a rehearsal: goes on `count` rows further down, as if those before had been computed.
  constexpr void skip(Index count) noexcept {
    first_ += count;
    end_ += count;
  }

  /// Those that are there.
  constexpr Band<T const> rows() const noexcept {
    return {View<T const>(rows_.view().data(), {end_ - first_, map_.width, map_.channels}), first_, map_.height};
  }

 private:
  Shape map_;
  ArenaMap<T> rows_;
  Index first_ = 0, end_ = 0;
};

/// body(first, last) for bands of `band` rows that make up [0, height), from top to bottom; `rolling` are the maps that
/// it rolls through.
///
/// A rehearsal goes through the first two bands and the last. Those between ask for the same memory and arithmetic as
/// the second, so that a plan takes as long for any height.
template <class T, class Body, class... Rows>
constexpr void each_band(Context<T>& context, Index height, Index band, Body&& body, Rows&... rolling) noexcept {
  Index const left_out = context.arena.measuring() ? divide_up(height, band) - 3 : 0;
  for (Index first = 0; first < height; first += band) {
    std::uint64_t const macs = context.macs;
    bool const stands_for_others = first == band && left_out > 0;
    context.pieces = stands_for_others ? left_out + 1 : 1;
    body(first, (std::min)(first + band, height));
    context.pieces = 1;
    if (stands_for_others) {
      context.macs += (context.macs - macs) * static_cast<std::uint64_t>(left_out);
      (rolling.skip(left_out * band), ...);
      first += left_out * band;
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI

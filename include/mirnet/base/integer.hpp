// Sizes and the arithmetic on them that must not wrap.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>

namespace mirnet::inline v0 {

/// Heights, widths, channel counts and distances between elements.
using Index = std::ptrdiff_t;

constexpr Index divide_up(Index value, Index divisor) noexcept { return (value + (divisor - 1)) / divisor; }
constexpr Index round_up(Index value, Index multiple) noexcept { return divide_up(value, multiple) * multiple; }

/// a * b for a, b >= 0, or nothing where an Index cannot hold it.
constexpr std::optional<Index> checked_product(Index a, Index b) noexcept {
  if (a != 0 && b > std::numeric_limits<Index>::max() / a) return std::nullopt;
  return a * b;
}

/// a + b for a, b >= 0, or nothing where an Index cannot hold it.
constexpr std::optional<Index> checked_sum(Index a, Index b) noexcept {
  if (b > std::numeric_limits<Index>::max() - a) return std::nullopt;
  return a + b;
}

}  // namespace mirnet::inline v0

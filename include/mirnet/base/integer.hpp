// Sizes and the arithmetic on them that must not wrap.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Heights, widths, channel counts and distances between elements.
using Index = std::ptrdiff_t;

// Inlined whatever the build type: kernels of several instruction sets in one program may share no function.
MIRNET_ALWAYS_INLINE constexpr Index divide_up(Index value, Index divisor) noexcept {
  return (value + (divisor - 1)) / divisor;
}
MIRNET_ALWAYS_INLINE constexpr Index round_up(Index value, Index multiple) noexcept {
  return divide_up(value, multiple) * multiple;
}

/// a * b for a, b >= 0, or nothing where an Index cannot hold it.
constexpr std::optional<Index> checked_product(Index a, Index b) noexcept {
  if (a != 0 && b > (std::numeric_limits<Index>::max)() / a) return std::nullopt;
  return a * b;
}

/// a + b for a, b >= 0, or nothing where an Index cannot hold it.
constexpr std::optional<Index> checked_sum(Index a, Index b) noexcept {
  if (b > (std::numeric_limits<Index>::max)() - a) return std::nullopt;
  return a + b;
}

}  // namespace mirnet::inline MIRNET_ABI

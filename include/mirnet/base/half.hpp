// The 16-bit floating-point formats: the storage types of weights, bfloat16 as a type of maps and weights, and float16
// as a type of maps that are only converted.
#pragma once

#include <cstdint>
#include <type_traits>

#include <mirnet/base/bit_cast.hpp>
#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// bfloat16: the upper half of a float.
MIRNET_ALWAYS_INLINE constexpr float from_bfloat16(std::uint16_t bits) noexcept {
  return bit_cast<float>(std::uint32_t{bits} << 16);
}

/// The nearest bfloat16, ties to even; a NaN stays one.
MIRNET_ALWAYS_INLINE constexpr std::uint16_t to_bfloat16(float value) noexcept {
  std::uint32_t const bits = bit_cast<std::uint32_t>(value);
  bool const nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  std::uint32_t const rounded = nan ? bits | 0x00400000u : bits + 0x7FFFu + (bits >> 16 & 1u);
  return static_cast<std::uint16_t>(rounded >> 16);
}

/// A number that is stored as bfloat16; arithmetic happens in float.
struct bfloat16 {
  std::uint16_t bits = 0;

  constexpr bfloat16() = default;
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  MIRNET_ALWAYS_INLINE constexpr explicit bfloat16(Number value) noexcept
      : bits(to_bfloat16(static_cast<float>(value))) {}
  MIRNET_ALWAYS_INLINE constexpr operator float() const noexcept { return from_bfloat16(bits); }
};

/// IEEE 754 binary16, exactly.
MIRNET_ALWAYS_INLINE constexpr float from_half(std::uint16_t bits) noexcept {
  std::uint32_t const sign = std::uint32_t{bits & 0x8000u} << 16;
  std::uint32_t const exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  // Zero and the numbers below 2^-14 are what others have beyond 2^-14. Nothing is computed for some alone, so loops
  // have no branches.
  bool const small = exponent == 0;
  std::uint32_t const wide_exponent = exponent == 31 ? 255 : exponent + (small ? 1 : 0) + (127 - 15);
  std::uint32_t const beyond = small ? (127u - 14) << 23 : 0;
  float const magnitude = bit_cast<float>(wide_exponent << 23 | fraction << 13) - bit_cast<float>(beyond);
  return bit_cast<float>(bit_cast<std::uint32_t>(magnitude) | sign);
}

/// Rounds to the nearest IEEE 754 binary16, ties to even. Magnitudes from 65520 on become infinity; NaN stays NaN.
MIRNET_ALWAYS_INLINE constexpr std::uint16_t to_half(float value) noexcept {
  std::uint32_t const bits = bit_cast<std::uint32_t>(value), magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t const sign = bits >> 16 & 0x8000u;
  std::uint32_t half = 0x7C00u;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | (magnitude >> 13 & 0x3FFu);
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is a multiple of 2^-24: adding 0.5 rounds to one.
    half = bit_cast<std::uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3F000000u;
  } else if (magnitude < 0x477FF000u) {
    half = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

/// A number that is stored as IEEE 754 binary16; arithmetic happens in float. There are no kernels for it.
struct float16 {
  std::uint16_t bits = 0;

  constexpr float16() = default;
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  MIRNET_ALWAYS_INLINE constexpr explicit float16(Number value) noexcept : bits(to_half(static_cast<float>(value))) {}
  MIRNET_ALWAYS_INLINE constexpr operator float() const noexcept { return from_half(bits); }
};

/// The type of sums over values of type T, and of the pixels of images.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>, float, T>;

}  // namespace mirnet::inline MIRNET_ABI

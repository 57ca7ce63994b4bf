// The 16-bit floating-point formats that weights can be stored in, widened.
#pragma once

#include <bit>
#include <cstdint>

namespace mirnet::inline v0 {

/// bfloat16: the upper half of a float.
inline float from_bfloat16(std::uint16_t bits) noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// IEEE 754 binary16, exactly.
inline float from_half(std::uint16_t bits) noexcept {
  std::uint32_t const sign = std::uint32_t{bits & 0x8000u} << 16;
  std::uint32_t const exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  if (exponent == 0) {
    // Zero and the numbers below 2^-14: a whole number of 2^-24.
    float const magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  std::uint32_t const wide_exponent = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

}  // namespace mirnet::inline v0

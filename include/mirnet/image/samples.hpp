// The samples of photographs as files hold them: integers of 8 or 16 bits, or floats; and the scale on which black is 0
// and white is 1.
#pragma once

#include <cstdint>
#include <type_traits>

#include <mirnet/base/integer.hpp>

namespace mirnet::inline MIRNET_ABI {

enum class SampleType : std::uint8_t {
  u8,   ///< 0 to 255
  u16,  ///< 0 to 65535, in the machine's byte order
  f32,  ///< black is 0 and white is 1; values outside are kept
};

constexpr Index sample_bytes(SampleType type) noexcept {
  return type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
}

template <class T>
constexpr SampleType sample_type() noexcept {
  using Sample = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Sample, std::uint8_t>) return SampleType::u8;
  if constexpr (std::is_same_v<Sample, std::uint16_t>) return SampleType::u16;
  if constexpr (std::is_same_v<Sample, float>) return SampleType::f32;
}

/// White as a sample of type T.
template <class T>
inline constexpr float white = std::is_same_v<T, float>          ? 1.0f
                               : std::is_same_v<T, std::uint8_t> ? 255.0f
                                                                 : 65535.0f;

/// A sample on the scale where black is 0 and white is 1. It is divided, as PyTorch programs do, not multiplied by a
/// reciprocal, which differs in the last bit.
template <class T>
constexpr float to_unit(T sample) noexcept {
  return static_cast<float>(sample) / white<T>;
}

/// The nearest sample to a value on that scale. Integers are clamped, and NaN becomes 0; floats are kept as they are.
template <class T>
constexpr T from_unit(float value) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    float const scaled = value * white<T>;
    float const clamped = scaled > 0.0f ? (scaled < white<T> ? scaled : white<T>) : 0.0f;
    return static_cast<T>(clamped + 0.5f);
  }
}

}  // namespace mirnet::inline MIRNET_ABI

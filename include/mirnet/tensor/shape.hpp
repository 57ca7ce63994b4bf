// The shape of a feature map and how it lies in memory: channels last, every pixel starting a line of 16 channels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <mirnet/base/integer.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Maps and packed weights start at multiples of this, on every instruction set: memory laid out by one
/// translation unit is read by others that were compiled with other flags.
inline constexpr Index alignment_bytes = 64;

/// Whether an address is a multiple of so many bytes. True in constant expressions, which have no addresses.
constexpr bool starts_a_line(void const* data, Index bytes = alignment_bytes) noexcept {
  return std::is_constant_evaluated() ||
         reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(bytes) == 0;
}

/// How many channels of a map share a line: 16, which is what the kernels compute at a time, but no more than have room
/// in 64 bytes. Pixel pitches are multiples of it.
template <class T>
inline constexpr Index channels_per_line = std::min<Index>(16, alignment_bytes / static_cast<Index>(sizeof(T)));

/// A line's bytes: 64, or 32 for bfloat16. Pixels of a map start at multiples of it.
template <class T>
inline constexpr Index line_bytes = channels_per_line<T>* static_cast<Index>(sizeof(T));

/// How many output channels share a line of packed weights, which has 64 bytes for every type: whole lines of a map.
template <class T>
inline constexpr Index packed_line = alignment_bytes / static_cast<Index>(sizeof(T));

/// Elements from one pixel to the next for a map of `channels` channels.
template <class T>
constexpr Index pixel_pitch(Index channels) noexcept {
  return round_up(channels, channels_per_line<T>);
}

/// Height, width and channels of a feature map.
struct Shape {
  Index height = 0;
  Index width = 0;
  Index channels = 0;

  constexpr Index pixels() const noexcept { return height * width; }
  friend constexpr bool operator==(Shape const&, Shape const&) = default;
};

/// Bytes of a map of this shape, its channel padding included; nothing where a size is negative or an Index
/// cannot hold the number.
template <class T>
constexpr std::optional<Index> map_bytes(Shape const& shape) noexcept {
  if (shape.height < 0 || shape.width < 0 || shape.channels < 0) return std::nullopt;
  auto const padded = checked_sum(shape.channels, channels_per_line<T> - 1);
  auto const pixels = checked_product(shape.height, shape.width);
  if (!padded || !pixels) return std::nullopt;
  auto const elements = checked_product(*pixels, pixel_pitch<T>(shape.channels));
  if (!elements) return std::nullopt;
  return checked_product(*elements, static_cast<Index>(sizeof(T)));
}

}  // namespace mirnet::inline MIRNET_ABI

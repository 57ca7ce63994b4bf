// The list of colours in a BMP or TGA file, whose pixels are then numbers in that list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mirnet/base/result.hpp>

namespace mirnet::inline MIRNET_ABI::detail {

/// Red, green, blue and alpha.
using Colour = std::array<std::uint8_t, 4>;

/// Colours of so many bytes each; `colour_of` makes a Colour of a pointer to the first of them.
template <class ColourOf>
class Palette {
 public:
  Palette(std::span<std::byte const> bytes, std::size_t colour_bytes, ColourOf colour_of) noexcept
      : bytes_(bytes), colour_bytes_(colour_bytes), colour_of_(colour_of) {}

  std::size_t size() const noexcept { return bytes_.size() / colour_bytes_; }
  Colour operator[](std::size_t number) const noexcept { return colour_of_(bytes_.data() + number * colour_bytes_); }

  /// Whether there is a colour at all, and none but grays without transparency.
  bool is_gray() const noexcept {
    for (std::size_t i = 0; i < size(); ++i) {
      auto const [red, green, blue, alpha] = (*this)[i];
      if (red != green || green != blue || alpha != 255) return false;
    }
    return size() != 0;
  }

 private:
  std::span<std::byte const> bytes_;
  std::size_t colour_bytes_;
  ColourOf colour_of_;
};

inline Error no_such_colour(char const* name, std::size_t number, std::size_t first, std::size_t size) noexcept {
  return Error(ErrorCode::input, "%s: a pixel has colour number %zu, and the file has %zu colours from number %zu on",
               name, number, size, first);
}

}  // namespace mirnet::inline MIRNET_ABI::detail

// Sizes of pictures as users write them.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

#include <mirnet/base/integer.hpp>

namespace measure {

struct Size {
  mirnet::Index width, height;
};

/// "640x480", if it is one: width and height from 1 on.
inline std::optional<Size> parse_size(std::string_view text) {
  Size size{};
  char const* const end = text.data() + text.size();
  auto const across = std::from_chars(text.data(), end, size.width);
  if (across.ec != std::errc() || across.ptr == end || *across.ptr != 'x') return {};
  auto const down = std::from_chars(across.ptr + 1, end, size.height);
  if (down.ec != std::errc() || down.ptr != end || size.width < 1 || size.height < 1) return {};
  return size;
}

}  // namespace measure

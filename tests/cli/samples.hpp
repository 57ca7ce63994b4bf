// Small pictures and bytes for the tests of the program's codecs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <mirnet/image/image.hpp>

#include "codecs/metadata.hpp"

namespace samples {

/// Samples of any value.
inline mirnet::Image noise(mirnet::Index width, mirnet::Index height, mirnet::Index channels, mirnet::SampleType type) {
  auto image = mirnet::Image::create(width, height, channels, type).value();
  std::uint32_t state = 1;
  for (auto& byte : image.bytes()) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(state >> 24);
  }
  return image;
}

inline cli::Bytes bytes_of(std::string_view text) {
  auto const bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace samples

// Small pictures with known samples for the tests of files and figures.
#pragma once

#include <algorithm>
#include <vector>

#include <mirnet/image/image.hpp>
#include <mirnet/io/bytes.hpp>

namespace pictures {

using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;

/// 0 to 255, different in every pixel and channel.
inline Index pattern(Index x, Index y, Index c) { return (x * 3 + y * 5 + c * 50 + x * y % 31) % 256; }

/// The pattern with something like noise.
inline Index noisy_pattern(Index x, Index y, Index c) {
  return std::clamp<Index>(pattern(x, y, c) + (x * 31 + y * 17 + c * 7) % 41 - 20, 0, 255);
}

/// A picture of a pattern; 16-bit samples are 257 times as large, floats a 255th.
inline Image draw(Index width, Index height, Index channels, SampleType type = SampleType::u8,
                  Index (*what)(Index, Index, Index) = pattern) {
  auto image = Image::create(width, height, channels, type).value();
  image.visit([&](auto samples) {
    using T = typename decltype(samples)::value_type;
    for (Index i = 0; i < static_cast<Index>(samples.size()); ++i) {
      Index const x = i / channels % width, y = i / channels / width;
      samples[static_cast<std::size_t>(i)] =
          mirnet::from_unit<T>(static_cast<float>(what(x, y, i % channels)) / 255.0f);
    }
  });
  return image;
}

inline bool equal(Image const& a, Image const& b) {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels() && a.type() == b.type() &&
         std::ranges::equal(a.bytes(), b.bytes());
}

/// Bytes that tests may change.
using File = std::vector<std::byte>;

inline File file_of(std::span<std::byte const> bytes) { return {bytes.begin(), bytes.end()}; }
inline File file_of(mirnet::Result<mirnet::ByteBuffer> encoded) { return file_of(encoded.value().bytes()); }
inline File file_of(std::string_view text) { return file_of(std::as_bytes(std::span(text))); }

}  // namespace pictures

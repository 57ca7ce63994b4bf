// What decoders share that turn what a library hands over into an image: parts of it, and alpha that was multiplied in;
// and colour and EXIF as the containers of video formats have them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "codec.hpp"

namespace cli {

inline mirnet::Error no_memory_for_decoding(char const* name) {
  return {mirnet::ErrorCode::memory, "%s: no memory is left for decoding", name};
}

/// A part that lies inside of the image. Errors: memory.
inline mirnet::Result<mirnet::Image> crop_to(mirnet::Image const& image, mirnet::Index x, mirnet::Index y,
                                             mirnet::Index width, mirnet::Index height) {
  MIRNET_ASSERT(x >= 0 && y >= 0 && width >= 1 && height >= 1);
  MIRNET_ASSERT(width <= image.width() - x && height <= image.height() - y);
  auto part = mirnet::Image::create(width, height, image.channels(), image.type());
  if (!part) return part;
  auto const pixel = image.channels() * mirnet::sample_bytes(image.type());
  for (mirnet::Index row = 0; row < height; ++row) {
    std::memcpy(part->bytes().data() + row * width * pixel,
                image.bytes().data() + ((y + row) * image.width() + x) * pixel,
                static_cast<std::size_t>(width * pixel));
  }
  return part;
}

/// The first of three equal colours, and alpha if there is one. Errors: memory.
inline mirnet::Result<mirnet::Image> first_colour(mirnet::Image const& image) {
  MIRNET_ASSERT(image.colours() == 3);
  auto gray = mirnet::Image::create(image.width(), image.height(), image.has_alpha() ? 2 : 1, image.type());
  if (!gray) return gray;
  auto const sample = static_cast<std::size_t>(mirnet::sample_bytes(image.type()));
  std::byte* to = gray->bytes().data();
  auto const step = sample * static_cast<std::size_t>(image.channels());
  for (auto from = image.bytes(); !from.empty(); from = from.subspan(step)) {
    std::memcpy(to, from.data(), sample);
    to += sample;
    if (!image.has_alpha()) continue;
    std::memcpy(to, from.data() + 3 * sample, sample);
    to += sample;
  }
  return gray;
}

/// Colours that alpha was multiplied into become those of an opaque pixel; under no alpha they are black.
template <class T>
void divide_by_alpha(std::span<T> samples, std::size_t channels) {
  constexpr std::uint32_t opaque = (std::numeric_limits<T>::max)();
  for (std::size_t at = 0; at + channels <= samples.size(); at += channels) {
    std::uint32_t const alpha = samples[at + channels - 1];
    if (alpha == opaque) continue;
    for (std::size_t c = 0; c + 1 < channels; ++c) {
      auto const colour = alpha == 0 ? 0 : (samples[at + c] * std::uint64_t{opaque} + alpha / 2) / alpha;
      samples[at + c] = static_cast<T>(std::min<std::uint64_t>(colour, opaque));
    }
  }
}

/// EXIF data without what stands before its TIFF structure in a JPEG, which some writers put into other files, too.
inline Bytes without_exif_mark(Bytes exif) {
  if (mirnet::detail::starts_with(exif, exif_mark)) {
    exif.erase(exif.begin(), exif.begin() + static_cast<std::ptrdiff_t>(exif_mark.size()));
  }
  return exif;
}

/// What ITU-T H.273 calls a picture's colours, for RGB in full range; nothing where a viewer takes them for sRGB, as
/// it does with the primaries and the curve of television.
inline std::array<std::uint8_t, 4> cicp_unless_srgb(unsigned primaries, unsigned transfer) {
  constexpr unsigned unspecified = 2, bt709 = 1, srgb = 13;
  if (primaries == 0 || primaries == unspecified || primaries > 255) primaries = bt709;
  if (transfer == 0 || transfer == unspecified || transfer > 255) transfer = srgb;
  constexpr unsigned like_bt709[] = {bt709, 6, 14, 15};
  bool const curve =
      transfer == srgb || std::find(std::begin(like_bt709), std::end(like_bt709), transfer) != std::end(like_bt709);
  if (primaries == bt709 && curve) return {};
  return {static_cast<std::uint8_t>(primaries), static_cast<std::uint8_t>(transfer), 0, 1};
}

}  // namespace cli

// What decoders share that turn what a library hands over into an image: parts of it, and alpha that was multiplied in;
// and colour and EXIF as the containers of video formats have them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "codec.hpp"

namespace cli {

/// Whether this much memory can be had at once, for libraries that abort where there is none, or call the file damaged.
inline bool has_room(mirnet::Index pixels, mirnet::Index bytes_a_pixel) {
  return mirnet::ByteBuffer::create(pixels * bytes_a_pixel).ok();
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

/// The image without an alpha channel that is opaque everywhere: some writers add one, and a JPEG has none. Errors:
/// memory.
inline mirnet::Result<mirnet::Image> without_opaque_alpha(mirnet::Image image) {
  if (!image.has_alpha()) return image;
  auto const sample = static_cast<std::size_t>(mirnet::sample_bytes(image.type()));
  auto const pixel = sample * static_cast<std::size_t>(image.channels());
  std::span<std::byte const> const bytes = image.bytes();
  for (std::size_t at = pixel - sample; at < bytes.size(); at += pixel) {
    auto const alpha = bytes.subspan(at, sample);
    if (std::any_of(alpha.begin(), alpha.end(), [](std::byte b) { return b != std::byte{0xFF}; })) return image;
  }
  auto opaque = mirnet::Image::create(image.width(), image.height(), image.channels() - 1, image.type());
  if (!opaque) return opaque;
  auto* to = opaque->bytes().data();
  for (std::size_t at = 0; at < bytes.size(); at += pixel, to += pixel - sample) {
    std::memcpy(to, bytes.data() + at, pixel - sample);
  }
  return opaque;
}

/// Colours that alpha was multiplied into become those of an opaque pixel; under no alpha they are black.
inline void divide_by_alpha(mirnet::Image& image) {
  MIRNET_ASSERT(image.has_alpha() && image.type() != mirnet::SampleType::f32);
  auto const channels = static_cast<std::size_t>(image.channels());
  auto const divide = [=]<class T>(std::span<T> samples) {
    auto const opaque = static_cast<std::uint32_t>((std::numeric_limits<T>::max)());
    for (std::size_t at = 0; at < samples.size(); at += channels) {
      auto const alpha = static_cast<std::uint32_t>(samples[at + channels - 1]);
      for (std::size_t c = 0; c + 1 < channels; ++c) {
        auto const colour = static_cast<std::uint64_t>(samples[at + c]);
        auto const full = alpha == 0 ? 0 : (colour * opaque + alpha / 2) / alpha;
        samples[at + c] = static_cast<T>(std::min<std::uint64_t>(full, opaque));
      }
    }
  };
  if (image.type() == mirnet::SampleType::u8) {
    divide(image.samples<std::uint8_t>());
  } else {
    divide(image.samples<std::uint16_t>());
  }
}

/// EXIF data without what stands before its TIFF structure in a JPEG, which some writers put into other files, too.
inline Bytes without_exif_mark(Bytes exif) {
  if (mirnet::detail::starts_with(exif, exif_mark)) {
    exif.erase(exif.begin(), exif.begin() + static_cast<std::ptrdiff_t>(exif_mark.size()));
  }
  return exif;
}

/// EXIF data from a box of such a file, where the number of bytes that stand before the TIFF structure comes first
/// (ISO/IEC 23008-12, A.2.1).
inline Bytes exif_of_box(Bytes box) {
  if (box.size() < 4) return {};
  auto const before = std::min<std::size_t>(mirnet::load_big<std::uint32_t>(box.data()), box.size() - 4);
  box.erase(box.begin(), box.begin() + static_cast<std::ptrdiff_t>(4 + before));
  return without_exif_mark(std::move(box));
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

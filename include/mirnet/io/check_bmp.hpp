// What a BMP file declares, and whether its pixels are all there: stb_image reads missing ones as zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include <mirnet/io/image_info.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Headers of 40, 108 and 124 bytes without compression; the older and rarer ones are decoded wrongly by stb_image.
inline Result<ImageInfo> check_bmp(std::span<std::byte const> file, char const* name,
                                   ReadOptions const& options) noexcept {
  constexpr std::size_t shortest = 14 + 40;
  if (file.size() < shortest) return detail::truncated(name, "BMP", file, "the end of its header");
  auto const pixels_at = detail::little_at<std::uint32_t>(file, 10);
  auto const header = detail::little_at<std::uint32_t>(file, 14);
  if (header != 40 && header != 108 && header != 124) {
    return Error(ErrorCode::input, "%s: a BMP header of %lld bytes; expected 40, 108 or 124", name,
                 static_cast<long long>(header));
  }
  auto const width = static_cast<std::int32_t>(load_little<std::uint32_t>(file.data() + 18));
  auto const height =
      static_cast<std::int32_t>(load_little<std::uint32_t>(file.data() + 22));  // negative: top to bottom
  auto const info = detail::check_size(name, "BMP", width, height < 0 ? -std::int64_t{height} : height, options);
  if (!info) return info;

  auto const bits = detail::little_at<std::uint16_t>(file, 28);
  auto const compression = detail::little_at<std::uint32_t>(file, 30);
  bool const masks = compression == 3 && (bits == 16 || bits == 32);
  bool const depth = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  if (!depth || (compression != 0 && !masks)) {
    return Error(ErrorCode::input,
                 "%s: a BMP with %lld bits a pixel and compression %lld; expected 1, 4, 8, 16, 24 or 32 "
                 "bits without compression",
                 name, static_cast<long long>(bits), static_cast<long long>(compression));
  }
  auto const header_end = 14 + header + (masks && header == 40 ? 12 : 0);
  if (pixels_at < header_end || pixels_at > static_cast<std::int64_t>(file.size())) {
    return Error(ErrorCode::input, "%s: damaged BMP file, its pixels start at byte %lld of %zu", name,
                 static_cast<long long>(pixels_at), file.size());
  }
  auto const row_bits = static_cast<std::uint64_t>(info->width) * static_cast<std::uint64_t>(bits);
  auto const raster = (row_bits + 31) / 32 * 4 * static_cast<std::uint64_t>(info->height);
  if (raster > file.size() - static_cast<std::size_t>(pixels_at)) {
    return detail::truncated(name, "BMP", file, "the end of its pixels");
  }
  return info;
}

}  // namespace mirnet::inline MIRNET_ABI

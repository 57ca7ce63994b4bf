// What a TGA file declares, and whether its pixels are all there: stb_image reads missing ones as zeros.
#pragma once

#include <cstdint>
#include <span>

#include <mirnet/io/image_info.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// The fixed start of a TGA file.
struct TgaHeader {
  explicit TgaHeader(Bytes file) noexcept
      : id_length(std::to_integer<int>(file[0])),
        kind(std::to_integer<int>(file[2]) & 7),
        run_lengths((file[2] & std::byte{8}) != std::byte{0}),
        map_start(load_little<std::uint16_t>(file.data() + 3)),
        map_length(load_little<std::uint16_t>(file.data() + 5)),
        map_bits(std::to_integer<int>(file[7])),
        width(load_little<std::uint16_t>(file.data() + 12)),
        height(load_little<std::uint16_t>(file.data() + 14)),
        bits(std::to_integer<int>(file[16])),
        descriptor(std::to_integer<int>(file[17])) {}

  static constexpr std::size_t size = 18;
  static constexpr int indexed = 1, colour = 2;  // kinds; the third is gray

  int id_length, kind;
  bool run_lengths;
  Index map_start, map_length;
  int map_bits;
  Index width, height;
  int bits, descriptor;
};

constexpr bool is_colour_depth(int bits) noexcept { return bits == 15 || bits == 16 || bits == 24 || bits == 32; }

/// TGA has no magic number: a header is one if its kind, its colour map and its depth fit together.
inline bool is_tga(Bytes file) noexcept {
  if (file.size() < 3 || (file[2] & std::byte{0xF4}) != std::byte{0}) return false;
  auto const map = std::to_integer<int>(file[1]);
  auto const kind = std::to_integer<int>(file[2]) & 7;
  if (map != (kind == TgaHeader::indexed ? 1 : 0) || kind == 0) return false;
  if (file.size() < TgaHeader::size) return true;  // as far as it goes; a truncated file deserves that name
  TgaHeader const header(file);
  switch (header.kind) {
    case TgaHeader::indexed:
      return (header.bits == 8 || header.bits == 16) && (header.map_bits == 8 || is_colour_depth(header.map_bits));
    case TgaHeader::colour: return is_colour_depth(header.bits);
    default: return header.bits == 8 || header.bits == 16;
  }
}

/// Whether the run-length packets of that many pixels are all there.
inline bool has_run_lengths(Bytes packets, Index pixels, std::size_t pixel_bytes) noexcept {
  std::size_t at = 0;
  while (pixels > 0 && at < packets.size()) {
    auto const packet = std::to_integer<std::size_t>(packets[at]);
    auto const count = (packet & 127) + 1;
    at += 1 + ((packet & 128) != 0 ? 1 : count) * pixel_bytes;
    pixels -= static_cast<Index>(count);
  }
  return pixels <= 0 && at <= packets.size();
}

}  // namespace detail

/// Colour-mapped, colour and gray, plain and run-length encoded.
inline Result<ImageInfo> check_tga(std::span<std::byte const> file, char const* name,
                                   ReadOptions const& options) noexcept {
  using detail::TgaHeader;
  if (file.size() < TgaHeader::size) return detail::truncated(name, "TGA", file, "the end of its header");
  TgaHeader const header(file);
  auto const size = detail::check_size(name, "TGA", header.width, header.height, options);
  if (!size) return size.error();
  if ((header.descriptor & 0xD0) != 0) {
    return Error(ErrorCode::input, "%s: a TGA with pixels right to left or interleaved rows; expected left to right",
                 name);
  }
  bool const indexed = header.kind == TgaHeader::indexed;
  if (indexed && (header.map_start != 0 || header.map_length == 0)) {
    return Error(ErrorCode::input, "%s: a TGA with %lld colours from number %lld; expected 1 or more from number 0",
                 name, static_cast<long long>(header.map_length), static_cast<long long>(header.map_start));
  }
  auto const map_bytes = indexed ? static_cast<std::size_t>(header.map_length * divide_up(header.map_bits, 8)) : 0;
  auto const start = TgaHeader::size + static_cast<std::size_t>(header.id_length) + map_bytes;
  if (start > file.size()) return detail::truncated(name, "TGA", file, "its pixels");

  auto const pixel_bytes = static_cast<std::size_t>(divide_up(header.bits, 8));
  auto const pixels = header.width * header.height;
  auto const raster = file.subspan(start);
  bool const complete = header.run_lengths ? detail::has_run_lengths(raster, pixels, pixel_bytes)
                                           : raster.size() / pixel_bytes >= static_cast<std::size_t>(pixels);
  if (!complete) return detail::truncated(name, "TGA", file, "the end of its pixels");
  return ImageInfo{header.width, header.height};
}

}  // namespace mirnet::inline MIRNET_ABI

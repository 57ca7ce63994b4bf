// TGA files from memory: gray (with or without alpha), colour of 15, 16, 24 and 32 bits, and colour-mapped, plain and
// run-length encoded, from any corner on.
//
// A map of grays gives a gray image. Pixels of 32 bits have alpha, and those of 16 bits where the header says so. Where
// the header says at most one bit of alpha and every pixel's alpha is 0, the picture is opaque: many programs leave
// these bits at 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <mirnet/image/image.hpp>
#include <mirnet/io/image_info.hpp>
#include <mirnet/io/palette.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// The fixed start of a TGA file.
struct TgaHeader {
  explicit TgaHeader(Bytes file) noexcept
      : id_length(std::to_integer<std::size_t>(file[0])),
        has_map((file[1] & std::byte{1}) != std::byte{0}),
        kind(std::to_integer<int>(file[2]) & 7),
        run_lengths((file[2] & std::byte{8}) != std::byte{0}),
        map_start(load_little<std::uint16_t>(file.data() + 3)),
        map_length(load_little<std::uint16_t>(file.data() + 5)),
        map_bits(std::to_integer<int>(file[7])),
        width(load_little<std::uint16_t>(file.data() + 12)),
        height(load_little<std::uint16_t>(file.data() + 14)),
        bits(std::to_integer<int>(file[16])),
        alpha_bits(std::to_integer<int>(file[17]) & 15),
        right_to_left((file[17] & std::byte{0x10}) != std::byte{0}),
        top_down((file[17] & std::byte{0x20}) != std::byte{0}),
        interleaved((file[17] & std::byte{0xC0}) != std::byte{0}) {}

  static constexpr std::size_t size = 18;
  static constexpr int indexed = 1, colour = 2, gray = 3;  // kinds

  static constexpr std::size_t bytes_of(int bits) noexcept { return static_cast<std::size_t>(bits + 7) / 8; }

  std::size_t id_length;
  bool has_map;
  int kind;
  bool run_lengths;
  std::size_t map_start, map_length;
  int map_bits;
  std::int64_t width, height;
  int bits, alpha_bits;
  bool right_to_left, top_down, interleaved;
};

constexpr bool is_tga_colour_depth(int bits) noexcept { return bits == 15 || bits == 16 || bits == 24 || bits == 32; }

/// TGA has no magic number: a header is one if its kind, its colour map and its depth fit together.
inline bool is_tga(Bytes file) noexcept {
  if (file.size() < 3 || (file[2] & std::byte{0xF4}) != std::byte{0}) return false;
  auto const map = std::to_integer<int>(file[1]);
  auto const kind = std::to_integer<int>(file[2]) & 7;
  if (map > 1 || kind == 0 || (kind == TgaHeader::indexed && map == 0)) return false;
  if (file.size() < TgaHeader::size) return true;  // as far as it goes; a truncated file deserves that name
  TgaHeader const header(file);
  if (map == 1 && header.map_bits != 8 && !is_tga_colour_depth(header.map_bits)) return false;
  return header.kind == TgaHeader::colour ? is_tga_colour_depth(header.bits) : header.bits == 8 || header.bits == 16;
}

/// The colour in so many bits, least significant byte first. 8 bits are gray, and of 16 the highest is alpha.
inline Colour tga_colour(std::byte const* p, int bits) noexcept {
  auto const byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(p[i]); };
  if (bits == 8) return {byte(0), byte(0), byte(0), 255};
  if (bits >= 24) return {byte(2), byte(1), byte(0), bits == 32 ? byte(3) : std::uint8_t{255}};
  unsigned const value = load_little<std::uint16_t>(p);
  auto const five = [&](unsigned shift) { return static_cast<std::uint8_t>(((value >> shift & 31) * 255 + 15) / 31); };
  return {five(10), five(5), five(0), static_cast<std::uint8_t>(value >> 15 != 0 ? 255 : 0)};
}

/// Calls body(pixel), with the bytes of a pixel, for each in the file's order; false where the file ends before the
/// last one. A last packet of run lengths may hold more than there are.
template <class Body>
bool for_each_tga_pixel(Bytes raster, std::size_t pixels, TgaHeader const& header, Body&& body) noexcept {
  auto const pixel_bytes = TgaHeader::bytes_of(header.bits);
  if (!header.run_lengths) {
    if (raster.size() / pixel_bytes < pixels) return false;
    for (std::size_t i = 0; i < pixels; ++i) body(raster.data() + i * pixel_bytes);
    return true;
  }
  for (std::size_t at = 0; pixels > 0;) {
    if (at >= raster.size()) return false;
    auto const packet = std::to_integer<std::size_t>(raster[at++]);
    auto const count = (packet & 127) + 1;
    bool const repeats = (packet & 128) != 0;
    auto const length = (repeats ? 1 : count) * pixel_bytes;
    if (raster.size() - at < length) return false;
    for (std::size_t i = 0; i < count && pixels > 0; ++i, --pixels) {
      body(raster.data() + at + (repeats ? 0 : i * pixel_bytes));
    }
    at += length;
  }
  return true;
}

}  // namespace detail

/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_tga(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  using detail::Colour;
  using detail::TgaHeader;
  if (file.size() < TgaHeader::size) return detail::truncated(name, "TGA", file, "the end of its header");
  TgaHeader const header(file);
  auto const size = detail::check_size(name, "TGA", header.width, header.height, options);
  if (!size) return size.error();
  if (header.interleaved) {
    return Error(ErrorCode::input, "%s: a TGA with interleaved rows; expected rows one after the other", name);
  }
  bool const indexed = header.kind == TgaHeader::indexed;
  auto const colour_bytes = TgaHeader::bytes_of(header.map_bits);
  auto const map_at = TgaHeader::size + header.id_length;
  auto const start = map_at + (header.has_map ? header.map_length * colour_bytes : 0);
  if (start > file.size()) return detail::truncated(name, "TGA", file, "its pixels");
  detail::Palette const palette(file.subspan(map_at, indexed ? start - map_at : 0), indexed ? colour_bytes : 1,
                                [&](std::byte const* p) { return detail::tga_colour(p, header.map_bits); });
  if (indexed && palette.size() == 0) return detail::damaged(name, "TGA", "its map has no colours");

  // What a pixel comes to; a number outside of the map is kept for the sentence.
  std::size_t unknown = 0;
  bool all_known = true;
  auto const colour_of = [&](std::byte const* p) -> Colour {
    if (!indexed) {
      if (header.kind == TgaHeader::colour) return detail::tga_colour(p, header.bits);
      auto const value = std::to_integer<std::uint8_t>(p[0]);
      return {value, value, value, header.bits == 16 ? std::to_integer<std::uint8_t>(p[1]) : std::uint8_t{255}};
    }
    std::size_t const number = header.bits == 16 ? load_little<std::uint16_t>(p) : std::to_integer<std::size_t>(p[0]);
    if (number >= header.map_start && number - header.map_start < palette.size()) {
      return palette[number - header.map_start];
    }
    unknown = number;
    all_known = false;
    return {};
  };
  auto const raster = file.subspan(start);
  auto const pixels = static_cast<std::size_t>(size->width) * static_cast<std::size_t>(size->height);
  std::uint8_t any_alpha = 0;
  bool const complete = detail::for_each_tga_pixel(
      raster, pixels, header, [&](std::byte const* p) { any_alpha = any_alpha | colour_of(p)[3]; });
  if (!complete) return detail::truncated(name, "TGA", file, "the end of its pixels");
  if (!all_known) return detail::no_such_colour(name, unknown, header.map_start, palette.size());

  auto const depth = indexed ? header.map_bits : header.bits;
  bool const gray = indexed ? palette.is_gray() : header.kind == TgaHeader::gray;
  bool const whole_alpha = depth == 32 || (header.kind == TgaHeader::gray && depth == 16);
  bool const may_have_alpha = whole_alpha || (depth == 16 && header.alpha_bits > 0);
  bool const meant = header.alpha_bits > 1 || any_alpha != 0;
  bool const has_alpha = may_have_alpha && meant;
  auto image = Image::create(size->width, size->height, (gray ? 1 : 3) + (has_alpha ? 1 : 0), SampleType::u8);
  if (!image) return image;
  auto* const samples = image->samples<std::uint8_t>().data();
  auto const width = static_cast<std::size_t>(size->width), height = static_cast<std::size_t>(size->height);
  auto const channels = static_cast<std::size_t>(image->channels());
  std::size_t x = 0, y = 0;
  detail::for_each_tga_pixel(raster, pixels, header, [&](std::byte const* p) {
    auto const colour = colour_of(p);
    auto* const to =
        samples +
        ((header.top_down ? y : height - 1 - y) * width + (header.right_to_left ? width - 1 - x : x)) * channels;
    std::memcpy(to, colour.data(), gray ? 1 : 3);
    if (has_alpha) to[channels - 1] = colour[3];
    if (++x == width) x = 0, ++y;
  });
  return image;
}

}  // namespace mirnet::inline MIRNET_ABI

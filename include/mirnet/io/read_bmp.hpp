// BMP files from memory: those of Windows (headers of 40, 52, 56, 108 and 124 bytes) and of OS/2 (12, and 16 to 64),
// with 1, 2, 4, 8, 16, 24 and 32 bits a pixel; plain, with bit masks, and run-length encoded (RLE4, RLE8).
//
// A palette of grays gives a gray image, and a mask of more than 8 bits one of 16 bits a sample. There is alpha where
// the header has a mask for it and not every pixel is fully transparent: many programs leave zeros there and mean an
// opaque picture. The fourth byte of pixels without masks is no alpha. Colour profiles are passed over.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include <mirnet/image/image.hpp>
#include <mirnet/io/image_info.hpp>
#include <mirnet/io/palette.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// The bits of a pixel that hold one of its samples.
struct BmpMask {
  std::uint32_t bits = 0;

  int width() const noexcept { return std::popcount(bits); }
  /// Whether the bits are contiguous. An empty mask is sound, too.
  bool is_sound() const noexcept { return bits == 0 || std::has_single_bit((std::uint64_t{bits} >> shift()) + 1); }

  /// The sample on the scale of T; 0 where the mask has no bits.
  template <class T>
  T sample(std::uint32_t pixel) const noexcept {
    if (bits == 0) return 0;
    std::uint64_t const value = (pixel & bits) >> shift(), most = bits >> shift(),
                        top = (std::numeric_limits<T>::max)();
    return static_cast<T>(most == top ? value : (value * top + most / 2) / most);
  }

 private:
  int shift() const noexcept { return std::countr_zero(bits); }
};

/// What the headers of a BMP say, with everything checked but the pixels.
struct BmpHeader {
  enum Compression : std::int64_t { plain = 0, rle8 = 1, rle4 = 2, masks = 3, alpha_masks = 6 };

  static Result<BmpHeader> read(Bytes file, char const* name, ReadOptions const& options) noexcept;

  bool run_lengths() const noexcept { return compression == rle8 || compression == rle4; }
  bool indexed() const noexcept { return bits <= 8; }
  /// Where the row is that is stored as number `row`.
  Index place_of(Index row) const noexcept { return top_down ? row : height - 1 - row; }

  Index width = 0, height = 0;
  bool top_down = false;
  std::int64_t bits = 0, compression = plain;
  BmpMask red, green, blue, alpha;
  Bytes colours;  ///< the palette
  std::size_t colour_bytes = 4;
  Bytes pixels;  ///< from their first byte to the end of the file

 private:
  Result<void> read_masks(Bytes at, bool has_alpha, char const* name) noexcept;
  void take_usual_masks(bool has_masks) noexcept;
  /// Where palette and pixels lie; `tables` is where header and masks end.
  Result<void> read_places(Bytes file, std::size_t tables, std::int64_t said_colours, char const* name) noexcept;
};

inline Result<BmpHeader> BmpHeader::read(Bytes file, char const* name, ReadOptions const& options) noexcept {
  constexpr std::size_t file_header = 14;
  if (file.size() < file_header + 4) return truncated(name, "BMP", file, "the end of its header");
  auto const header_bytes = little_at<std::uint32_t>(file, file_header);
  // OS/2's second header may end after any of its fields.
  bool const known =
      header_bytes == 12 || (header_bytes >= 16 && header_bytes <= 64) || header_bytes == 108 || header_bytes == 124;
  if (!known) {
    return Error(ErrorCode::input, "%s: a BMP header of %lld bytes; expected 12, 16 to 64, 108 or 124", name,
                 static_cast<long long>(header_bytes));
  }
  auto const header_end = file_header + static_cast<std::size_t>(header_bytes);
  if (file.size() < header_end) return truncated(name, "BMP", file, "the end of its header");

  // A field of 32 bits at an offset from the header's start; what the header is too short for is 0.
  auto const field = [&](std::size_t offset) {
    bool const there = offset + 4 <= static_cast<std::size_t>(header_bytes);
    return there ? little_at<std::uint32_t>(file, file_header + offset) : 0;
  };
  BmpHeader header;
  bool const shortest = header_bytes == 12;
  std::int64_t width, height;
  if (shortest) {
    width = little_at<std::uint16_t>(file, 18);
    height = little_at<std::uint16_t>(file, 20);
    header.bits = little_at<std::uint16_t>(file, 24);
    header.colour_bytes = 3;
  } else {
    width = static_cast<std::int32_t>(field(4));
    height = static_cast<std::int32_t>(field(8));
    header.bits = little_at<std::uint16_t>(file, 28);
    header.compression = field(16);
    header.top_down = height < 0;
  }
  auto const size = check_size(name, "BMP", width, height < 0 ? -height : height, options);
  if (!size) return size.error();
  header.width = size->width;
  header.height = size->height;

  auto const [bits, compression] = std::pair(header.bits, header.compression);
  bool const has_masks = (compression == masks || compression == alpha_masks) && (bits == 16 || bits == 32);
  bool const is_plain = compression == plain &&
                        (bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32);
  if (!is_plain && !has_masks && !(compression == rle8 && bits == 8) && !(compression == rle4 && bits == 4)) {
    return Error(ErrorCode::input,
                 "%s: a BMP with %lld bits a pixel and compression %lld; expected 1, 2, 4, 8, 16, 24 or 32 bits "
                 "without compression, 16 or 32 with masks (3, 6), or run lengths of 8 or 4 bits (1, 2)",
                 name, static_cast<long long>(bits), static_cast<long long>(compression));
  }

  // The masks lie in the header where that has room for them, else behind it.
  auto const mask_bytes = !has_masks || header_bytes >= 52 ? 0u : compression == alpha_masks ? 16u : 12u;
  auto const tables = header_end + mask_bytes;
  if (file.size() < tables) return truncated(name, "BMP", file, "the end of its masks");
  if (has_masks) {
    bool const has_alpha = mask_bytes == 16 || header_bytes >= 56;
    auto const sound =
        header.read_masks(file.subspan(mask_bytes != 0 ? header_end : file_header + 40), has_alpha, name);
    if (!sound) return sound.error();
  }
  header.take_usual_masks(has_masks);
  auto const sound = header.read_places(file, tables, field(32), name);
  if (!sound) return sound.error();
  return header;
}

inline Result<void> BmpHeader::read_masks(Bytes at, bool has_alpha, char const* name) noexcept {
  BmpMask* const all[] = {&red, &green, &blue, &alpha};
  for (std::size_t i = 0; i < (has_alpha ? 4u : 3u); ++i) {
    *all[i] = {load_little<std::uint32_t>(at.data() + 4 * i)};
    if (!all[i]->is_sound() || std::uint64_t{all[i]->bits} >> bits != 0) {
      return Error(ErrorCode::input, "%s: a BMP with the mask %08llx for %lld bits a pixel; expected bits side by side",
                   name, static_cast<unsigned long long>(all[i]->bits), static_cast<long long>(bits));
    }
  }
  return {};
}

inline void BmpHeader::take_usual_masks(bool has_masks) noexcept {
  if ((red.bits | green.bits | blue.bits) != 0) return;  // zeros stand for the usual ones
  bool const fifteen = bits == 16;
  red = {fifteen ? 0x7C00u : 0xFF0000u};
  green = {fifteen ? 0x03E0u : 0x00FF00u};
  blue = {fifteen ? 0x001Fu : 0x0000FFu};
  if (has_masks && bits == 32) alpha = {0xFF000000u};
}

inline Result<void> BmpHeader::read_places(Bytes file, std::size_t tables, std::int64_t said_colours,
                                           char const* name) noexcept {
  // A palette of pixels that are no numbers is only a suggestion.
  auto const most_colours = indexed() ? std::int64_t{1} << bits : 0;
  auto const count =
      static_cast<std::size_t>(said_colours == 0 ? most_colours : (std::min)(said_colours, most_colours));
  auto pixels_at = little_at<std::uint32_t>(file, 10);
  // Some programs name no place, or that of the palette.
  if (pixels_at == 0 || (indexed() && pixels_at == static_cast<std::int64_t>(tables))) {
    pixels_at = static_cast<std::int64_t>(tables + count * colour_bytes);
  }
  if (pixels_at < static_cast<std::int64_t>(tables) || pixels_at > static_cast<std::int64_t>(file.size())) {
    return Error(ErrorCode::input, "%s: damaged BMP file, its pixels start at byte %lld of %zu", name,
                 static_cast<long long>(pixels_at), file.size());
  }
  auto const between = file.subspan(tables, static_cast<std::size_t>(pixels_at) - tables);
  colours = between.first((std::min)(count, between.size() / colour_bytes) * colour_bytes);
  pixels = file.subspan(static_cast<std::size_t>(pixels_at));
  return {};
}

/// Bytes of a row of pixels that are not compressed.
inline std::uint64_t bmp_row_bytes(BmpHeader const& header) noexcept {
  return (static_cast<std::uint64_t>(header.width) * static_cast<std::uint64_t>(header.bits) + 31) / 32 * 4;
}

/// Walks the run lengths of RLE4 and RLE8, and calls put(row, x, number) for each pixel that they name. What lies
/// outside of the picture is left out, as other readers do: some programs round the lengths of rows up.
/// Errors: input, where the runs end before they say so and before the last pixel.
template <class Put>
Result<void> walk_bmp_runs(BmpHeader const& header, Bytes file, char const* name, Put&& put) noexcept {
  bool const nibbles = header.compression == BmpHeader::rle4;
  auto const bytes = header.pixels;
  std::size_t at = 0;
  Index x = 0, row = 0;
  auto const byte = [&](std::size_t offset) { return std::to_integer<Index>(bytes[at + offset]); };
  auto const move = [&](Index right) { x = (std::min)(x + right, header.width); };
  auto const nibble = [](Index both, Index i) { return i % 2 == 0 ? both >> 4 : both & 15; };
  while (row < header.height) {
    bool const last = row == header.height - 1 && x == header.width;
    if (bytes.size() - at < 2) {
      if (last) break;  // only the mark of the end is missing
      return truncated(name, "BMP", file, "the end of its pixels");
    }
    auto const count = byte(0), value = byte(1);
    at += 2;
    if (count > 0) {
      for (Index i = 0, end = (std::min)(count, header.width - x); i < end; ++i) {
        put(row, x + i, static_cast<std::size_t>(nibbles ? nibble(value, i) : value));
      }
      move(count);
    } else if (value == 0) {  // the end of a row
      x = 0;
      ++row;
    } else if (value == 1) {  // the end of the picture
      break;
    } else if (value == 2) {  // a step to the right and on to other rows
      if (bytes.size() - at < 2) return truncated(name, "BMP", file, "the end of its pixels");
      move(byte(0));
      row += (std::min)(byte(1), header.height - row);
      at += 2;
    } else {  // so many pixels, one by one, in an even number of bytes
      auto const length = static_cast<std::size_t>(nibbles ? divide_up(value, 2) : value);
      if (bytes.size() - at < length) return truncated(name, "BMP", file, "the end of its pixels");
      for (Index i = 0, end = (std::min)(value, header.width - x); i < end; ++i) {
        auto const offset = static_cast<std::size_t>(nibbles ? i / 2 : i);
        put(row, x + i, static_cast<std::size_t>(nibbles ? nibble(byte(offset), i) : byte(offset)));
      }
      move(value);
      at += (std::min)(length + length % 2, bytes.size() - at);
    }
  }
  return {};
}

/// Pixels that are numbers of colours.
inline Result<Image> decode_bmp_indexed(BmpHeader const& header, Bytes file, char const* name) noexcept {
  Palette const palette(header.colours, header.colour_bytes, [](std::byte const* p) {
    return Colour{std::to_integer<std::uint8_t>(p[2]), std::to_integer<std::uint8_t>(p[1]),
                  std::to_integer<std::uint8_t>(p[0]), 255};
  });
  if (palette.size() == 0) return damaged(name, "BMP", "it has no palette");
  bool const gray = palette.is_gray();
  auto image = Image::create(header.width, header.height, gray ? 1 : 3, SampleType::u8);
  if (!image) return image;
  auto const channels = static_cast<std::size_t>(image->channels());
  auto* const samples = image->samples<std::uint8_t>().data();
  std::size_t largest = 0;
  auto const put = [&](Index row, Index x, std::size_t number) {
    largest = (std::max)(largest, number);
    auto const colour = palette[(std::min)(number, palette.size() - 1)];
    std::memcpy(samples + static_cast<std::size_t>(header.place_of(row) * header.width + x) * channels, colour.data(),
                channels);
  };
  if (header.run_lengths()) {
    for (Index row = 0; row < header.height; ++row) {  // what the runs leave out has colour 0
      for (Index x = 0; x < header.width; ++x) put(row, x, 0);
    }
    auto const done = walk_bmp_runs(header, file, name, put);
    if (!done) return done.error();
  } else {
    auto const step = static_cast<std::size_t>(bmp_row_bytes(header));
    auto const bits = static_cast<unsigned>(header.bits);
    for (Index row = 0; row < header.height; ++row) {
      auto const* const from = header.pixels.data() + static_cast<std::size_t>(row) * step;
      for (Index x = 0; x < header.width; ++x) {
        auto const bit = static_cast<std::size_t>(x) * bits;  // the first pixel of a byte is in its highest bits
        put(row, x, std::to_integer<unsigned>(from[bit / 8]) >> (8 - bits - bit % 8) & ((1u << bits) - 1));
      }
    }
  }
  if (largest >= palette.size()) return no_such_colour(name, largest, 0, palette.size());
  return image;
}

/// Pixels that hold their samples, in samples of type T.
template <class T>
Result<Image> decode_bmp_colours(BmpHeader const& header) noexcept {
  auto const pixel_bytes = static_cast<std::size_t>(header.bits / 8);
  auto const step = static_cast<std::size_t>(bmp_row_bytes(header));
  auto const pixel = [&](Index row, Index x) {
    auto const* const p =
        header.pixels.data() + static_cast<std::size_t>(row) * step + static_cast<std::size_t>(x) * pixel_bytes;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < pixel_bytes; ++i) value |= std::to_integer<std::uint32_t>(p[i]) << (8 * i);
    return value;
  };
  std::uint32_t any = 0;
  if (header.alpha.bits != 0) {
    for (Index row = 0; row < header.height; ++row) {
      for (Index x = 0; x < header.width; ++x) any |= pixel(row, x);
    }
  }
  bool const has_alpha = (any & header.alpha.bits) != 0;
  auto image = Image::create(header.width, header.height, has_alpha ? 4 : 3, sample_type<T>());
  if (!image) return image;
  for (Index row = 0; row < header.height; ++row) {
    auto* to = image->template samples<T>().data() + header.place_of(row) * header.width * image->channels();
    for (Index x = 0; x < header.width; ++x) {
      auto const value = pixel(row, x);
      *to++ = header.red.sample<T>(value);
      *to++ = header.green.sample<T>(value);
      *to++ = header.blue.sample<T>(value);
      if (has_alpha) *to++ = header.alpha.sample<T>(value);
    }
  }
  return image;
}

inline bool is_bmp(Bytes file) noexcept { return starts_with(file, "BM"); }

}  // namespace detail

/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_bmp(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  auto const header = detail::BmpHeader::read(file, name, options);
  if (!header) return header.error();
  if (!header->run_lengths() &&
      detail::bmp_row_bytes(*header) * static_cast<std::uint64_t>(header->height) > header->pixels.size()) {
    return detail::truncated(name, "BMP", file, "the end of its pixels");
  }
  if (header->indexed()) return detail::decode_bmp_indexed(*header, file, name);
  bool deep = false;
  for (auto const& mask : {header->red, header->green, header->blue, header->alpha}) deep = deep || mask.width() > 8;
  return deep ? detail::decode_bmp_colours<std::uint16_t>(*header) : detail::decode_bmp_colours<std::uint8_t>(*header);
}

}  // namespace mirnet::inline MIRNET_ABI

// The netpbm family from and to memory: PBM (P1, P4), PGM and PPM (P2, P3, P5, P6) with 8 or 16 bits, and PFM (Pf, PF)
// with floats, which holds the network's numbers exactly. PBM is only read. PAM is in io/pam.hpp.
//
// Reading is strict: a header field out of range, a sample above the maximum, a float that is not finite or larger than
// largest_float_sample, and a file that ends early are errors. Bytes after the image are left alone, since a netpbm
// file may hold several images.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

#include <mirnet/base/bit_cast.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/io/bytes.hpp>
#include <mirnet/io/image_info.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Walks the words of a netpbm file: white space separates them, and in PGM and PPM a # starts a comment.
class NetpbmReader {
 public:
  explicit NetpbmReader(std::span<std::byte const> file) noexcept
      : text_(reinterpret_cast<char const*>(file.data()), file.size()) {}

  /// The next word, empty at the end of the file.
  std::string_view word(bool comments) noexcept {
    skip_space(comments);
    auto const start = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && !(comments && text_[at_] == '#')) ++at_;
    return text_.substr(start, at_ - start);
  }

  /// The next word as a number from 0 to a billion, which stands for everything above it; -1 if it is no number.
  Index number() noexcept {
    constexpr std::int64_t ceiling = 1'000'000'000;
    auto const digits = word(true);
    if (digits.empty()) return -1;
    std::int64_t value = 0;
    for (char const digit : digits) {
      if (digit < '0' || digit > '9') return -1;
      if (value < ceiling) value = value * 10 + (digit - '0');
    }
    return static_cast<Index>((std::min)(value, ceiling));
  }

  /// The next digit of a plain PBM, 0 or 1, which no white space need separate from the one before; -1 if there is
  /// none.
  int bit() noexcept {
    skip_space(true);
    if (at_ == text_.size() || (text_[at_] != '0' && text_[at_] != '1')) return -1;
    return text_[at_++] - '0';
  }

  /// Passes over the single white space that ends a header; false if there is none.
  bool end_of_header() noexcept { return at_ < text_.size() && is_space(text_[at_++]); }

  std::span<std::byte const> rest() const noexcept { return std::as_bytes(std::span(text_).subspan(at_)); }

 private:
  void skip_space(bool comments) noexcept {
    while (at_ < text_.size() && (is_space(text_[at_]) || (comments && text_[at_] == '#'))) {
      at_ = text_[at_] == '#' ? (std::min)(text_.find_first_of("\r\n", at_), text_.size()) : at_ + 1;
    }
  }

  static bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// Bytes of a raster; where an Index cannot hold the number, the largest, which no file and no memory has.
constexpr Index raster_bytes(Index width, Index height, Index pixel_bytes) noexcept {
  auto const pixels = checked_product(width, height);
  auto const bytes = pixels ? checked_product(*pixels, pixel_bytes) : pixels;
  return bytes.value_or((std::numeric_limits<Index>::max)());
}

inline Result<void> check_length(char const* name, std::size_t found, Index expected) noexcept {
  if (found >= static_cast<std::size_t>(expected)) return {};
  return Error(ErrorCode::input, "%s: truncated, %zu bytes of samples where %lld are expected", name, found,
               static_cast<long long>(expected));
}

/// One sample of a raster in which the largest is `maximum`, on the scale of T.
template <class T>
constexpr T rescale(Index sample, Index maximum) noexcept {
  constexpr auto top = static_cast<std::int64_t>(white<T>);
  return static_cast<T>(maximum == top ? sample : (sample * top + maximum / 2) / maximum);
}

inline Error sample_too_large(char const* name, Index sample, Index maximum) noexcept {
  return Error(ErrorCode::input, "%s: a sample is %lld, and the header says the largest is %lld", name,
               static_cast<long long>(sample), static_cast<long long>(maximum));
}

template <class T>
Result<void> read_binary(char const* name, std::span<std::byte const> raster, Index maximum, std::span<T> to) noexcept {
  auto const length = check_length(name, raster.size(), static_cast<Index>(to.size_bytes()));
  if (!length) return length;
  for (std::size_t i = 0; i < to.size(); ++i) {
    auto const sample = static_cast<Index>(load_big<T>(raster.data() + i * sizeof(T)));
    if (sample > maximum) return sample_too_large(name, sample, maximum);
    to[i] = rescale<T>(sample, maximum);
  }
  return {};
}

inline Error no_plain_sample(char const* name, std::size_t read, std::size_t expected) noexcept {
  return Error(ErrorCode::input, "%s: truncated or damaged, %zu readable samples where %zu are expected", name, read,
               expected);
}

template <class T>
Result<void> read_plain(char const* name, NetpbmReader& reader, Index maximum, std::span<T> to) noexcept {
  for (std::size_t i = 0; i < to.size(); ++i) {
    auto const sample = reader.number();
    if (sample < 0) return no_plain_sample(name, i, to.size());
    if (sample > maximum) return sample_too_large(name, sample, maximum);
    to[i] = rescale<T>(sample, maximum);
  }
  return {};
}

/// The scale of a PFM: its sign is the byte order; 0 where the word is no finite number. Numbers of up to 15 digits are
/// rounded as the C library would. (Whose functions want a locale with a decimal point; and libc++ has no from_chars of
/// floating-point numbers.)
inline float pfm_scale(std::string_view word) noexcept {
  std::size_t at = 0;
  auto const next_is = [&](char c) { return at < word.size() && word[at] == c; };
  auto const sign = [&] {
    bool const negative = next_is('-');
    at += negative;
    return negative;
  };
  auto const digits = [&](auto&& add) {
    std::size_t const first = at;
    for (; at < word.size() && word[at] >= '0' && word[at] <= '9'; ++at) add(word[at] - '0');
    return static_cast<int>(at - first);
  };
  bool const negative = sign();
  double number = 0.0;
  auto const add = [&](int digit) { number = number * 10.0 + digit; };
  int const whole = digits(add);
  int decimals = 0;
  if (next_is('.')) ++at, decimals = digits(add);
  if (whole + decimals == 0) return 0.0f;
  int exponent = 0;
  if (next_is('e') || next_is('E')) {
    ++at;
    bool const small = sign();
    if (!small && next_is('+')) ++at;
    if (digits([&](int digit) { exponent = (std::min)(exponent * 10 + digit, 10000); }) == 0) return 0.0f;
    if (small) exponent = -exponent;
  }
  exponent -= decimals;
  double const power = std::pow(10.0, std::abs(exponent));
  float const scale = static_cast<float>(exponent < 0 ? number / power : number * power);
  return at == word.size() && std::isfinite(scale) ? negative ? -scale : scale : 0.0f;
}

/// Black is 1 in a PBM.
constexpr std::uint8_t gray_of_bit(bool black) noexcept { return black ? 0 : 255; }

inline Result<void> read_plain_bits(char const* name, NetpbmReader& reader, std::span<std::uint8_t> to) noexcept {
  for (std::size_t i = 0; i < to.size(); ++i) {
    int const bit = reader.bit();
    if (bit < 0) return no_plain_sample(name, i, to.size());
    to[i] = gray_of_bit(bit == 1);
  }
  return {};
}

/// Rows of whole bytes, the first pixel in the highest bit.
inline void read_bits(Bytes raster, std::size_t width, std::span<std::uint8_t> to) noexcept {
  auto const row_bytes = (width + 7) / 8;
  for (std::size_t i = 0; i < to.size(); ++i) {
    auto const x = i % width;
    auto const byte = raster[i / width * row_bytes + x / 8];
    to[i] = gray_of_bit((byte << (x % 8) & std::byte{0x80}) != std::byte{0});
  }
}

inline Result<void> check_maximum(char const* name, char const* format, Index maximum) noexcept {
  if (maximum >= 1 && maximum <= 65535) return {};
  return Error(ErrorCode::input, "%s: the %s header says a maximum of %lld; expected 1 to 65535", name, format,
               static_cast<long long>(maximum));
}

/// The image in a raster of binary samples, of 16 bits where the maximum is above 255.
inline Result<Image> read_raster(char const* name, char const* format, Bytes raster, ImageInfo const& size,
                                 Index channels, Index maximum) noexcept {
  auto const sound = check_maximum(name, format, maximum);
  if (!sound) return sound.error();
  auto const type = maximum > 255 ? SampleType::u16 : SampleType::u8;
  auto const length =
      check_length(name, raster.size(), raster_bytes(size.width, size.height, channels * sample_bytes(type)));
  if (!length) return length.error();
  auto image = Image::create(size.width, size.height, channels, type);
  if (!image) return image;
  auto const done = type == SampleType::u8 ? read_binary(name, raster, maximum, image->samples<std::uint8_t>())
                                           : read_binary(name, raster, maximum, image->samples<std::uint16_t>());
  if (!done) return done.error();
  return image;
}

inline Result<ByteBuffer> with_header(char const* header, Index raster_bytes) noexcept {
  auto const length = std::strlen(header);
  auto const total = checked_sum(raster_bytes, static_cast<Index>(length));
  if (!total) return Error(ErrorCode::memory, "a file of this size is too large for this machine");
  auto file = ByteBuffer::create(*total);
  if (file) std::memcpy(file->bytes().data(), header, length);
  return file;
}

/// A header and the integer samples of an image, each so many times. Errors: memory.
inline Result<ByteBuffer> write_raster(char const* header, Image const& image, Index copies) noexcept {
  auto file = with_header(header, raster_bytes(static_cast<Index>(image.bytes().size()), copies, 1));
  if (!file) return file;
  std::byte* to = file->bytes().data() + std::strlen(header);
  auto const write = [&](auto samples) {
    for (auto const sample : samples) {
      for (Index i = 0; i < copies; ++i, to += sizeof sample) store_big(to, sample);
    }
  };
  image.type() == SampleType::u8 ? write(image.samples<std::uint8_t>()) : write(image.samples<std::uint16_t>());
  return file;
}

}  // namespace detail

/// PBM, PGM or PPM.
inline bool is_pnm(std::span<std::byte const> file) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(true);
  return magic.size() == 2 && magic[0] == 'P' && magic[1] >= '1' && magic[1] <= '6';
}

inline bool is_pfm(std::span<std::byte const> file) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(false);
  return magic == "PF" || magic == "Pf";
}

/// PBM, PGM or PPM. A maximum of up to 255 gives 8-bit samples and a larger one 16-bit samples, scaled to the full
/// range.
/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_pnm(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(true);
  if (!is_pnm(file)) return Error(ErrorCode::input, "%s: not a PBM, PGM or PPM file", name);
  char const kind = magic[1];
  bool const plain = kind <= '3', bits = kind == '1' || kind == '4';
  Index const width = reader.number();
  Index const height = reader.number();
  Index const maximum = bits ? 1 : reader.number();
  bool const complete = reader.end_of_header();
  if (width < 0 || height < 0 || maximum < 0 || !complete) {
    return Error(ErrorCode::input, "%s: the PNM header is truncated or damaged; expected width, height%s", name,
                 bits ? "" : " and maximum");
  }
  auto const size = detail::check_size(name, "PNM", width, height, options);
  if (!size) return size.error();
  Index const channels = kind == '3' || kind == '6' ? 3 : 1;
  if (!plain && !bits) return detail::read_raster(name, "PNM", reader.rest(), *size, channels, maximum);
  auto const sound = detail::check_maximum(name, "PNM", maximum);
  if (!sound) return sound.error();

  // A digit each, with white space between numbers.
  auto const shortest = !plain ? detail::raster_bytes(divide_up(width, 8), height, 1)
                        : bits ? detail::raster_bytes(width, height, 1)
                               : detail::raster_bytes(width, height, channels * 2) - 1;
  auto const length = detail::check_length(name, reader.rest().size(), shortest);
  if (!length) return length.error();
  auto image = Image::create(width, height, channels, maximum > 255 ? SampleType::u16 : SampleType::u8);
  if (!image) return image;
  if (!plain) {
    detail::read_bits(reader.rest(), static_cast<std::size_t>(width), image->samples<std::uint8_t>());
    return image;
  }
  auto const done = bits            ? detail::read_plain_bits(name, reader, image->samples<std::uint8_t>())
                    : maximum > 255 ? detail::read_plain(name, reader, maximum, image->samples<std::uint16_t>())
                                    : detail::read_plain(name, reader, maximum, image->samples<std::uint8_t>());
  if (!done) return done.error();
  return image;
}

/// PFM of either byte order; samples are multiplied by the magnitude of the scale, which is 1 in practice.
/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_pfm(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(false);
  Index const width = reader.number();
  Index const height = reader.number();
  float const scale = detail::pfm_scale(reader.word(false));
  bool const complete = reader.end_of_header();
  if ((magic != "PF" && magic != "Pf") || width < 0 || height < 0 || scale == 0.0f || !complete) {
    return Error(ErrorCode::input,
                 "%s: the PFM header is truncated or damaged; expected width, height and a scale other than 0", name);
  }
  auto const size = detail::check_size(name, "PFM", width, height, options);
  if (!size) return size.error();

  Index const channels = magic == "PF" ? 3 : 1;
  auto const raster = reader.rest();
  auto const length = detail::check_length(name, raster.size(), detail::raster_bytes(width, height, channels * 4));
  if (!length) return length.error();
  auto image = Image::create(width, height, channels, SampleType::f32);
  if (!image) return image;
  Index const row = width * channels;
  std::byte const* from = raster.data();
  for (Index y = height; y-- > 0;) {
    float* const to = image->samples<float>().data() + y * row;
    for (Index x = 0; x < row; ++x, from += 4) {
      auto const bits = scale < 0.0f ? load_little<std::uint32_t>(from) : load_big<std::uint32_t>(from);
      to[x] = bit_cast<float>(bits) * std::fabs(scale);
      auto const sound = detail::check_float_sample(name, to[x], x / channels, y);
      if (!sound) return sound.error();
    }
  }
  return image;
}

/// P6 where `colour`, else P5: 8 bits for 8-bit samples, 16 for the others. Gray becomes colour by replication.
/// The image has no alpha, and three channels only where `colour`. Errors: memory.
inline Result<ByteBuffer> encode_pnm(Image const& image, bool colour) noexcept {
  MIRNET_ASSERT(!image.has_alpha() && (colour || image.channels() == 1));
  if (image.type() == SampleType::f32) {
    auto const integers = convert_samples(image, SampleType::u16);
    if (!integers) return integers.error();
    return encode_pnm(*integers, colour);
  }
  char header[80];
  std::snprintf(header, sizeof header, "P%c\n%lld %lld\n%d\n", colour ? '6' : '5',
                static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                image.type() == SampleType::u8 ? 255 : 65535);
  return detail::write_raster(header, image, colour ? 3 / image.channels() : 1);
}

/// PF or Pf, least significant byte first. Floats are written as they are; integers with white as 1.
/// The image has no alpha. Errors: memory.
inline Result<ByteBuffer> encode_pfm(Image const& image) noexcept {
  MIRNET_ASSERT(!image.has_alpha());
  char header[80];
  std::snprintf(header, sizeof header, "P%c\n%lld %lld\n-1.0\n", image.channels() == 3 ? 'F' : 'f',
                static_cast<long long>(image.width()), static_cast<long long>(image.height()));
  Index const row = image.width() * image.channels();
  auto file = detail::with_header(header, detail::raster_bytes(row, image.height(), 4));
  if (!file) return file;
  image.visit([&](auto samples) {
    std::byte* to = file->bytes().data() + std::strlen(header);
    for (Index y = image.height(); y-- > 0;) {
      for (Index x = 0; x < row; ++x, to += sizeof(float)) {
        store_little(to, bit_cast<std::uint32_t>(to_unit(samples[static_cast<std::size_t>(y * row + x)])));
      }
    }
  });
  return file;
}

}  // namespace mirnet::inline MIRNET_ABI

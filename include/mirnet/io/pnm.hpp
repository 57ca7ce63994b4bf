// The netpbm family from and to memory: PGM and PPM (P2, P3, P5, P6) with 8 or 16 bits, and PFM (Pf, PF) with floats,
// which holds the network's numbers exactly.
//
// Reading is strict: a header field out of range, a sample above the maximum, a float that is not finite and a file
// that ends early are errors. Bytes after the image are left alone, since a netpbm file may hold several images.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

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
    while (at_ < text_.size() && (is_space(text_[at_]) || (comments && text_[at_] == '#'))) {
      if (text_[at_] == '#') {
        at_ = (std::min)(text_.find_first_of("\r\n", at_), text_.size());
      } else {
        ++at_;
      }
    }
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

  /// Passes over the single white space that ends a header; false if there is none.
  bool end_of_header() noexcept { return at_ < text_.size() && is_space(text_[at_++]); }

  std::span<std::byte const> rest() const noexcept { return std::as_bytes(std::span(text_).subspan(at_)); }

 private:
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

template <class T>
Result<void> read_plain(char const* name, NetpbmReader& reader, Index maximum, std::span<T> to) noexcept {
  for (std::size_t i = 0; i < to.size(); ++i) {
    auto const sample = reader.number();
    if (sample < 0) {
      return Error(ErrorCode::input, "%s: truncated or damaged, %zu readable samples where %zu are expected", name, i,
                   to.size());
    }
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

inline Result<ByteBuffer> with_header(char const* header, Index raster_bytes) noexcept {
  auto const length = std::strlen(header);
  auto const total = checked_sum(raster_bytes, static_cast<Index>(length));
  if (!total) return Error(ErrorCode::memory, "a file of this size is too large for this machine");
  auto file = ByteBuffer::create(*total);
  if (file) std::memcpy(file->bytes().data(), header, length);
  return file;
}

}  // namespace detail

inline bool is_pnm(std::span<std::byte const> file) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(true);
  return magic.size() == 2 && magic[0] == 'P' && magic[1] >= '1' && magic[1] <= '7';
}

inline bool is_pfm(std::span<std::byte const> file) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(false);
  return magic == "PF" || magic == "Pf";
}

/// PGM or PPM. A maximum of up to 255 gives 8-bit samples and a larger one 16-bit samples, scaled to the full range.
/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_pnm(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  detail::NetpbmReader reader(file);
  auto const magic = reader.word(true);
  bool const plain = magic == "P2" || magic == "P3";
  if (!plain && magic != "P5" && magic != "P6") {
    return Error(ErrorCode::input,
                 "%s: a netpbm file of type %.2s; the types that are read are P2, P3, P5, P6, PF and Pf", name,
                 is_pnm(file) ? magic.data() : "??");
  }
  Index const width = reader.number();
  Index const height = reader.number();
  Index const maximum = reader.number();
  bool const complete = reader.end_of_header();
  if (width < 0 || height < 0 || maximum < 0 || !complete) {
    return Error(ErrorCode::input, "%s: the PNM header is truncated or damaged; expected width, height and maximum",
                 name);
  }
  auto const size = detail::check_size(name, "PNM", width, height, options);
  if (!size) return size.error();
  if (maximum < 1 || maximum > 65535) {
    return Error(ErrorCode::input, "%s: the PNM header says a maximum of %lld; expected 1 to 65535", name,
                 static_cast<long long>(maximum));
  }

  Index const channels = magic == "P3" || magic == "P6" ? 3 : 1;
  auto const type = maximum > 255 ? SampleType::u16 : SampleType::u8;
  auto const shortest = detail::raster_bytes(width, height, channels * (plain ? 2 : sample_bytes(type)));
  auto const length = detail::check_length(name, reader.rest().size(), plain ? shortest - 1 : shortest);
  if (!length) return length.error();
  auto image = Image::create(width, height, channels, type);
  if (!image) return image;
  auto const read = [&](auto samples) {
    return plain ? detail::read_plain(name, reader, maximum, samples)
                 : detail::read_binary(name, reader.rest(), maximum, samples);
  };
  auto const done =
      type == SampleType::u8 ? read(image->samples<std::uint8_t>()) : read(image->samples<std::uint16_t>());
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
      to[x] = std::bit_cast<float>(bits) * std::fabs(scale);
      if (!std::isfinite(to[x])) return Error(ErrorCode::input, "%s: a sample is not a finite number", name);
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
  Index const copies = colour ? 3 / image.channels() : 1;
  auto file = detail::with_header(header, detail::raster_bytes(static_cast<Index>(image.bytes().size()), copies, 1));
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
        store_little(to, std::bit_cast<std::uint32_t>(to_unit(samples[static_cast<std::size_t>(y * row + x)])));
      }
    }
  });
  return file;
}

}  // namespace mirnet::inline MIRNET_ABI

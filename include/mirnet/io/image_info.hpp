// What the readers of image files share: the options, what the header of a file declares, and the sentences.
//
// stb_image decodes many damaged files to a picture with a gray or black rest, takes memory for whatever size a header
// claims, and before version 2.28 reads and writes outside its tables for some damaged JPEGs. So check_png or
// check_jpeg looks at a file first. Checks read headers and lengths only and take no memory.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <mirnet/base/result.hpp>
#include <mirnet/io/bytes.hpp>

namespace mirnet::inline MIRNET_ABI {

struct ReadOptions {
  Index max_pixels = 500'000'000;  ///< larger images are refused before anything is decoded
};

/// The largest magnitude of a float sample that is read; white is 1. Measured with the published networks, in float and
/// in bfloat16, results are finite up to 1e34 and NaN from 1e35 on. This is far below, also where the samples of a
/// large picture are summed, and above what high dynamic range pictures hold in any unit.
inline constexpr float largest_float_sample = 1e12f;

/// Size and sample depth that a checked file declares.
struct ImageInfo {
  Index width = 0;
  Index height = 0;
  bool sixteen_bits = false;
};

namespace detail {

using Bytes = std::span<std::byte const>;

inline bool starts_with(Bytes file, std::string_view start) noexcept {
  return file.size() >= start.size() && std::memcmp(file.data(), start.data(), start.size()) == 0;
}

/// The unsigned number of type T at an offset that is inside the file. An Index may be too small for one of 32 bits.
template <class T>
std::int64_t little_at(Bytes file, std::size_t offset) noexcept {
  return static_cast<std::int64_t>(load_little<T>(file.data() + offset));
}
template <class T>
std::int64_t big_at(Bytes file, std::size_t offset) noexcept {
  return static_cast<std::int64_t>(load_big<T>(file.data() + offset));
}

/// The header or a length says more than the file has.
inline Error truncated(char const* name, char const* format, Bytes file, char const* what) noexcept {
  return Error(ErrorCode::input, "%s: truncated %s file, it ends after %zu bytes and before %s", name, format,
               file.size(), what);
}

inline Error damaged(char const* name, char const* format, char const* what) noexcept {
  return Error(ErrorCode::input, "%s: damaged %s file, %s", name, format, what);
}

/// The size that a header declares, numbers of 32 bits, if such an image may be decoded. Errors: input.
inline Result<ImageInfo> check_size(char const* name, char const* format, std::int64_t width, std::int64_t height,
                                    ReadOptions const& options) noexcept {
  auto const w = static_cast<long long>(width);
  auto const h = static_cast<long long>(height);
  if (width < 1 || height < 1) {
    return Error(ErrorCode::input, "%s: the %s header says %lld x %lld pixels, and both sides must be 1 or more", name,
                 format, w, h);
  }
  if (width > options.max_pixels / height) {
    return Error(ErrorCode::input, "%s: the %s header says %lld x %lld pixels, and the limit is %lld pixels in all",
                 name, format, w, h, static_cast<long long>(options.max_pixels));
  }
  return ImageInfo{static_cast<Index>(width), static_cast<Index>(height)};
}

/// Whether the network can compute with a float sample. Errors: input.
inline Result<void> check_float_sample(char const* name, float sample, Index x, Index y) noexcept {
  if (std::fabs(sample) <= largest_float_sample) return {};
  return Error(ErrorCode::input, "%s: a sample of the pixel (%lld, %lld) is %g; expected a number from %g to %g", name,
               static_cast<long long>(x), static_cast<long long>(y), static_cast<double>(sample),
               static_cast<double>(-largest_float_sample), static_cast<double>(largest_float_sample));
}

}  // namespace detail

}  // namespace mirnet::inline MIRNET_ABI

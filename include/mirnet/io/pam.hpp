// PAM (P7) from and to memory: the netpbm format with alpha. Gray and RGB, each with or without alpha, with 8 or 16
// bits.
//
// Reading is as strict as that of the other netpbm files (io/pnm.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include <mirnet/image/image.hpp>
#include <mirnet/io/bytes.hpp>
#include <mirnet/io/image_info.hpp>
#include <mirnet/io/pnm.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Types of tuples and the samples that each has. A file without a type is read as what its depth suggests.
struct PamType {
  std::string_view name;
  Index depth;
};
inline constexpr PamType pam_types[] = {
    {"GRAYSCALE", 1}, {"GRAYSCALE_ALPHA", 2}, {"RGB", 3},
    {"RGB_ALPHA", 4}, {"BLACKANDWHITE", 1},   {"BLACKANDWHITE_ALPHA", 2},
};

/// The header of a PAM: lines of a name and a value, in any order.
struct PamHeader {
  /// Reads lines up to the one that says ENDHDR, which may be missing: at() is the end of the file then.
  explicit PamHeader(Bytes file) noexcept : file_(file), at_(std::string_view("P7\n").size()) {
    for (;;) {
      std::string_view const text(reinterpret_cast<char const*>(file_.data()), file_.size());
      auto const end = text.find('\n', at_);
      if (end == std::string_view::npos) return;
      NetpbmReader words(file_.subspan(at_, end - at_));
      at_ = end + 1;
      auto const name = words.word(true);
      if (name.empty()) continue;
      if (name == "ENDHDR") {
        complete = words.word(true).empty();
        return;
      }
      if (name == "TUPLTYPE" && type.empty()) {
        type = words.word(false);
      } else if (auto* const number = field(name); number != nullptr && *number < 0) {
        *number = words.number();
        if (*number < 0) return;
      } else {
        return;  // a name that is not known, or a second time
      }
      if (!words.word(true).empty()) return;
    }
  }

  Bytes rest() const noexcept { return file_.subspan(at_); }

  bool complete = false;
  Index width = -1, height = -1, depth = -1, maximum = -1;
  std::string_view type;

 private:
  Index* field(std::string_view name) noexcept {
    return name == "WIDTH"    ? &width
           : name == "HEIGHT" ? &height
           : name == "DEPTH"  ? &depth
           : name == "MAXVAL" ? &maximum
                              : nullptr;
  }

  Bytes file_;
  std::size_t at_;
};

}  // namespace detail

inline bool is_pam(std::span<std::byte const> file) noexcept { return detail::starts_with(file, "P7\n"); }

/// A maximum of up to 255 gives 8-bit samples and a larger one 16-bit samples, scaled to the full range.
/// `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_pam(std::span<std::byte const> file, char const* name,
                                ReadOptions const& options = {}) noexcept {
  if (!is_pam(file)) return Error(ErrorCode::input, "%s: not a PAM file", name);
  detail::PamHeader const header(file);
  if (!header.complete || header.width < 0 || header.height < 0 || header.depth < 0 || header.maximum < 0) {
    return Error(ErrorCode::input,
                 "%s: the PAM header is truncated or damaged; expected WIDTH, HEIGHT, DEPTH, MAXVAL and ENDHDR", name);
  }
  auto const size = detail::check_size(name, "PAM", header.width, header.height, options);
  if (!size) return size.error();
  bool known = header.type.empty() && header.depth >= 1 && header.depth <= 4;
  for (auto const& type : detail::pam_types) known = known || (header.type == type.name && header.depth == type.depth);
  if (!known) {
    return Error(ErrorCode::input,
                 "%s: a PAM with %lld samples a pixel of type %.*s; expected GRAYSCALE (1), GRAYSCALE_ALPHA (2), "
                 "RGB (3), RGB_ALPHA (4), BLACKANDWHITE (1) or BLACKANDWHITE_ALPHA (2)",
                 name, static_cast<long long>(header.depth),
                 static_cast<int>((std::min<std::size_t>)(header.type.size(), 40)), header.type.data());
  }
  return detail::read_raster(name, "PAM", header.rest(), *size, header.depth, header.maximum);
}

/// 8 bits for 8-bit samples, 16 for the others. Errors: memory.
inline Result<ByteBuffer> encode_pam(Image const& image) noexcept {
  if (image.type() == SampleType::f32) {
    auto const integers = convert_samples(image, SampleType::u16);
    if (!integers) return integers.error();
    return encode_pam(*integers);
  }
  char header[160];
  std::snprintf(header, sizeof header, "P7\nWIDTH %lld\nHEIGHT %lld\nDEPTH %lld\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n",
                static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                static_cast<long long>(image.channels()), image.type() == SampleType::u8 ? 255 : 65535,
                detail::pam_types[image.channels() - 1].name.data());
  return detail::write_raster(header, image, 1);
}

}  // namespace mirnet::inline MIRNET_ABI

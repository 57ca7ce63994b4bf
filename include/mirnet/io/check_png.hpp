// What a PNG file declares, and whether all of it is there and undamaged: stb_image does not look at the checksums.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <mirnet/io/image_info.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// The checksum of PNG chunks.
inline std::uint32_t crc32(Bytes bytes) noexcept {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      entries[i] = i;
      for (int bit = 0; bit < 8; ++bit) entries[i] = (entries[i] >> 1) ^ ((entries[i] & 1) ? 0xEDB88320u : 0u);
    }
    return entries;
  }();
  std::uint32_t crc = ~0u;
  for (auto const byte : bytes) crc = (crc >> 8) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  return ~crc;
}

}  // namespace detail

/// Walks all chunks up to IEND and compares their checksums. That the pixel data itself is complete is left to the
/// decoder, which refuses a stream that ends early.
inline Result<ImageInfo> check_png(std::span<std::byte const> file, char const* name,
                                   ReadOptions const& options) noexcept {
  constexpr std::size_t frame = 12;  // length, type and checksum of a chunk
  ImageInfo info;
  std::size_t at = 8;
  for (bool first = true;; first = false) {
    if (file.size() - at < frame) return detail::truncated(name, "PNG", file, "the IEND chunk");
    auto const length = load_big<std::uint32_t>(file.data() + at);
    if (length > file.size() - at - frame) return detail::truncated(name, "PNG", file, "the end of a chunk");
    auto const checked = file.subspan(at + 4, length + std::size_t{4});
    if (detail::crc32(checked) != load_big<std::uint32_t>(file.data() + at + 8 + length)) {
      return Error(ErrorCode::input, "%s: damaged PNG file, the checksum of the chunk at byte %zu does not match", name,
                   at);
    }
    auto const data = checked.subspan(4);
    if (first) {
      if (!detail::starts_with(checked, "IHDR") || length != 13) {
        return detail::damaged(name, "PNG", "it does not start with an IHDR chunk of 13 bytes");
      }
      auto const size = detail::check_size(name, "PNG", detail::big_at<std::uint32_t>(data, 0),
                                           detail::big_at<std::uint32_t>(data, 4), options);
      if (!size) return size;
      info = *size;
      info.sixteen_bits = data[8] == std::byte{16};
    }
    at += frame + length;
    if (detail::starts_with(checked, "IEND")) return info;
  }
}

}  // namespace mirnet::inline MIRNET_ABI

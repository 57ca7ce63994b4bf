// CRC-32C (Castagnoli), the checksum of weight files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mirnet/version.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// table[k][b]: the effect of byte b with k bytes behind it, so that eight bytes are taken at a time.
inline constexpr auto crc32c_table = [] {
  std::array<std::array<std::uint32_t, 256>, 8> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0u);
    table[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 255];
    }
  }
  return table;
}();

}  // namespace detail

/// The checksum of everything added so far.
class Crc32c {
 public:
  void add(std::span<std::byte const> bytes) noexcept {
    auto const& table = detail::crc32c_table;
    auto const* byte = bytes.data();
    std::size_t left = bytes.size();
    auto const at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(byte[i]); };
    for (; left >= 8; left -= 8, byte += 8) {
      std::uint32_t const low = state_ ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
      state_ = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
               table[3][at(4)] ^ table[2][at(5)] ^ table[1][at(6)] ^ table[0][at(7)];
    }
    for (; left > 0; --left, ++byte) state_ = state_ >> 8 ^ table[0][(state_ ^ at(0)) & 255];
  }

  std::uint32_t value() const noexcept { return ~state_; }

 private:
  std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace mirnet::inline MIRNET_ABI

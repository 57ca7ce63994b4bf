// CRC-32C (Castagnoli), the checksum of weight files: with the processor's instruction for it where there is one
// (SSE4.2 on x86-64, looked for when the program runs; Arm's CRC extension where the compiler's flags have it), else by
// tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include <mirnet/config.hpp>

#if defined(__x86_64__) && defined(__GNUC__)
#define MIRNET_CRC32C_INSTRUCTION __attribute__((target("sse4.2")))
#elif defined(__ARM_FEATURE_CRC32) && defined(__ARM_ACLE) && !defined(__ARM_BIG_ENDIAN)
#define MIRNET_CRC32C_INSTRUCTION
#include <arm_acle.h>
#endif

namespace mirnet::inline MIRNET_ABI {

namespace detail {

// The state of a checksum is a polynomial over GF(2): bit 31 is the coefficient of x^0, bit 0 that of x^31. A byte of
// zeros multiplies it by x^8.
inline constexpr std::uint32_t crc32c_polynomial = 0x82F63B78;

/// table[k][b]: the effect of byte b with k bytes behind it, so that eight bytes are taken at a time.
inline constexpr auto crc32c_table = [] {
  std::array<std::array<std::uint32_t, 256>, 8> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? crc32c_polynomial : 0u);
    table[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 255];
    }
  }
  return table;
}();

/// The state after some bytes, on any processor.
constexpr std::uint32_t crc32c_by_tables(std::uint32_t state, std::span<std::byte const> bytes) noexcept {
  auto const& table = crc32c_table;
  auto const* byte = bytes.data();
  std::size_t left = bytes.size();
  auto const at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(byte[i]); };
  for (; left >= 8; left -= 8, byte += 8) {
    std::uint32_t const low = state ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    state = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
            table[3][at(4)] ^ table[2][at(5)] ^ table[1][at(6)] ^ table[0][at(7)];
  }
  for (; left > 0; --left, ++byte) state = state >> 8 ^ table[0][(state ^ at(0)) & 255];
  return state;
}

/// The product of two polynomials, modulo that of the checksum.
constexpr std::uint32_t crc32c_product(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1) {
    if (a & 0x80000000u) product ^= b;
    b = b >> 1 ^ (b & 1 ? crc32c_polynomial : 0u);
  }
  return product;
}

/// What so many bytes of zeros multiply a state by.
constexpr std::uint32_t crc32c_of_zeros(std::uint64_t bytes) noexcept {
  std::uint32_t result = 0x80000000u, power = 0x00800000u;  // 1, x^8
  for (; bytes != 0; bytes >>= 1) {
    if (bytes & 1) result = crc32c_product(result, power);
    power = crc32c_product(power, power);
  }
  return result;
}

#if defined(MIRNET_CRC32C_INSTRUCTION)

#if defined(__x86_64__)
MIRNET_CRC32C_INSTRUCTION inline std::uint32_t crc32c_step(std::uint32_t state, std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(__builtin_ia32_crc32di(state, word));
}
MIRNET_CRC32C_INSTRUCTION inline std::uint32_t crc32c_step(std::uint32_t state, std::byte byte) noexcept {
  return __builtin_ia32_crc32qi(state, std::to_integer<unsigned char>(byte));
}
inline bool crc32c_has_instruction() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }
#else
inline std::uint32_t crc32c_step(std::uint32_t state, std::uint64_t word) noexcept { return __crc32cd(state, word); }
inline std::uint32_t crc32c_step(std::uint32_t state, std::byte byte) noexcept {
  return __crc32cb(state, std::to_integer<std::uint8_t>(byte));
}
constexpr bool crc32c_has_instruction() noexcept { return true; }
#endif

/// The instruction starts every cycle and takes three: of so many bytes each, three parts are taken side by side.
inline constexpr std::size_t crc32c_part = 1024;

/// table[k][n]: the effect of half a byte of a state, the k-th, with a part behind it.
inline constexpr auto crc32c_part_table = [] {
  std::array<std::array<std::uint32_t, 16>, 8> table{};
  std::uint32_t const zeros = crc32c_of_zeros(crc32c_part);
  for (std::size_t k = 0; k < 8; ++k) {
    for (std::uint32_t n = 0; n < 16; ++n) table[k][n] = crc32c_product(zeros, n << (4 * k));
  }
  return table;
}();

constexpr std::uint32_t crc32c_behind_part(std::uint32_t state) noexcept {
  std::uint32_t result = 0;
  for (std::size_t k = 0; k < 8; ++k) result ^= crc32c_part_table[k][state >> (4 * k) & 15];
  return result;
}

/// As crc32c_by_tables, where crc32c_has_instruction().
MIRNET_CRC32C_INSTRUCTION inline std::uint32_t crc32c_by_instruction(std::uint32_t state,
                                                                     std::span<std::byte const> bytes) noexcept {
  auto const* byte = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t word;
  for (; left >= 3 * crc32c_part; left -= 3 * crc32c_part, byte += 3 * crc32c_part) {
    std::uint32_t second = 0, third = 0;
    for (std::size_t i = 0; i < crc32c_part; i += sizeof word) {
      std::memcpy(&word, byte + i, sizeof word);
      state = crc32c_step(state, word);
      std::memcpy(&word, byte + crc32c_part + i, sizeof word);
      second = crc32c_step(second, word);
      std::memcpy(&word, byte + 2 * crc32c_part + i, sizeof word);
      third = crc32c_step(third, word);
    }
    state = crc32c_behind_part(crc32c_behind_part(state) ^ second) ^ third;
  }
  for (; left >= sizeof word; left -= sizeof word, byte += sizeof word) {
    std::memcpy(&word, byte, sizeof word);
    state = crc32c_step(state, word);
  }
  for (; left > 0; --left, ++byte) state = crc32c_step(state, *byte);
  return state;
}

#endif

}  // namespace detail

/// The checksum of everything added so far.
class Crc32c {
 public:
  constexpr void add(std::span<std::byte const> bytes) noexcept {
#if defined(MIRNET_CRC32C_INSTRUCTION)
    if (!std::is_constant_evaluated() && uses_instruction()) {
      state_ = detail::crc32c_by_instruction(state_, bytes);
      return;
    }
#endif
    state_ = detail::crc32c_by_tables(state_, bytes);
  }

  /// As if the bytes that were added to `next`, this many, had been added here.
  constexpr void append(Crc32c next, std::uint64_t bytes) noexcept {
    state_ = ~(detail::crc32c_product(detail::crc32c_of_zeros(bytes), value()) ^ next.value());
  }

  constexpr std::uint32_t value() const noexcept { return ~state_; }

  /// Whether the processor has an instruction for this.
  static bool uses_instruction() noexcept {
#if defined(MIRNET_CRC32C_INSTRUCTION)
    return detail::crc32c_has_instruction();
#else
    return false;
#endif
  }

 private:
  std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace mirnet::inline MIRNET_ABI

#undef MIRNET_CRC32C_INSTRUCTION

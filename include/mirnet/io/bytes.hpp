// Bytes of files: a buffer that owns and grows them, and numbers read and written in a stated byte order.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Move-only owner of any number of bytes.
class ByteBuffer {
 public:
  ByteBuffer() = default;

  /// `size` bytes that are not initialised. Errors: memory.
  static Result<ByteBuffer> create(Index size) noexcept {
    auto memory = Memory::allocate(size);
    if (!memory) return memory.error();
    ByteBuffer buffer;
    buffer.memory_ = *std::move(memory);
    buffer.size_ = static_cast<std::size_t>(size);
    return buffer;
  }

  std::span<std::byte> bytes() noexcept { return memory_.bytes().first(size_); }
  std::span<std::byte const> bytes() const noexcept { return memory_.bytes().first(size_); }

  /// Takes room for as many bytes in all, which can then be added without moving those that are there. Errors: memory.
  Result<void> reserve(Index room) noexcept {
    if (static_cast<std::size_t>(room) <= memory_.bytes().size()) return {};
    auto grown = Memory::allocate(room);
    if (!grown) return grown.error();
    if (size_ != 0) std::memcpy(grown->bytes().data(), memory_.bytes().data(), size_);
    memory_ = *std::move(grown);
    return {};
  }

  /// Adds bytes at the end, in constant time on average. Errors: memory.
  Result<void> append(std::span<std::byte const> more) noexcept {
    if (more.size() > memory_.bytes().size() - size_) {
      constexpr auto most = static_cast<std::size_t>((std::numeric_limits<Index>::max)());
      if (more.size() > most - size_) return Error(ErrorCode::memory, "more bytes than this machine can address");
      auto const reserved = reserve(static_cast<Index>((std::max)(size_ + more.size(), (std::min)(2 * size_, most))));
      if (!reserved) return reserved;
    }
    if (!more.empty()) std::memcpy(memory_.bytes().data() + size_, more.data(), more.size());
    size_ += more.size();
    return {};
  }

 private:
  Memory memory_;
  std::size_t size_ = 0;
};

/// The unsigned number in sizeof(T) bytes, least significant byte first. The bytes need no alignment.
template <std::unsigned_integral T>
constexpr T load_little(std::byte const* p) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | std::to_integer<T>(p[i]) << (8 * i));
  return value;
}

/// The same, most significant byte first.
template <std::unsigned_integral T>
constexpr T load_big(std::byte const* p) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8 | std::to_integer<T>(p[i]));
  return value;
}

template <std::unsigned_integral T>
constexpr void store_little(std::byte* p, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) p[i] = static_cast<std::byte>(value >> (8 * i));
}

template <std::unsigned_integral T>
constexpr void store_big(std::byte* p, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) p[i] = static_cast<std::byte>(value >> (8 * (sizeof(T) - 1 - i)));
}

}  // namespace mirnet::inline MIRNET_ABI

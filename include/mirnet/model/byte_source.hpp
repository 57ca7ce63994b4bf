// Where a weight file's bytes come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <mirnet/version.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Random access to a file's bytes.
class ByteSource {
 public:
  virtual std::uint64_t size() const noexcept = 0;

  /// Fills `to` with the bytes from `offset` on; false where they cannot be read, all of them.
  virtual bool read(std::uint64_t offset, std::span<std::byte> to) noexcept = 0;

  /// Whether several threads may call read() at the same time.
  virtual bool concurrent() const noexcept { return false; }

 protected:
  ~ByteSource() = default;
};

/// A file that lies in memory: mapped, or compiled into the program. Any alignment.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<std::byte const> bytes) noexcept : bytes_(bytes) {}

  std::uint64_t size() const noexcept override { return bytes_.size(); }

  bool read(std::uint64_t offset, std::span<std::byte> to) noexcept override {
    if (offset > bytes_.size() || to.size() > bytes_.size() - offset) return false;
    // An empty range may have no address.
    if (!to.empty()) std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return true;
  }

  bool concurrent() const noexcept override { return true; }

 private:
  std::span<std::byte const> bytes_;
};

}  // namespace mirnet::inline MIRNET_ABI

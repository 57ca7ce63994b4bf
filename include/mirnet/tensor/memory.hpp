// A block of aligned bytes from the heap: the only place where the library takes memory by itself. Everything
// that uses one also accepts the caller's bytes.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include <mirnet/base/result.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Move-only owner of bytes that start at a multiple of 64.
class Memory {
 public:
  Memory() = default;

  /// Errors: memory.
  static Result<Memory> allocate(Index bytes) noexcept {
    auto const rounded = checked_sum(bytes, alignment_bytes - 1);
    Memory memory;
    if (rounded) {
      memory.size_ = static_cast<std::size_t>(round_up(bytes, alignment_bytes));
      memory.bytes_.reset(static_cast<std::byte*>(
          std::aligned_alloc(static_cast<std::size_t>(alignment_bytes), memory.size_ ? memory.size_ : 64)));
    }
    if (!memory.bytes_)
      return Error(ErrorCode::memory, "%lld bytes of memory are not to be had", static_cast<long long>(bytes));
    return memory;
  }

  std::span<std::byte> bytes() const noexcept { return {bytes_.get(), bytes_ ? size_ : 0}; }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  std::size_t size_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

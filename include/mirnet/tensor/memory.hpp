// A block of aligned bytes from the heap: the only place where the library takes memory by itself. Everything
// that uses one also accepts the caller's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <sys/mman.h>
#endif

#include <mirnet/base/result.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Move-only owner of bytes that start at a multiple of 64.
class Memory {
 public:
  Memory() = default;

  /// Bytes that are not initialised. Errors: memory.
  static Result<Memory> allocate(Index bytes) noexcept {
    auto const rounded = checked_sum(bytes, alignment_bytes - 1);
    Memory memory;
    if (rounded) {
      memory.size_ = static_cast<std::size_t>(round_up(bytes, alignment_bytes));
      memory.bytes_.reset(static_cast<std::byte*>(take(memory.size_ ? memory.size_ : 64)));
    }
    if (!memory.bytes_)
      return Error(ErrorCode::memory, "cannot allocate %lld bytes of memory", static_cast<long long>(bytes));
    return memory;
  }

  /// Bytes that are zero, as those are to be that weights are packed into. Errors: memory.
  static Result<Memory> zeros(Index bytes) noexcept {
    auto memory = allocate(bytes);
    if (memory && bytes > 0) std::memset(memory->bytes().data(), 0, memory->bytes().size());
    return memory;
  }

  std::span<std::byte> bytes() const noexcept { return {bytes_.get(), bytes_ ? size_ : 0}; }

 private:
  static constexpr auto alignment = static_cast<std::size_t>(alignment_bytes);
#if defined(_WIN32)  // whose C library has no aligned_alloc
  static void* take(std::size_t size) noexcept { return ::_aligned_malloc(size, alignment); }
  static void give_back(void* p) noexcept { ::_aligned_free(p); }
#else
  // Not std::aligned_alloc, which GCC's library for bare metal lacks.
  static void* take(std::size_t size) noexcept {
#if defined(MADV_HUGEPAGE)
    // A large block in large pages, where the system has them: with small ones it costs a fault for each 4 KiB, and
    // more of the processor's address tables. The size stays what it is, so that nothing is taken in vain.
    constexpr std::size_t large_page = std::size_t{1} << 21;
    if (size >= 2 * large_page && size <= SIZE_MAX - large_page) {
      void* const block = ::aligned_alloc(large_page, (size + large_page - 1) / large_page * large_page);
      if (block != nullptr) ::madvise(block, size / large_page * large_page, MADV_HUGEPAGE);
      return block;
    }
#endif
    return ::aligned_alloc(alignment, size);
  }
  static void give_back(void* p) noexcept { std::free(p); }
#endif

  struct Free {
    void operator()(std::byte* p) const noexcept { give_back(p); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  std::size_t size_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

// The memory that stb_image and stb_image_write work in. They do not look everywhere whether they got any: where there
// is none, the call of theirs ends at once. They are C, so that nothing is left to do then but to give back what they
// have, which is kept track of here.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI::detail {

/// What calls of stb in one thread take while this object lives; what they leave is given back with it.
class StbMemory {
 public:
  StbMemory() noexcept : outer_(current()) { current() = this; }
  StbMemory(StbMemory const&) = delete;
  StbMemory& operator=(StbMemory const&) = delete;
  ~StbMemory() {
    current() = outer_;
    while (all_.next != &all_) give_back(all_.next + 1);
  }

  /// body(), which calls stb; false where it was ended because there was no memory. It must own nothing by itself.
  template <class Body>
  bool enough_for(Body const& body) noexcept {
    if (setjmp(none_left_) != 0) return false;
    call(body);
    return true;
  }

  // In place of malloc, realloc and free.
  static void* take(std::size_t size) noexcept {
    bool const countable = size <= (std::numeric_limits<std::size_t>::max)() - sizeof(Block);
    auto* const block = countable ? static_cast<Block*>(std::malloc(sizeof(Block) + size)) : nullptr;
    StbMemory* const memory = current();
    if (block == nullptr) {
      if (memory != nullptr) std::longjmp(memory->none_left_, 1);
      return nullptr;
    }
    block->previous = block->next = block;
    if (memory != nullptr) memory->all_.append(*block);
    return block + 1;
  }
  static void* take_more(void* p, std::size_t old_size, std::size_t size) noexcept {
    void* const larger = take(size);
    if (larger != nullptr && p != nullptr) {
      std::memcpy(larger, p, (std::min)(old_size, size));
      give_back(p);
    }
    return larger;
  }
  static void give_back(void* p) noexcept {
    if (p == nullptr) return;
    Block* const block = static_cast<Block*>(p) - 1;
    block->previous->next = block->next;
    block->next->previous = block->previous;
    std::free(block);
  }

 private:
  /// Never part of the function that is jumped back to: GCC sees stb's variables in danger there, and warns.
  template <class Body>
  MIRNET_NOINLINE static void call(Body const& body) noexcept {
    body();
  }

  /// What lies before each piece of memory: a ring of all of them.
  struct alignas(std::max_align_t) Block {
    Block *previous = this, *next = this;

    void append(Block& other) noexcept {
      other.previous = this;
      other.next = next;
      next->previous = &other;
      next = &other;
    }
  };

  /// Null where somebody else calls stb.
  static StbMemory*& current() noexcept {
    static thread_local StbMemory* memory = nullptr;
    return memory;
  }

  StbMemory* outer_;
  std::jmp_buf none_left_;
  Block all_;
};

}  // namespace mirnet::inline MIRNET_ABI::detail

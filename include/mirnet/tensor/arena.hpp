// Working memory with lifetimes. A network takes its feature maps from an arena and gives them back when the last
// reader is done; the same requests always get the same places, so a rehearsal without memory tells how many bytes
// a run needs, exactly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Places blocks at the lowest free offset of one range of bytes. No heap: the list of live blocks is part of it.
class Arena {
 public:
  /// An arena that only measures: it hands out offsets without memory behind them, and peak() is what was needed.
  Arena() = default;

  /// An arena over the caller's bytes, which must start at a multiple of 64 and outlive what is taken from it.
  explicit Arena(std::span<std::byte> memory) noexcept
      : base_(memory.data()), size_(static_cast<Index>(memory.size())) {
    MIRNET_ASSERT(reinterpret_cast<std::uintptr_t>(base_) % alignment_bytes == 0);
  }

  constexpr bool measuring() const noexcept { return base_ == nullptr; }
  constexpr Index peak() const noexcept { return peak_; }
  constexpr Index live_blocks() const noexcept { return count_; }
  /// Of the blocks that are taken now.
  constexpr Index live_bytes() const noexcept {
    Index bytes = 0;
    for (Index i = 0; i < count_; ++i) bytes += blocks_[i].size;
    return bytes;
  }

  /// The offset of a free range of `bytes`. Asserts that there is one: a plan has proved it beforehand.
  constexpr Index take(Index bytes) noexcept {
    MIRNET_ASSERT(count_ < capacity && bytes >= 0 && bytes <= (std::numeric_limits<Index>::max)() - alignment_bytes);
    // Nothing is empty, so that offsets identify blocks.
    Index const size = round_up(std::max<Index>(bytes, 1), alignment_bytes);
    Index place = 0, at = 0;
    while (at < count_ && blocks_[at].offset - place < size) {
      place = blocks_[at].offset + blocks_[at].size;
      ++at;
    }
    MIRNET_ASSERT(size <= size_ - place);
    std::move_backward(blocks_ + at, blocks_ + count_, blocks_ + count_ + 1);
    blocks_[at] = {place, size};
    ++count_;
    peak_ = (std::max)(peak_, place + size);
    return place;
  }

  constexpr void give_back(Index offset) noexcept {
    Block* const block = find(offset);
    std::move(block + 1, blocks_ + count_, block);
    --count_;
  }

  /// Moves a block and what it holds to the lowest place where it fits, and returns that: what is held for long is not
  /// to leave gaps that are too small for others.
  constexpr Index settle(Index offset) noexcept {
    Index const size = find(offset)->size;
    give_back(offset);
    Index const place = take(size);  // at the latest where it was
    if (!measuring() && place != offset) std::memmove(base_ + place, base_ + offset, static_cast<std::size_t>(size));
    return place;
  }

  /// Where an offset lies; null while measuring.
  constexpr std::byte* at(Index offset) const noexcept { return measuring() ? nullptr : base_ + offset; }

 private:
  struct Block {
    Index offset = 0, size = 0;
  };
  static constexpr Index capacity = 64;  // four streams in four columns, with every transient, need about half

  constexpr Block* find(Index offset) noexcept {
    Block* const end = blocks_ + count_;
    Block* const block = std::find_if(blocks_, end, [&](Block const& b) { return b.offset == offset; });
    MIRNET_ASSERT(block != end);
    return block;
  }

  std::byte* base_ = nullptr;
  Index size_ = (std::numeric_limits<Index>::max)();
  Index peak_ = 0;
  Index count_ = 0;
  Block blocks_[capacity];  // by offset
};

/// A block of an arena for as long as this object lives; move-only. Its contents are not initialised.
template <class T>
class ArenaBlock {
 public:
  ArenaBlock() = default;
  constexpr ArenaBlock(Arena& arena, Index elements) noexcept
      : arena_(&arena), offset_(arena.take(elements * static_cast<Index>(sizeof(T)))) {}
  constexpr ArenaBlock(ArenaBlock&& other) noexcept
      : arena_(std::exchange(other.arena_, nullptr)), offset_(other.offset_) {}
  constexpr ArenaBlock& operator=(ArenaBlock&& other) noexcept {
    release();
    arena_ = std::exchange(other.arena_, nullptr);
    offset_ = other.offset_;
    return *this;
  }
  constexpr ~ArenaBlock() { release(); }

  constexpr void release() noexcept {
    if (arena_ != nullptr) std::exchange(arena_, nullptr)->give_back(offset_);
  }

  /// Arena::settle; pointers into the block end to be valid.
  constexpr void settle() noexcept {
    if (arena_ != nullptr) offset_ = arena_->settle(offset_);
  }

  /// Null while the arena only measures.
  constexpr T* data() const noexcept {
    return arena_ == nullptr || arena_->measuring() ? nullptr : reinterpret_cast<T*>(arena_->at(offset_));
  }

 private:
  Arena* arena_ = nullptr;
  Index offset_ = 0;
};

/// A feature map in an arena.
template <class T>
class ArenaMap {
 public:
  ArenaMap() = default;
  constexpr ArenaMap(Arena& arena, Shape shape) noexcept
      : block_(arena, shape.pixels() * pixel_pitch<T>(shape.channels)), shape_(shape) {}

  constexpr View<T> view() const noexcept { return {block_.data(), shape_}; }
  constexpr operator View<T>() const noexcept { return view(); }
  constexpr operator View<T const>() const noexcept { return view(); }
  constexpr Shape shape() const noexcept { return shape_; }
  constexpr void release() noexcept { block_.release(); }
  constexpr void settle() noexcept { block_.settle(); }

 private:
  ArenaBlock<T> block_;
  Shape shape_{};
};

}  // namespace mirnet::inline MIRNET_ABI

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
///
/// What it cannot place it refuses, for good: fault() says why, and a Context with that arena computes nothing more.
class Arena {
 public:
  /// Why a block was refused.
  enum class Fault {
    none,
    no_room,          ///< the memory is too small, or there is none
    too_many_blocks,  ///< more than most_blocks at a time
  };
  static constexpr Index most_blocks = 64;  // four streams in four columns, with every transient, need about half
  /// The offset of a block that was refused.
  static constexpr Index nowhere = -1;

  /// An arena without memory: it refuses every block.
  Arena() = default;

  /// An arena over the caller's bytes, which must start at a multiple of 64 and outlive what is taken from it.
  explicit Arena(std::span<std::byte> memory) noexcept
      : base_(memory.data()), size_(static_cast<Index>(memory.size())) {
    MIRNET_ASSERT(starts_a_line(base_));
  }

  /// An arena that only measures: it hands out offsets without memory behind them, and peak() is what was needed.
  static constexpr Arena for_rehearsal() noexcept {
    Arena arena;
    arena.measuring_ = true;
    arena.size_ = (std::numeric_limits<Index>::max)();
    return arena;
  }

  constexpr bool measuring() const noexcept { return measuring_; }
  constexpr Fault fault() const noexcept { return fault_; }
  /// Of the memory; of a rehearsal the largest Index.
  constexpr Index size() const noexcept { return size_; }
  /// The bytes that were needed at most, up to the first fault.
  constexpr Index peak() const noexcept { return peak_; }
  constexpr Index live_blocks() const noexcept { return count_; }
  /// Of the blocks that are taken now.
  constexpr Index live_bytes() const noexcept {
    Index bytes = 0;
    for (Index i = 0; i < count_; ++i) bytes += blocks_[i].size;
    return bytes;
  }

  /// The offset of a free range of `bytes`, or `nowhere`.
  constexpr Index take(Index bytes) noexcept {
    MIRNET_ASSERT(bytes >= 0 && bytes <= (std::numeric_limits<Index>::max)() - alignment_bytes);
    if (fault_ != Fault::none) return nowhere;
    if (count_ == most_blocks) return refuse(Fault::too_many_blocks);
    // Nothing is empty, so that offsets identify blocks.
    Index const size = round_up(std::max<Index>(bytes, 1), alignment_bytes);
    Index place = 0, at = 0;
    while (at < count_ && blocks_[at].offset - place < size) {
      place = blocks_[at].offset + blocks_[at].size;
      ++at;
    }
    if (size > size_ - place) return refuse(Fault::no_room);
    std::move_backward(blocks_ + at, blocks_ + count_, blocks_ + count_ + 1);
    blocks_[at] = {place, size};
    ++count_;
    peak_ = (std::max)(peak_, place + size);
    return place;
  }

  constexpr void give_back(Index offset) noexcept {
    if (offset == nowhere) return;
    Block* const block = find(offset);
    std::move(block + 1, blocks_ + count_, block);
    --count_;
  }

  /// Moves a block and what it holds to the lowest place where it fits, and returns that: what is held for long is not
  /// to leave gaps that are too small for others.
  constexpr Index settle(Index offset) noexcept {
    if (fault_ != Fault::none) return offset;
    Index const size = find(offset)->size;
    give_back(offset);
    Index const place = take(size);  // at the latest where it was
    if (!measuring() && place != offset) std::memmove(base_ + place, base_ + offset, static_cast<std::size_t>(size));
    return place;
  }

  /// Where an offset lies; null while measuring, and for `nowhere`.
  constexpr std::byte* at(Index offset) const noexcept {
    return measuring_ || offset == nowhere ? nullptr : base_ + offset;
  }

 private:
  struct Block {
    Index offset = 0, size = 0;
  };

  /// A rehearsal reports faults. A run in memory that no rehearsal has measured is a mistake of the caller's.
  constexpr Index refuse(Fault fault) noexcept {
    fault_ = fault;
    MIRNET_ASSERT(measuring_ && "the context's arena has too little memory, or none: rehearse first");
    return nowhere;
  }

  constexpr Block* find(Index offset) noexcept {
    Block* const end = blocks_ + count_;
    Block* const block = std::find_if(blocks_, end, [&](Block const& b) { return b.offset == offset; });
    MIRNET_ASSERT(block != end);
    return block;
  }

  std::byte* base_ = nullptr;
  Index size_ = 0;
  Index peak_ = 0;
  Index count_ = 0;
  Fault fault_ = Fault::none;
  bool measuring_ = false;
  Block blocks_[most_blocks];  // by offset
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

  /// Null while the arena only measures, and where it has refused the block.
  constexpr T* data() const noexcept {
    if (arena_ == nullptr || arena_->measuring()) return nullptr;
    return reinterpret_cast<T*>(arena_->at(offset_));
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
  constexpr Index height() const noexcept { return shape_.height; }
  constexpr Index width() const noexcept { return shape_.width; }
  constexpr Index channels() const noexcept { return shape_.channels; }
  constexpr void release() noexcept { block_.release(); }
  constexpr void settle() noexcept { block_.settle(); }

 private:
  ArenaBlock<T> block_;
  Shape shape_{};
};

}  // namespace mirnet::inline MIRNET_ABI

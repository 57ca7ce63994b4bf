// Everything that changes while a network runs: which kernels, whose threads, which memory. A model is const and can
// be shared; each thread that runs it brings a context of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <mirnet/kernels/table.hpp>
#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/arena.hpp>

namespace mirnet::inline v0 {

/// Told how far a run has come, many times in a second, in the thread that called it.
struct Progress {
  void (*call)(void* self, std::uint64_t macs) noexcept = nullptr;  ///< macs: those of the context so far
  void* self = nullptr;
};

/// Handed to every layer. While its arena only measures, layers take and give back their memory as in a run and count
/// their arithmetic, but call no kernel: that is how a plan is made.
template <class T>
struct Context {
  explicit Context(KernelTable<T> const& table, ParallelFor threads = {}) noexcept
      : kernels(&table), parallel(threads) {}

  KernelTable<T> const* kernels;
  ParallelFor parallel;
  Arena arena;
  Algorithm algorithm = Algorithm::automatic;
  std::uint64_t macs = 0;  ///< multiply-accumulates since the context was made
  Progress progress;
  /// Once this is true, runs end with ErrorCode::cancelled, after the work that is being done. A signal handler may set
  /// it where atomic<bool> is free of locks.
  std::atomic<bool> const* stop = nullptr;

  bool stopped() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed); }

  /// body(first, last, worker) for ranges of at most `most` that make up [0, total).
  template <class Body>
  void each_range(Index total, Index most, Body&& body) const noexcept {
    if (arena.measuring() || stopped()) return;
    parallel(divide_up(total, most), [&](Index item, Index worker) {
      if (stopped()) return;
      Index const first = item * most;
      body(first, std::min(first + most, total), worker);
    });
  }

  /// body() once, in the calling thread.
  template <class Body>
  void once(Body&& body) const noexcept {
    if (!arena.measuring() && !stopped()) body();
  }

  /// `bytes` of scratch memory for each worker; worker w's start at data() + w*bytes.
  ArenaBlock<std::byte> scratch(Index bytes) noexcept { return {arena, bytes * parallel.workers}; }

  void count(Index pixels, Index macs_a_pixel) noexcept {
    macs += static_cast<std::uint64_t>(pixels) * static_cast<std::uint64_t>(macs_a_pixel);
    if (progress.call != nullptr) progress.call(progress.self, macs);
  }
};

/// Rows of a map in a range of Context::each_range, for kernels that go row by row.
inline constexpr Index rows_a_range = 8;

}  // namespace mirnet::inline v0

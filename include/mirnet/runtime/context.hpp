// Everything that changes while a network runs: which kernels, whose threads, which memory. A model is const and can
// be shared; each thread that runs it brings a context of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <mirnet/kernels/table.hpp>
#include <mirnet/runtime/float_mode.hpp>
#include <mirnet/runtime/parallel.hpp>
#include <mirnet/runtime/trace.hpp>
#include <mirnet/tensor/arena.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Told how far a run has come, many times in a second, in the thread that called it.
struct Progress {
  void (*call)(void* self, std::uint64_t macs) noexcept = nullptr;  ///< macs: those of the context so far
  void* self = nullptr;
};

template <class T>
class ScopedContext;

/// Handed to every layer. While its arena only measures, layers take and give back their memory as in a run and count
/// their arithmetic, but call no kernel: that is how a plan is made.
template <class T>
struct Context {
  explicit constexpr Context(KernelTable<T> const& table, ParallelFor threads = {}) noexcept
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

  Trace trace;
  Scope const* scope = nullptr;  ///< where the network is
  Node const* node = nullptr;    ///< what is being computed; null without a trace
  Index nodes = 0;               ///< that the run has had so far

  constexpr bool stopped() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed); }

  /// body(first, last, worker) for ranges of at most `most` that make up [0, total).
  template <class Body>
  constexpr void each_range(Index total, Index most, Body&& body) const noexcept {
    if (arena.measuring() || stopped()) return;
    parallel(divide_up(total, most), [&](Index item, Index worker) {
      if (stopped()) return;
      Index const first = item * most;
      told(worker, [&] { body(first, (std::min)(first + most, total), worker); });
    });
  }

  /// body() once, in the calling thread.
  template <class Body>
  constexpr void once(Body&& body) const noexcept {
    if (!arena.measuring() && !stopped()) told(0, body);
  }

  /// `bytes` of scratch memory for each worker; worker w's start at data() + w*bytes.
  constexpr ArenaBlock<std::byte> scratch(Index bytes) noexcept { return {arena, bytes * parallel.workers}; }

  constexpr void count(Index pixels, Index macs_a_pixel) noexcept {
    macs += static_cast<std::uint64_t>(pixels) * static_cast<std::uint64_t>(macs_a_pixel);
    if (progress.call != nullptr) progress.call(progress.self, macs);
  }

  /// This context, inside of what has that name: context.at("blocks", 2) for an expression or a block. Nothing is
  /// copied but pointers.
  constexpr ScopedContext<T> at(char const* text, Index number = Scope::none, Index second = Scope::none) noexcept {
    return {*this, text, number, second};
  }

  /// The next node of the run, which is where the network is.
  constexpr Node new_node(char const* operation, Shape input, Shape output) noexcept {
    Node made;
    if (scope != nullptr) made.scope = *scope;
    made.operation = operation;
    made.input = input;
    made.output = output;
    made.bytes = bytes_of(input) + bytes_of(output);
    made.number = nodes++;
    return made;
  }

  /// Of a whole map, its channels padded.
  static constexpr Index bytes_of(Shape map) noexcept {
    return map.pixels() * pixel_pitch<T>(map.channels) * static_cast<Index>(sizeof(T));
  }

 private:
  /// A worker's part of the node that runs.
  template <class Body>
  void told(Index worker, Body&& body) const noexcept {
    if (node != nullptr) [[unlikely]]
      trace.begin(trace.self, *node, worker);
    {
      FloatMode const mode;
      body();
    }
    if (node != nullptr) [[unlikely]]
      trace.end(trace.self, *node, worker);
  }
};

/// A context inside of a scope that ends with this object. Converts to the context.
template <class T>
class ScopedContext {
 public:
  constexpr ScopedContext(Context<T>& context, char const* text, Index number, Index second) noexcept
      : context_(context), scope_{context.scope, text, number, second} {
    // At compile time nobody asks for names, and GCC 12 cannot follow the address of an object that is returned.
    if (!std::is_constant_evaluated()) context.scope = &scope_;
  }
  ScopedContext(ScopedContext const&) = delete;
  ScopedContext& operator=(ScopedContext const&) = delete;
  constexpr ~ScopedContext() { context_.scope = scope_.outer; }

  constexpr operator Context<T>&() const noexcept { return context_; }
  constexpr ScopedContext at(char const* text, Index number = Scope::none, Index second = Scope::none) const noexcept {
    return context_.at(text, number, second);
  }

 private:
  Context<T>& context_;
  Scope scope_;
};

/// A piece of a node's work, which takes as long as this object lives.
template <class T>
class Piece {
 public:
  constexpr Piece(Context<T>& context, Node& node) noexcept : context_(context) {
    if (context.trace.begin == nullptr) [[likely]]
      return;
    MIRNET_ASSERT(context.node == nullptr);
    node.live_bytes = context.arena.live_bytes();
    context.trace.begin(context.trace.self, node, Trace::whole);
    context.node = &node;
  }
  Piece(Piece const&) = delete;
  Piece& operator=(Piece const&) = delete;
  constexpr ~Piece() {
    Node const* const node = std::exchange(context_.node, nullptr);
    if (node != nullptr) [[unlikely]]
      context_.trace.end(context_.trace.self, *node, Trace::whole);
  }

 private:
  Context<T>& context_;
};

/// Rows of a map in a range of Context::each_range, for kernels that go row by row.
inline constexpr Index rows_a_range = 8;

}  // namespace mirnet::inline MIRNET_ABI

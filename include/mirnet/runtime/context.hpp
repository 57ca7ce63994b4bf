// Everything that changes while a network runs: which kernels, whose threads, which memory. A model is const and can
// be shared; each thread that runs it brings a context of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/base/result.hpp>
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

/// What a layer requires of its maps, besides their shape and rows without gaps (View::dense).
enum class Layout {
  lines,  ///< kernels read and write whole lines (channels_per_line): pixels start at one, and all of the channels'
          ///< lines are theirs
  dense,  ///< and nothing else lies between the pixels: no slice of a map with more channels
};

/// Why a layer did not take a map that it was given.
struct Refusal {
  char const* layer = nullptr;  ///< null: there is none
  char const* map = "";         ///< which
  Shape found{}, expected{};
  Index found_pitch = 0, expected_pitch = 0;  ///< 0: the shape is what is wrong
  bool multiple = false;                      ///< multiples of the expected pitch would do
  Index found_row_pitch = 0;                  ///< wrong if it is not the width times found_pitch
  Index line = 0;                             ///< it does not start at a multiple of so many bytes; 0: it does
  char const* reason = nullptr;               ///< a sentence, instead of all that
};

template <class T>
class ScopedContext;
template <class T>
struct Context;

/// What functions take that are handed a Context or what Context::at returns.
template <class T>
class AnyContext {
 public:
  constexpr AnyContext() = default;
  explicit constexpr AnyContext(Context<T>& context) noexcept : context_(&context) {}

  /// The context that computes.
  constexpr Context<T>& context() const noexcept {
    return context_ != nullptr ? *context_ : static_cast<Context<T>&>(const_cast<AnyContext&>(*this));
  }

 protected:
  Context<T>* context_ = nullptr;  // null: this is the context
};

/// Handed to every layer, with an arena over memory to compute in.
///
/// In a rehearsal, layers take and give back their memory as in a run and count their arithmetic, but call no kernel:
/// that is how a plan is made. Without memory, or with too little, and once a layer has refused a map, nothing more is
/// computed: status() says why, and an assertion fails where it happens.
template <class T>
struct Context : AnyContext<T> {
  explicit constexpr Context(KernelTable<T> const& table, ParallelFor threads = {}) noexcept
      : kernels(&table), parallel(threads) {}

  /// A context that only measures: arena.peak() is what a run with these kernels and workers needs.
  static constexpr Context for_rehearsal(KernelTable<T> const& table, ParallelFor threads = {}) noexcept {
    Context context(table, threads);
    context.arena = Arena::for_rehearsal();
    return context;
  }

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
  Index pieces = 1;              ///< of a run that what is rehearsed stands for

  Refusal refusal;  ///< the first, kept until the caller clears it
  Name refused_in;  ///< the scope of the layer

  /// Whether all that was asked for was computed, or measured. Errors: invalid_argument, where a layer was given a map
  /// that it does not take; memory, where the arena could not hand out a block; cancelled.
  constexpr Result<void> status() const noexcept {
    if (refusal.layer != nullptr) return refused();
    if (arena.fault() != Arena::Fault::none) return short_of_memory();
    if (stopped()) return Error(ErrorCode::cancelled, "stopped before the image was done");
    return {};
  }

  /// Whether a layer takes a map of this shape and layout. If not, the context computes nothing of what follows.
  template <class U>
  MIRNET_NOINLINE constexpr bool accepts(char const* layer, char const* name, View<U> map, Shape expected,
                                         Layout layout = Layout::lines) noexcept {
    using Element = std::remove_const_t<U>;
    bool const dense = layout == Layout::dense;
    return accepts_pitch(layer, name, map, expected,
                         dense ? pixel_pitch<Element>(map.channels()) : channels_per_line<Element>, !dense);
  }

  /// The same for a map whose pixel pitch has to be this, or a multiple of it.
  template <class U>
  constexpr bool accepts_pitch(char const* layer, char const* name, View<U> map, Shape expected, Index pitch,
                               bool multiple = false) noexcept {
    return check_map({layer, name, map.shape(), expected, map.pitch(), pitch, multiple, map.row_pitch(),
                      line_bytes<std::remove_const_t<U>>},
                     map.data());
  }

  /// Whether a layer's output is another map than its input. If not, the context computes nothing of what follows.
  constexpr bool differ(char const* layer, View<T const> input, View<T> output) noexcept {
    if (input.data() == nullptr || input.data() != output.data()) return true;
    return refuse({.layer = layer, .reason = "the output is the input, expected another map"});
  }

  /// Whether a layer's output has pixels, which it has not where the input is smaller than a window without padding. If
  /// not, the context computes nothing of what follows.
  constexpr bool has_pixels(char const* layer, Shape output) noexcept {
    return output.pixels() > 0 ||
           refuse({.layer = layer, .reason = "its output would be empty: the input is too small"});
  }

  /// Records that a layer does not take what it is given, so that nothing that follows is computed. Returns false.
  constexpr bool refuse(Refusal const& what) noexcept {
    if (refusal.layer == nullptr) {
      refusal = what;
      if (!std::is_constant_evaluated()) refused_in = scope == nullptr ? Name() : scope->name();
    }
    MIRNET_ASSERT(arena.measuring() && "a layer does not take what it is given: Context::status says why");
    return false;
  }

  /// Whether kernels are called: not in a rehearsal, without memory, after a refusal, or once it is to stop.
  constexpr bool computes() const noexcept {
    return !arena.measuring() && arena.fault() == Arena::Fault::none && refusal.layer == nullptr && !stopped();
  }

  constexpr bool stopped() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed); }

  /// Runs body() in this memory, from the first node on, and says how it went: status(). Afterwards the context has no
  /// memory.
  template <class Body>
  Result<void> compute_in(std::span<std::byte> memory, Body&& body) noexcept {
    arena = Arena(memory);
    refusal = {};
    nodes = 0;
    body();
    auto const done = status();
    arena = {};
    return done;
  }

  /// body(first, last, worker) for ranges of at most `most` that make up [0, total).
  template <class Body>
  constexpr void each_range(Index total, Index most, Body&& body) const noexcept {
    if (!computes()) return;
    run_ranges({*this, total, most, &body, [](void const* self, Index first, Index last, Index worker) noexcept {
                  (*static_cast<std::remove_reference_t<Body> const*>(self))(first, last, worker);
                }});
  }

  /// body() with no fast algorithm that rounds what it multiplies, for layers whose errors nothing makes smaller.
  template <class Body>
  constexpr void precisely(Body&& body) noexcept {
    Algorithm const before = algorithm;
    if (algorithm == Algorithm::automatic) algorithm = Algorithm::precise;
    body();
    algorithm = before;
  }

  /// body() once, in the calling thread.
  template <class Body>
  constexpr void once(Body&& body) const noexcept {
    each_range(1, 1, [&](Index, Index, Index) { body(); });
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
  static constexpr bool dense(Refusal const& map) noexcept {
    return map.found.height <= 1 || map.found_row_pitch == map.found.width * map.found_pitch;
  }

  /// `map` has what would be refused, and the bytes of its line. One function for all layers and types: code is small
  /// where memory is.
  MIRNET_NOINLINE constexpr bool check_map(Refusal map, void const* data) noexcept {
    if (starts_a_line(data, map.line)) map.line = 0;
    if (map.found == map.expected) {
      Index const pitch = map.found_pitch;
      if (map.line == 0 && dense(map) &&
          (map.multiple ? pitch % map.expected_pitch == 0 : pitch == map.expected_pitch)) {
        return true;
      }
    } else {
      map.expected_pitch = 0;
    }
    return refuse(map);
  }

  MIRNET_NOINLINE Result<void> refused() const noexcept {
    auto const number = [](Index value) { return static_cast<long long>(value); };
    Shape const &found = refusal.found, &expected = refusal.expected;
    char const* const where = refused_in.c_str();
    char const* const colon = *where == '\0' ? "" : ": ";
    if (refusal.reason != nullptr) {
      return Error(ErrorCode::invalid_argument, "%s%s%s: %s", where, colon, refusal.layer, refusal.reason);
    }
    if (refusal.expected_pitch == 0) {
      return Error(ErrorCode::invalid_argument,
                   "%s%s%s: the %s has %lldx%lld pixels of %lld channels, expected %lldx%lld of %lld", where, colon,
                   refusal.layer, refusal.map, number(found.width), number(found.height), number(found.channels),
                   number(expected.width), number(expected.height), number(expected.channels));
    }
    if (!dense(refusal)) {
      return Error(ErrorCode::invalid_argument,
                   "%s%s%s: the %s has a row pitch of %lld elements, expected %lld: rows without gaps, as in a copy",
                   where, colon, refusal.layer, refusal.map, number(refusal.found_row_pitch),
                   number(found.width * refusal.found_pitch));
    }
    if (refusal.line != 0) {
      return Error(ErrorCode::invalid_argument, "%s%s%s: the %s does not start at a multiple of %lld bytes", where,
                   colon, refusal.layer, refusal.map, number(refusal.line));
    }
    return Error(ErrorCode::invalid_argument,
                 "%s%s%s: the %s has a pixel pitch of %lld elements for %lld channels, expected %s%lld", where, colon,
                 refusal.layer, refusal.map, number(refusal.found_pitch), number(found.channels),
                 refusal.multiple ? "a multiple of " : "", number(refusal.expected_pitch));
  }

  MIRNET_NOINLINE Result<void> short_of_memory() const noexcept {
    if (arena.fault() == Arena::Fault::too_many_blocks) {
      return Error(ErrorCode::memory, "the network holds more than %lld maps at a time",
                   static_cast<long long>(Arena::most_blocks));
    }
    return Error(ErrorCode::memory, "the context's arena has %lld bytes, a layer needs more",
                 static_cast<long long>(arena.size()));
  }

  /// The work of each_range without the type of its body, so that all layers share one function.
  struct Ranges {
    Context const& context;
    Index total, most;
    void const* body;
    void (*call)(void const* body, Index first, Index last, Index worker) noexcept;
  };

  MIRNET_NOINLINE static void run_range(Ranges const& ranges, Index item, Index worker) noexcept {
    Context const& context = ranges.context;
    if (context.stopped()) return;
    Index const first = item * ranges.most;
    if (context.node != nullptr) [[unlikely]]
      context.trace.begin(context.trace.self, *context.node, worker);
    {
      FloatMode const mode;
      ranges.call(ranges.body, first, (std::min)(first + ranges.most, ranges.total), worker);
    }
    if (context.node != nullptr) [[unlikely]]
      context.trace.end(context.trace.self, *context.node, worker);
  }

  MIRNET_NOINLINE static void run_ranges(Ranges const& ranges) noexcept {
    ranges.context.parallel(divide_up(ranges.total, ranges.most),
                            [&](Index item, Index worker) { run_range(ranges, item, worker); });
  }
};

/// A context inside of a scope that ends with this object. Converts to the context.
template <class T>
class ScopedContext : public AnyContext<T> {
 public:
  constexpr ScopedContext(Context<T>& context, char const* text, Index number, Index second) noexcept
      : AnyContext<T>(context), scope_{context.scope, text, number, second} {
    // At compile time names are not needed, and GCC 12 cannot track the address of an object that is returned. Nor does
    // it see that the destructor removes the address.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
    if (!std::is_constant_evaluated()) context.scope = &scope_;
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic pop
#endif
  }
  ScopedContext(ScopedContext const&) = delete;
  ScopedContext& operator=(ScopedContext const&) = delete;
  // Not context(): GCC 12 warns of what would be if this were no ScopedContext.
  constexpr ~ScopedContext() { this->context_->scope = scope_.outer; }

  constexpr operator Context<T>&() const noexcept { return *this->context_; }
  constexpr ScopedContext at(char const* text, Index number = Scope::none, Index second = Scope::none) const noexcept {
    return this->context_->at(text, number, second);
  }

 private:
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
    node.pieces = context.pieces;
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

// What a run tells an application that wants to know where its time goes: when each layer works on a map, what that
// work is, and when each worker has a part in it. Nothing here allocates, and without a trace nothing is called.
#pragma once

#include <cstdint>

#include <mirnet/base/name.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A step of the way from the network to a layer. The steps lie on the stack, each points to the one around it.
struct Scope {
  static constexpr Index none = -1;

  Scope const* outer = nullptr;
  char const* text = "";
  Index number = none, second = none;

  /// "body.0.body.1.down.64_2": texts and numbers with a dot between, the second number behind "_". At most 120
  /// characters (Name).
  Name name() const noexcept {
    Name name = outer == nullptr ? Name() : outer->name();
    if (*text != '\0') name /= std::string_view(text);
    if (number != none) name /= number;
    if (second != none) (name += "_") += second;
    return name;
  }
};

/// The work of one layer, or of one operation without weights, on one map. A layer that the network uses twice has two
/// nodes of one name; layers that are computed as one are a node with a "+" between their names.
struct Node {
  Scope scope;                 ///< valid as long as the node runs: an application keeps name()
  char const* operation = "";  ///< "conv 3x3"
  char const* kernel = "";     ///< how it is computed: "winograd F(4x4,3x3)"
  Shape input{}, output{};     ///< of whole maps
  /// Multiply-accumulates of the network as written, which a fast algorithm needs fewer of. Those of all nodes are the
  /// plan's.
  std::uint64_t macs = 0;
  /// Input, output, weights and what is added, each once: what has to be moved if no cache remembers anything from
  /// layer to layer. A model, not a measurement.
  Index bytes = 0;
  bool activation = false, residual = false, statistics = false;  ///< what happens to a result before it is written
  Index number = 0;      ///< of this node among those of the run, the same in every run and rehearsal for a plan
  Index live_bytes = 0;  ///< taken from the arena when this piece of the work begins
  /// Pieces of a run that this one stands for: 1, but in a rehearsal, which leaves out bands that are alike.
  Index pieces = 1;

  Name name() const noexcept { return scope.name(); }
};

/// Two functions of the application, called in pairs and never nested for one worker.
///
/// With Trace::whole instead of a worker, in the thread that called run(): a piece of a node's work begins or ends.
/// Layers that go through their maps band by band have many pieces, in turn with those of others. Fields of a node may
/// be added until its last piece; a plan's rehearsal, which computes nothing, calls these too and these only: it tells
/// all nodes beforehand, and of their pieces one of those that are alike (Node::pieces).
///
/// With a worker, in whichever thread does that worker's work, inside of such a piece: one item of its work begins or
/// ends. What the calling thread does alone is told as worker 0's.
struct Trace {
  using Call = void (*)(void* self, Node const& node, Index worker) noexcept;
  static constexpr Index whole = -1;

  Call begin = nullptr, end = nullptr;  ///< both or none
  void* self = nullptr;
};

}  // namespace mirnet::inline MIRNET_ABI

// The nodes of a network, and the time that each of them takes in a run: what the library's trace tells, taken down.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/config.hpp>

#include "measure/counted_kernels.hpp"
#include "measure/ticks.hpp"

namespace measure {

/// A node as a rehearsal tells it.
struct NodeRecord {
  std::string name;       ///< as in a checkpoint; "#2" and so on behind those that have been there before
  std::string operation;  ///< "conv 3x3"
  std::string fused;      ///< "+prelu+add+sums", what happens to the results before they are written
  std::string kernel;
  mirnet::Shape input, output;
  double macs = 0;      ///< of the definition
  double products = 0;  ///< that are computed
  double bytes = 0;     ///< mirnet::Node::bytes
  double live_bytes = 0;
  mirnet::Index pieces = 0;  ///< that its work is done in
};

/// All nodes of a run in their order, and its plan.
template <class Config>
struct RehearsalOf {
  std::vector<NodeRecord> nodes;
  mirnet::Plan<Config> plan;
  mirnet::Index pieces = 0;
};
/// Of MIRNet.
using Rehearsal = RehearsalOf<mirnet::MirnetConfig>;

/// Takes down nodes while something is rehearsed.
class NodeList {
 public:
  /// `products` tells how many have been computed so far.
  explicit NodeList(double (*products)()) : products_(products) {}

  mirnet::Trace trace() noexcept;
  /// With names that are unique.
  std::vector<NodeRecord> take();
  /// False if there was no memory for a node.
  bool complete() const noexcept { return complete_; }

 private:
  static void begin(void* self, mirnet::Node const& node, mirnet::Index worker) noexcept;
  static void end(void* self, mirnet::Node const& node, mirnet::Index worker) noexcept;
  void add(mirnet::Node const& node);

  double (*products_)();
  double products_before_ = 0;
  std::vector<NodeRecord> nodes_;
  bool complete_ = true;
};

/// The nodes of a run with this context for an image of this size. Errors: those of Model::plan; memory.
template <class Net, class T>
mirnet::Result<RehearsalOf<typename Net::Config>> rehearse(mirnet::Model<Net> const& model,
                                                           mirnet::Context<T> const& context, mirnet::Index height,
                                                           mirnet::Index width) {
  CountedKernels<T> const counted(*context.kernels);
  NodeList list(CountedKernels<T>::products);
  mirnet::Context<T> counting(counted.table(), context.parallel);
  counting.algorithm = context.algorithm;
  counting.trace = list.trace();
  auto const plan = model.plan(counting, height, width);
  if (!plan) return plan.error();
  if (!list.complete()) return mirnet::Error(mirnet::ErrorCode::memory, "cannot allocate the list of nodes");
  RehearsalOf<typename Net::Config> rehearsal{list.take(), *plan};
  for (auto const& node : rehearsal.nodes) rehearsal.pieces += node.pieces;
  return rehearsal;
}

/// When pieces of nodes ran, and what each worker had to do in them; times in ticks.
struct Timeline {
  struct Piece {
    mirnet::Index node;
    std::uint64_t begin, end;
    mirnet::Index live_bytes;
  };
  struct Part {
    std::uint64_t begin = 0, end = 0;  ///< of the worker's first and last item; both 0: it had none
    std::uint64_t busy = 0;
  };

  std::uint64_t begin = 0, end = 0;  ///< of the run
  std::vector<Piece> pieces;
  std::vector<Part> parts;  ///< `workers` of each piece

  double ticks() const noexcept { return static_cast<double>(end - begin); }
};

/// Takes down when everything happens in one run after another. Allocates while it is made, never in a run.
class Profiler {
 public:
  /// For runs of so many pieces.
  Profiler(mirnet::Index pieces, mirnet::Index workers);

  mirnet::Trace trace() noexcept { return {begin, end, this}; }
  void start_run() noexcept;
  void end_run() noexcept;

  /// The run before.
  Timeline const& timeline() const noexcept { return timeline_; }
  /// Pairs of calls of the trace in the run before.
  std::uint64_t hooks() const noexcept;
  TickClock const& clock() const noexcept { return clock_; }

 private:
  // Each in a line of the cache of its own.
  struct alignas(64) Worker {
    Timeline::Part part;
    std::uint64_t began = 0, hooks = 0;
  };

  static void begin(void* self, mirnet::Node const& node, mirnet::Index worker) noexcept;
  static void end(void* self, mirnet::Node const& node, mirnet::Index worker) noexcept;

  TickClock clock_;
  Timeline timeline_;
  std::vector<Worker> workers_;
};

/// What a pair of calls of a Profiler costs, in nanoseconds: one that a worker makes for an item of its work.
double hook_nanoseconds();

}  // namespace measure

#include "measure/profiler.hpp"

#include <algorithm>
#include <map>
#include <utility>

#if MIRNET_EXCEPTIONS
#include <new>
#endif

namespace measure {

using mirnet::Index;
using mirnet::Node;
using mirnet::Trace;

Trace NodeList::trace() noexcept {
  products_before_ = products_();
  return {begin, end, this};
}

void NodeList::begin(void*, Node const&, Index) noexcept {}

void NodeList::end(void* self, Node const& node, Index) noexcept {
  auto& list = *static_cast<NodeList*>(self);
#if MIRNET_EXCEPTIONS
  try {
#endif
    list.add(node);
#if MIRNET_EXCEPTIONS
  } catch (std::bad_alloc const&) {
    list.complete_ = false;
  }
#endif
}

void NodeList::add(Node const& node) {
  auto const index = static_cast<std::size_t>(node.number);
  if (nodes_.size() <= index) nodes_.resize(index + 1);
  auto& record = nodes_[index];
  record.name = node.name().view();
  record.operation = node.operation;
  record.fused = std::string(node.activation ? "+prelu" : "") + (node.residual ? "+add" : "") +
                 (node.statistics ? "+statistics" : "");
  record.kernel = node.kernel;
  record.input = node.input;
  record.output = node.output;
  record.macs = static_cast<double>(node.macs);
  record.bytes = static_cast<double>(node.bytes);
  record.live_bytes = std::max(record.live_bytes, static_cast<double>(node.live_bytes));
  record.pieces += node.pieces;
  // Kernels are asked how they would compute a piece shortly before it begins.
  double const products = products_();
  double const before = std::exchange(products_before_, products);
  record.products += static_cast<double>(node.pieces) * (products - before);
}

std::vector<NodeRecord> NodeList::take() {
  std::map<std::string, int> seen;
  for (auto& node : nodes_) {
    // The one operation with arithmetic that is not counted is computed as it is defined.
    if (node.products == 0) node.products = node.macs;
    int const times = ++seen[node.name];
    if (times > 1) node.name.append("#").append(std::to_string(times));
  }
  return std::move(nodes_);
}

Profiler::Profiler(Index pieces, Index workers) : workers_(static_cast<std::size_t>(workers)) {
  timeline_.pieces.reserve(static_cast<std::size_t>(pieces));
  timeline_.parts.reserve(static_cast<std::size_t>(pieces * workers));
}

void Profiler::start_run() noexcept {
  timeline_.pieces.clear();
  timeline_.parts.clear();
  for (auto& worker : workers_) worker = {};
  timeline_.begin = clock_.now();
}

void Profiler::end_run() noexcept { timeline_.end = clock_.now(); }

std::uint64_t Profiler::hooks() const noexcept {
  std::uint64_t hooks = timeline_.pieces.size();
  for (auto const& worker : workers_) hooks += worker.hooks;
  return hooks;
}

void Profiler::begin(void* self, Node const& node, Index worker) noexcept {
  auto& profiler = *static_cast<Profiler*>(self);
  auto const now = profiler.clock_.now();
  if (worker == Trace::whole) {
    profiler.timeline_.pieces.push_back({node.number, now, now, node.live_bytes});
    return;
  }
  auto& own = profiler.workers_[static_cast<std::size_t>(worker)];
  own.began = now;
  if (own.part.begin == 0) own.part.begin = now;
}

void Profiler::end(void* self, Node const&, Index worker) noexcept {
  auto& profiler = *static_cast<Profiler*>(self);
  auto const now = profiler.clock_.now();
  if (worker == Trace::whole) {
    profiler.timeline_.pieces.back().end = now;
    for (auto& other : profiler.workers_) profiler.timeline_.parts.push_back(std::exchange(other.part, {}));
    return;
  }
  auto& own = profiler.workers_[static_cast<std::size_t>(worker)];
  own.part.end = now;
  own.part.busy += now - own.began;
  ++own.hooks;
}

double hook_nanoseconds() {
  constexpr int pairs = 100'000;
  double best = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    Profiler profiler(1, 1);
    Trace const trace = profiler.trace();
    Node const node;
    auto const start = std::chrono::steady_clock::now();
    for (int i = 0; i < pairs; ++i) {
      trace.begin(trace.self, node, 0);
      trace.end(trace.self, node, 0);
    }
    double const each =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / pairs;
    best = attempt == 0 ? each : std::min(best, each);
  }
  return best;
}

}  // namespace measure

// Every layer of a network, under the names that mirnet profile has for them. In each iteration the network walks
// through all of its layers, and all but one and ten before and behind it compute nothing: that one works in its
// place in memory, band by band and with what is fused to it, on what its neighbours leave in the caches, as it does in
// a run. Only its own time counts: the benchmark's is a mean, the counters are of the median, as in mirnet profile.
// Options, before those of Google Benchmark:
//   --weights=FILE     a weight file; without it, the published network with random weights
//   --size=WxH         of the image, 256x256
//   --threads=N        1
//   --isa=NAME         the fastest of the machine
//   --algorithm=NAME   auto or direct
// Then --benchmark_filter picks layers, as in --benchmark_filter='body.0.body.1.blocks.2.0.body.0/': Google Benchmark
// adds "/iterations:N/manual_time" to a name. Each layer takes about half a second, or five iterations. Beside them,
// hook/off and hook/on are what a piece with one item costs, without a trace and with the profiler's.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/io/model_file.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "counters.hpp"
#include "main.hpp"
#include "measure/profiler.hpp"
#include "measure/samples.hpp"
#include "measure/size.hpp"
#include "support/random.hpp"
#include "support/weight_writer.hpp"

namespace {

using mirnet::Index;
using mirnet::Node;
using mirnet::Trace;

struct Options {
  std::map<std::string, std::string, std::less<>> values{
      {"weights", ""}, {"size", "256x256"}, {"threads", "1"}, {"isa", ""}, {"algorithm", "auto"}};

  /// Takes what is known out of the arguments.
  void take(int& argc, char** argv) {
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      std::string_view const argument(argv[i]);
      auto const equals = argument.find('=');
      bool const could_be = argument.starts_with("--") && equals != std::string_view::npos;
      auto const found = could_be ? values.find(argument.substr(2, equals - 2)) : values.end();
      if (found != values.end()) {
        found->second = argument.substr(equals + 1);
      } else {
        argv[kept++] = argv[i];
      }
    }
    argc = kept;
  }

  /// A number from 1 on, 0 where there is none.
  static Index number(std::string_view text) {
    Index value = 0;
    auto const [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && at == text.data() + text.size() ? value : 0;
  }
};

int fail(std::string const& message) {
  std::fprintf(stderr, "mirnet_bench_layers: %s\n", message.c_str());
  return 2;
}

/// A network that is ready to run.
struct Session {
  Session(mirnet::Model<mirnet::Mirnet<float>> network, mirnet::KernelTable<float> const& kernels, Index threads)
      : model(std::move(network)), pool(threads), context(kernels, pool) {}

  mirnet::Model<mirnet::Mirnet<float>> model;
  mirnet::ThreadPool pool;
  mirnet::Context<float> context;
  measure::Rehearsal rehearsal;
  mirnet::Memory memory;
  mirnet::Tensor<float> input, output;
};

/// Without its neighbours a layer finds other things in the caches than in a run: with three of them, weighted sums and
/// bilinear layers, whose maps were written long before, were an eighth too fast.
constexpr Index neighbours = 10;

/// Lets a node and its neighbours compute, and takes its time. Whatever else the network wants to compute finds that it
/// has been stopped.
class OnlyOne {
 public:
  explicit OnlyOne(Index node) : node_(node) {}

  Trace trace() noexcept { return {begin, end, this}; }
  std::atomic<bool> const* stop() const noexcept { return &stop_; }
  /// Seconds since this was asked before.
  double take_seconds() noexcept {
    return static_cast<double>(std::exchange(ticks_, 0)) * clock_.nanoseconds_a_tick() * 1e-9;
  }

 private:
  static void begin(void* self, Node const& node, Index worker) noexcept {
    auto& only = *static_cast<OnlyOne*>(self);
    if (worker != Trace::whole || std::abs(node.number - only.node_) > neighbours) return;
    only.stop_.store(false, std::memory_order_relaxed);
    only.began_ = only.clock_.now();
  }
  static void end(void* self, Node const& node, Index worker) noexcept {
    auto& only = *static_cast<OnlyOne*>(self);
    if (worker != Trace::whole || std::abs(node.number - only.node_) > neighbours) return;
    if (node.number == only.node_) only.ticks_ += only.clock_.now() - only.began_;
    only.stop_.store(true, std::memory_order_relaxed);
  }

  Index node_;
  std::atomic<bool> stop_ = true;
  measure::TickClock clock_;
  std::uint64_t began_ = 0, ticks_ = 0;
};

void run(benchmark::State& state, Session& session, Index number) {
  auto const& node = session.rehearsal.nodes[static_cast<std::size_t>(number)];
  // What the layer reads need not be what the network computes; it has to be numbers that are not tiny.
  auto const bytes = session.memory.bytes();
  test::Random random(1);
  test::fill(std::span(reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)), random, 0.1f, 1.0f);
  OnlyOne only(number);
  auto& context = session.context;
  context.trace = only.trace();
  context.stop = only.stop();
  auto const walk = [&] {
    // Ends as a run that was cancelled.
    (void)session.model.run(context, session.rehearsal.plan, session.memory.bytes(),
                            std::as_const(session.input).view(), session.output.view());
  };
  walk();
  only.take_seconds();
  int const threads = static_cast<int>(context.parallel.workers);
  double const peak_before = measure::fma_peak(context.kernels->isa, threads);
  measure::Samples samples;
  for (auto _ : state) {
    walk();
    double const seconds = only.take_seconds();
    state.SetIterationTime(seconds);
    samples.ms.push_back(seconds * 1e3);
  }
  double const peak = (peak_before + measure::fma_peak(context.kernels->isa, threads)) / 2;
  context.trace = {};
  context.stop = nullptr;
  state.counters["median ms"] = samples.median();
  state.SetLabel(node.operation + node.fused + ", " + node.kernel);
  bench::count(state, {node.products, node.macs, node.bytes}, samples.median() * 1e-3, peak);
}

/// Of one run of the network.
std::vector<double> layer_seconds(Session& session) {
  measure::Profiler profiler(session.rehearsal.pieces, session.context.parallel.workers);
  session.context.trace = profiler.trace();
  profiler.start_run();
  session.model
      .run(session.context, session.rehearsal.plan, session.memory.bytes(), std::as_const(session.input).view(),
           session.output.view())
      .value();
  profiler.end_run();
  session.context.trace = {};
  std::vector<double> seconds(session.rehearsal.nodes.size(), 0.0);
  double const tick = profiler.clock().nanoseconds_a_tick() * 1e-9;
  for (auto const& piece : profiler.timeline().pieces) {
    seconds[static_cast<std::size_t>(piece.node)] += static_cast<double>(piece.end - piece.begin) * tick;
  }
  return seconds;
}

/// A piece of a node's work with one item, in which nothing happens.
void run_hook(benchmark::State& state, bool on) {
  mirnet::Context<float> context(*mirnet::choose_kernels().value());
  mirnet::Memory const memory = mirnet::Memory::allocate(64).value();
  context.arena = mirnet::Arena(memory.bytes());
  constexpr int pieces = 1 << 14;
  measure::Profiler profiler(pieces, 1);
  if (on) context.trace = profiler.trace();
  Node node = context.new_node("nothing", {}, {});
  int told = pieces;
  for (auto _ : state) {
    if (++told >= pieces) profiler.start_run(), told = 0;
    mirnet::Piece const piece(context, node);
    context.once([] { benchmark::ClobberMemory(); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.take(argc, argv);
  auto const size = measure::parse_size(options.values["size"]);
  Index const threads = Options::number(options.values["threads"]);
  if (!size) return fail("--size=" + options.values["size"] + ": expected one like 256x256");
  if (threads < 1 || threads > 1024) return fail("--threads=" + options.values["threads"] + ": expected 1 to 1024");
  auto const& algorithm = options.values["algorithm"];
  if (algorithm != "auto" && algorithm != "direct")
    return fail("--algorithm=" + algorithm + ": expected auto or direct");
  auto const& isa = options.values["isa"];
  auto const kernels = mirnet::choose_kernels(isa.empty() ? std::optional<std::string_view>() : isa);
  if (!kernels) return fail(kernels.error().message());
  auto const& weights = options.values["weights"];
  auto model = weights.empty()
                   ? mirnet::Model<mirnet::Mirnet<float>>::load(test::make_weight_file(mirnet::MirnetConfig{}))
                   : mirnet::load_model<mirnet::Mirnet<float>>(weights.c_str());
  if (!model) return fail(model.error().message());

  Session session(*std::move(model), **kernels, threads);
  if (algorithm == "direct") session.context.algorithm = mirnet::Algorithm::direct;
  auto rehearsal = measure::rehearse(session.model, session.context, size->height, size->width);
  if (!rehearsal) return fail(rehearsal.error().message());
  session.rehearsal = *std::move(rehearsal);
  mirnet::Shape const shape{size->height, size->width, session.model.config().channels};
  auto memory = mirnet::Memory::allocate(session.rehearsal.plan.bytes);
  auto input = mirnet::Tensor<float>::create(shape), output = mirnet::Tensor<float>::create(shape);
  if (!memory || !input || !output) return fail("there is no memory for a picture of that size");
  session.memory = *std::move(memory);
  session.input = *std::move(input);
  session.output = *std::move(output);
  test::Random random(1);
  test::fill(session.input.view(), random, 0.0f, 1.0f);

  // A small layer would run so often that all of the walking took minutes: how often is said here. Seconds of each from
  // a run of all, and what one more walk adds to them.
  constexpr double seconds_a_layer = 0.5, walk = 1e-3;
  auto const seconds = layer_seconds(session);
  auto const layers = static_cast<Index>(seconds.size());
  for (Index i = 0; i < layers; ++i) {
    auto const first = seconds.begin() + std::max<Index>(i - neighbours, 0);
    auto const last = seconds.begin() + std::min(i + neighbours + 1, layers);
    double const iteration = std::accumulate(first, last, walk);
    benchmark::RegisterBenchmark(session.rehearsal.nodes[static_cast<std::size_t>(i)].name.c_str(),
                                 [&session, i](benchmark::State& state) { run(state, session, i); })
        ->Unit(benchmark::kMillisecond)
        ->Iterations(std::clamp(static_cast<int>(seconds_a_layer / iteration), 5, 1000))
        ->UseManualTime();
  }
  benchmark::RegisterBenchmark("hook/off", [](benchmark::State& state) { run_hook(state, false); });
  benchmark::RegisterBenchmark("hook/on", [](benchmark::State& state) { run_hook(state, true); });
  return bench::run_chosen(argc, argv);
}

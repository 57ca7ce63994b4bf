// Whole networks with random weights, on images of 128x128 to 1024x1024, with every instruction set of this machine:
// the published networks (MIRNet and MIRNet-v2), the one whose weights ship, and one on cells of 2x2 pixels. Names are
//   <instruction set>/<precision>/<algorithm>/<network>/<size>/threads:<number>
// so --benchmark_filter=avx2/fp32/auto/shipped picks some. Without a filter it takes hours.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <thread>

#include <mirnet/model/model.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "counters.hpp"
#include "main.hpp"
#include "measure/counted_kernels.hpp"
#include "support/networks.hpp"
#include "support/random.hpp"

namespace {

using mirnet::Algorithm;
using mirnet::Context;
using mirnet::Index;
using mirnet::KernelTable;
using mirnet::Memory;
using mirnet::Model;
using mirnet::Shape;
using mirnet::Tensor;

template <class Config>
struct Named {
  char const* name;
  Config config;

  template <class T>
  using Network = typename test::NetworkOf<T, Config>::Type;
};

Named<mirnet::MirnetConfig> const mirnets[] = {
    {"published", {}},
    {"shipped", {.features = 16, .groups = 1, .blocks = 2}},
    {"unshuffle", {.features = 32, .groups = 1, .blocks = 2, .streams = 2, .columns = 2, .unshuffle = 2}}};
Named<mirnet::MirnetV2Config> const mirnets_v2[] = {{"published_v2", {}}};

/// Made when first asked for: most runs are filtered.
template <class T, class Config>
auto const& random_model(Named<Config> const& network) {
  static std::map<std::string, Model<typename Named<Config>::template Network<T>>> models;
  auto found = models.find(network.name);
  if (found == models.end()) found = models.emplace(network.name, test::make_model<T>(network.config)).first;
  return found->second;
}

template <class T, class Config>
void run(benchmark::State& state, KernelTable<T> const& kernels, Algorithm algorithm, Named<Config> const& network,
         Index size, int threads) {
  auto const& model = random_model<T>(network);
  mirnet::ThreadPool pool(threads);
  Context<T> context(kernels, pool);
  context.algorithm = algorithm;

  measure::CountedKernels<T> const counted(kernels);
  Context<T> rehearsal(counted.table(), pool);
  rehearsal.algorithm = algorithm;
  auto const plan = model.plan(rehearsal, size, size).value();
  bench::Work const work{.products = counted.products(), .macs = static_cast<double>(plan.macs)};

  auto const memory = Memory::allocate(plan.bytes);
  if (!memory) return state.SkipWithError(memory.error().message());
  std::memset(memory->bytes().data(), 0, memory->bytes().size());  // pages come when they are first written
  Shape const shape{size, size, network.config.channels};
  auto image = Tensor<float>::create(shape).value(), output = Tensor<float>::create(shape).value();
  test::Random random(1);
  test::fill(image.view(), random, 0.0f, 1.0f);

  double const seconds = bench::measure(state, kernels.isa, threads, bench::wall_seconds, work, [&] {
    model.run(context, plan, memory->bytes(), image.view(), output.view()).value();
  });
  state.counters["ns/pixel"] = 1e9 * seconds / static_cast<double>(shape.pixels());
  state.counters["peak_bytes"] = static_cast<double>(plan.bytes + model.bytes());
}

template <class T, class Networks>
void add_all(KernelTable<T> const& kernels, Networks const& networks) {
  std::set<int> const thread_counts{1, static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))};
  for (auto const& network : networks) {
    for (auto const algorithm : {Algorithm::automatic, Algorithm::direct}) {
      for (int const threads : thread_counts) {
        for (Index const size : {128, 256, 512, 1024}) {
          auto const name = bench::name_prefix(kernels, algorithm) + network.name + "/" + bench::square(size) +
                            "/threads:" + std::to_string(threads);
          benchmark::RegisterBenchmark(name.c_str(),
                                       [=, &kernels, &network](benchmark::State& state) {
                                         run(state, kernels, algorithm, network, size, threads);
                                       })
              ->Unit(benchmark::kMillisecond)
              ->UseRealTime();
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_all(argc, argv, [](auto const& kernels) {
    add_all(kernels, mirnets);
    add_all(kernels, mirnets_v2);
  });
}

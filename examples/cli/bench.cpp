// mirnet bench: what this machine makes of the networks that the program has, or of another, without any picture.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/tensor.hpp>
#include <mirnet/version.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "computing.hpp"
#include "engine.hpp"
#include "machine.hpp"
#include "measure/fma_peak.hpp"
#include "picture.hpp"
#include "standard_streams.hpp"
#include "weights.hpp"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  mirnet::Index threads = 0, size = 512;
  std::optional<std::string> isa;
  WeightsOptions weights;
};

struct Measured {
  char const* network;
  double megapixels_a_second, gflops, share_of_peak;
};

/// The median of some runs, for about a second, after one to get going.
mirnet::Result<Measured> measure(Engine& engine, mirnet::Index size) {
  auto const& facts = engine.facts();
  mirnet::Shape const shape{size, size, facts.channels_in};
  auto const input = sample_map(shape);
  if (!input) return input.error();
  auto output = mirnet::Tensor<float>::create(engine.output_shape(shape));
  if (!output) return output.error();
  auto const plan = engine.plan(size, size);
  if (!plan) return plan.error();
  auto const memory = mirnet::Memory::allocate(plan->bytes);
  if (!memory) return memory.error();
  std::vector<double> seconds;
  double peak = 0;
  for (auto const begin = Clock::now(); seconds.size() < 4 || Clock::now() - begin < std::chrono::milliseconds(1500);) {
    peak = std::max(peak, measure::fma_peak(facts.isa, static_cast<int>(facts.threads)));
    auto const start = Clock::now();
    auto const done = engine.run(*plan, {}, memory->bytes(), input->view(), output->view());
    if (!done) return done.error();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  // The first run made the memory ready.
  std::nth_element(seconds.begin() + 1, seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2),
                   seconds.end());
  double const median = seconds[seconds.size() / 2];
  double const gflops = 2e-9 * static_cast<double>(plan->macs) / median;
  double const pixels = static_cast<double>(size) * static_cast<double>(size);
  return Measured{facts.network, pixels * 1e-6 / median, gflops, peak > 0 ? gflops / peak : 0};
}

mirnet::Result<void> run(Options const& options) {
  auto const printable = check_standard_output();
  if (!printable) return printable;
  auto const chosen = choose_instruction_set(options.isa);
  if (!chosen) return chosen.error();
  mirnet::ThreadPool pool(options.threads > 0 ? options.threads : usable_cores());
  auto const& file = options.weights.file;
  auto const name = one_line(name_of(options.weights));
  auto const width = std::max(10, static_cast<int>(name.size()));
  bool has_title = false;
  auto const row = [&](std::string const& called, std::optional<std::string> const& weights,
                       Kernels const& kernels) -> mirnet::Result<Measured> {
    auto const engine = load_engine(weights, kernels, mirnet::Algorithm::automatic, pool);
    if (!engine) return engine.error();
    if (!std::exchange(has_title, true)) {
      std::printf("%-*s instructions     megapixels/s  GFLOP/s of the peak\n", width, "network");
    }
    auto const measured = measure(**engine, options.size);
    if (!measured) return measured.error();
    std::printf("%-*s %-11s %-5s %8.3f %9.1f", width, called.c_str(), (*engine)->facts().isa, kernels.precision(),
                measured->megapixels_a_second, measured->gflops);
    if (measured->share_of_peak > 0) std::printf(" %7.0f%%", 100 * measured->share_of_peak);
    std::printf("\n");
    std::fflush(stdout);
    return measured;
  };

  Measured fastest{};
  char const* fastest_isa = "";
  for (auto const& set : mirnet::kernel_sets()) {
    bool const wanted = options.isa ? &set == *chosen : set.available() && set.has_own_float_kernels();
    if (!wanted) continue;
    auto const measured = row(name, file, {&set, false});
    if (!measured) return measured.error();
    if (measured->megapixels_a_second <= fastest.megapixels_a_second) continue;
    fastest = *measured;
    fastest_isa = set.float_isa;
  }
  if ((*chosen)->bfloat16_kernels != nullptr) {
    auto const measured = row(name, file, {*chosen, true});
    if (!measured) return measured.error();
  }
  WeightsOptions high;
  high.model = "high";
  // The larger network is a file of its own, which need not be there.
  if (auto const larger = find_weights(high); !file && larger) {
    auto const measured = row("high", *larger, {*chosen, false});
    if (!measured) return measured.error();
  }
  auto const processor = processor_name();
  // The weights that ship need no name.
  auto const network = file ? ", " + std::string(fastest.network) + " in " + name : std::string();
  std::printf("\nmirnet %s%s, %s, %s, %lld thread%s of %u: %.3f megapixels/s\n", MIRNET_VERSION, network.c_str(),
              processor.c_str(), fastest_isa, static_cast<long long>(pool.workers()), pool.workers() == 1 ? "" : "s",
              std::thread::hardware_concurrency(), fastest.megapixels_a_second);
  return {};
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("bench", "Measure the speed of this machine");
  add_threads(*command, options->threads);
  command
      ->add_option("--size", options->size,
                   "width and height of the picture, 16-4096 (default: " + std::to_string(options->size) + ")")
      ->check(whole_number_between(16, 4096))
      ->type_name("N");
  command->add_option("--weights", options->weights.file, "measure the network of this weight file, and no other")
      ->type_name("FILE.mirw");
  command->add_option("--isa", options->isa, "measure only this instruction set: " + instruction_set_names())
      ->type_name("NAME");
  command->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace cli

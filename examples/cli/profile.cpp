// mirnet profile: how long each layer of a network takes, on which kernel, and how far that is from what the machine
// can do.
#include "profile.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include <mirnet/io/file.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "computing.hpp"
#include "engine.hpp"
#include "files.hpp"
#include "machine.hpp"
#include "measure/fma_peak.hpp"
#include "measure/profiler.hpp"
#include "measure/triad.hpp"
#include "memory_limit.hpp"
#include "picture.hpp"
#include "progress.hpp"
#include "weights.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;

struct Options {
  std::string input = "256x256";
  Reading reading;
  WeightsOptions weights;
  Computing computing;
  Index threads = 0;
  std::optional<std::string> output, baseline;
  int repeat = 5, warmup = 1;
  std::string sort = "run", group = "layer", format = "table";
  bool overwrite = false;

  Sorting sorting() const { return sort == "run" ? Sorting::run : sort == "time" ? Sorting::time : Sorting::operation; }
  Grouping grouping() const {
    return group == "layer" ? Grouping::layer : group == "op" ? Grouping::operation : Grouping::block;
  }
};

/// Errors: memory, where so much is not free.
mirnet::Result<void> check_memory(mirnet::Shape shape, double needed) {
  if (needed <= memory_budget(0)) return {};
  return too_little_memory({shape.width, shape.height}, needed, 0, "profile a smaller picture");
}

/// The picture of a file; of a size, one with noise in it. Errors: input, memory; those of Engine::check_pictures.
mirnet::Result<mirnet::Tensor<float>> read_input(std::string const& input, Reading const& reading,
                                                 Engine const& engine) {
  if (auto const size = measure::parse_size(input)) {
    mirnet::Shape const shape{size->height, size->width, engine.facts().channels_in};
    auto const bytes = mirnet::map_bytes<float>(shape);
    if (!bytes) return Error(ErrorCode::memory, "%s: no memory could hold so many pixels", input.c_str());
    auto const there = check_memory(shape, static_cast<double>(*bytes));
    if (!there) return there.error();
    return sample_map(shape);
  }
  if (auto const taken = engine.check_pictures(1); !taken) return taken.error();
  auto const picture = read_picture(input, reading);
  if (!picture) return picture.error();
  auto map = mirnet::Tensor<float>::create({picture->image.height(), picture->image.width(), 3});
  if (map) mirnet::to_map(picture->image, map->view());
  return map;
}

std::string shape_text(mirnet::Shape shape) {
  return std::to_string(shape.height) + "x" + std::to_string(shape.width) + "x" + std::to_string(shape.channels);
}

/// A working set that the last cache does not hold, and the memory does.
std::size_t triad_bytes() {
  constexpr double least = 64.0 * (1 << 20), most = 2048.0 * (1 << 20);
  double const wanted = std::clamp(4 * largest_cache(), least, most);
  return static_cast<std::size_t>(std::clamp(memory_budget(0) / 2, 0.0, wanted));
}

void add_timeline(Profile& profile, measure::Timeline const& timeline, double nanoseconds_a_tick) {
  auto const microseconds = [&](std::uint64_t from, std::uint64_t to) {
    return static_cast<double>(to - from) * nanoseconds_a_tick * 1e-3;
  };
  profile.spans.clear();
  profile.live.clear();
  auto const workers = static_cast<std::size_t>(profile.threads);
  for (std::size_t i = 0; i < timeline.pieces.size(); ++i) {
    auto const& piece = timeline.pieces[i];
    profile.live.push_back({microseconds(timeline.begin, piece.begin), static_cast<double>(piece.live_bytes)});
    for (std::size_t worker = 0; worker < workers; ++worker) {
      auto const& part = timeline.parts[i * workers + worker];
      if (part.end == 0) continue;
      profile.spans.push_back({static_cast<std::size_t>(piece.node), static_cast<Index>(worker),
                               microseconds(timeline.begin, part.begin), microseconds(part.begin, part.end)});
    }
  }
}

/// One run's times of everything.
void add_run(Profile& profile, measure::Timeline const& timeline, double nanoseconds_a_tick) {
  double const ms = nanoseconds_a_tick * 1e-6;
  auto const workers = static_cast<std::size_t>(profile.threads);
  for (auto& layer : profile.layers) {
    layer.time.ms.push_back(0);
    layer.busy.ms.push_back(0);
  }
  double attributed = 0, wait = 0;
  for (std::size_t i = 0; i < timeline.pieces.size(); ++i) {
    auto const& piece = timeline.pieces[i];
    double const wall = static_cast<double>(piece.end - piece.begin) * ms;
    double busy = 0;
    for (std::size_t worker = 0; worker < workers; ++worker) {
      busy += static_cast<double>(timeline.parts[i * workers + worker].busy) * ms;
    }
    auto& layer = profile.layers[static_cast<std::size_t>(piece.node)];
    layer.time.ms.back() += wall;
    layer.busy.ms.back() += busy;
    attributed += wall;
    wait += std::max(0.0, wall - busy / static_cast<double>(profile.threads));
  }
  profile.total.ms.push_back(timeline.ticks() * ms);
  profile.unattributed.ms.push_back(timeline.ticks() * ms - attributed);
  profile.wait.ms.push_back(wait);
}

mirnet::Result<Profile> measure(Options const& options, Kernels const& kernels) {
  auto const path = find_weights(options.weights);
  if (!path) return path.error();
  mirnet::ThreadPool pool(options.threads > 0 ? options.threads : usable_cores());
  auto const engine = load_engine(*path, kernels, options.computing.chosen_algorithm(), pool);
  if (!engine) return engine.error();
  auto const input = read_input(options.input, options.reading, **engine);
  if (!input) return input.error();
  auto const shape = input->view().shape();
  auto const rehearsal = (*engine)->rehearse(shape.height, shape.width);
  if (!rehearsal) return rehearsal.error();
  double const needed = static_cast<double>(rehearsal->plan.bytes);
  auto const there = check_memory(shape, needed);
  if (!there) return there.error();

  auto const& facts = (*engine)->facts();
  Profile profile;
  profile.processor = processor_name();
  profile.processors = std::thread::hardware_concurrency();
#if defined(__clang__)
  profile.compiler = "clang++ " __clang_version__;
#else
  profile.compiler = "g++ " __VERSION__;
#endif
  profile.flags = MIRNET_BUILD_FLAGS;
  profile.isa = facts.isa;
  profile.precision = kernels.precision();
  profile.algorithm = options.computing.algorithm;
  profile.weights = facts.weights;
  profile.threads = pool.workers();
  profile.width = shape.width;
  profile.height = shape.height;
  profile.parameters = facts.parameters;
  profile.network = facts.network;
  profile.hyper_parameters = facts.hyper_parameters;
  profile.warmup = options.warmup;
  profile.plan_bytes = needed;
  profile.model_bytes = static_cast<double>(facts.bytes);
  profile.hook_nanoseconds = measure::hook_nanoseconds();
  for (auto const& node : rehearsal->nodes) {
    auto& row = profile.layers.emplace_back();
    row.name = node.name;
    row.operation = node.operation;
    row.fused = node.fused;
    row.kernel = node.kernel;
    row.input = shape_text(node.input);
    row.output = shape_text(node.output);
    row.calls = node.pieces;
    row.macs = node.macs;
    row.products = node.products;
    row.bytes = node.bytes;
    row.live_bytes = node.live_bytes;
  }
  auto const bandwidth = measure::triad(static_cast<int>(pool.workers()), triad_bytes());
  profile.bandwidth = bandwidth.gigabytes_a_second;
  profile.bandwidth_bytes = static_cast<double>(bandwidth.bytes);

  auto const memory = mirnet::Memory::allocate(rehearsal->plan.bytes);
  if (!memory) return memory.error();
  std::memset(memory->bytes().data(), 0, memory->bytes().size());  // pages come when they are first written
  auto output = mirnet::Tensor<float>::create((*engine)->output_shape(shape));
  if (!output) return output.error();
  measure::Profiler profiler(rehearsal->pieces, pool.workers());
  double fastest = std::numeric_limits<double>::infinity();
  for (int run = -options.warmup; run < options.repeat; ++run) {
    // Beside every run, because the clock of a machine drifts.
    double const peak = measure::fma_peak(facts.isa, static_cast<int>(pool.workers()));
    profile.peak_gflops = std::max(profile.peak_gflops, peak);
    profiler.start_run();
    auto const done = (*engine)->run(rehearsal->plan, profiler.trace(), memory->bytes(), input->view(), output->view());
    profiler.end_run();
    if (!done) return done.error();
    if (run < 0) continue;
    auto const& timeline = profiler.timeline();
    double const tick = profiler.clock().nanoseconds_a_tick();
    add_run(profile, timeline, tick);
    profile.hooks = static_cast<double>(profiler.hooks());
    if (timeline.ticks() < fastest) {
      fastest = timeline.ticks();
      add_timeline(profile, timeline, tick);
    }
  }
  return profile;
}

mirnet::Result<void> write(Options const& options, std::string const& text) {
  if (!options.output || *options.output == standard_stream) {
    std::fwrite(text.data(), 1, text.size(), stdout);  // main finds out whether it arrived
    return {};
  }
  Uninterrupted const writing;
  return mirnet::write_file(options.output->c_str(), std::as_bytes(std::span(text)), options.overwrite);
}

mirnet::Result<void> run(Options const& options) {
  if (options.baseline && options.format != "table") {
    return Error(ErrorCode::invalid_argument, "--baseline prints a table of what has changed; found --format %s too",
                 options.format.c_str());
  }
  auto const kernels = choose_kernels(options.computing);
  if (!kernels) return kernels.error();
  // Whatever can go wrong with files comes before the long computation.
  auto const writable = options.output && *options.output != standard_stream
                            ? check_writable(*options.output, options.overwrite)
                            : check_standard_output();
  if (!writable) return writable;
  std::optional<Baseline> before;
  if (options.baseline) {
    auto read = read_baseline(*options.baseline);
    if (!read) return read.error();
    before = *std::move(read);
  }
  auto const profile = measure(options, *kernels);
  if (!profile) return profile.error();
  if (before) return write(options, profile_changes(*before, *profile, options.grouping()));
  if (options.format == "csv") return write(options, profile_csv(*profile, options.grouping(), options.sorting()));
  if (options.format == "json") return write(options, profile_json(*profile, options.sorting()));
  if (options.format == "trace") return write(options, profile_trace(*profile));
  if (options.format == "html") return write(options, profile_html(*profile, options.sorting()));
  return write(options, profile_table(*profile, options.grouping(), options.sorting()));
}

}  // namespace

void add_profile(CLI::App& program, Action& action) {
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("profile", "Show where the time goes, layer by layer");
  command->add_option(
      "INPUT", options->input,
      "a photograph, or the size of a picture of noise (default: " + options->input + "); it is computed as a whole");
  auto* const file = command->add_option("--weights", options->weights.file, "weight file to use instead of --model")
                         ->type_name("FILE.mirw");
  add_model(*command, *file, options->weights);
  add_old_quality(*command, options->weights);
  add_reading(*command, options->reading);
  add_threads(*command, options->threads);
  add_computing(*command, options->computing);
  command
      ->add_option("--repeat", options->repeat,
                   "number of measured runs, 1-1000 (default: " + std::to_string(options->repeat) + ")")
      ->check(whole_number_between(1, 1000))
      ->type_name("N");
  command
      ->add_option("--warmup", options->warmup,
                   "number of runs before them, 0-1000 (default: " + std::to_string(options->warmup) + ")")
      ->check(whole_number_between(0, 1000))
      ->type_name("N");
  take_one_of(*command->add_option("--sort", options->sort,
                                   "order of the rows: as they run (default), slowest first, or by operation"),
              {"run", "time", "op"});
  take_one_of(*command->add_option("--group", options->group,
                                   "what a row of the table or of csv is: a layer (default), an operation or a block"),
              {"layer", "op", "block"});
  take_one_of(*command->add_option("--format", options->format,
                                   "output format: table (default), csv, json, trace (for Perfetto and Chrome's trace "
                                   "viewer) or html (a page with plots)"),
              {"table", "csv", "json", "trace", "html"});
  command->add_option("--baseline", options->baseline, "an earlier profile in json: print what has changed since")
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "output file (default: standard output)")->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite, "replace the output file if it exists");
  command->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace cli

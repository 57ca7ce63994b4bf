// Networks of any hyper-parameters and images of any size: what is needed is counted without a sum that wraps, or
// refused. Small ones run, in memory that is exactly as large as was said, with a scheduler that hands out the work in
// any order to any worker; the results are finite, and the same as in order.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <list>
#include <numeric>
#include <utility>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "fuzz.hpp"
#include "support/buffer.hpp"
#include "support/weight_writer.hpp"

namespace {

using mirnet::Context;
using mirnet::Index;
using mirnet::Mirnet;
using mirnet::MirnetConfig;
using mirnet::MirnetV2;
using mirnet::MirnetV2Config;
using mirnet::Model;

/// A configuration is mostly of a network that can run here, of which there are few, as weights take long to make; else
/// at the ends of the ranges, anywhere in them, or with one number of any size.
enum class Kind { ends, ranges, one_of_any_size, small, kMaxValue = 7 };

MirnetConfig make_config(FuzzedDataProvider& input, MirnetConfig) {
  using Config = MirnetConfig;
  auto const kind = input.ConsumeEnum<Kind>();
  struct Field {
    Index Config::*member;
    Index least, most, small[4];
  };
  static constexpr Field fields[] = {
      {&Config::features, 8, 1024, {8, 9, 16, 17}}, {&Config::groups, 1, 16, {1, 1, 1, 2}},
      {&Config::blocks, 1, 16, {1, 1, 1, 2}},       {&Config::streams, 1, 4, {1, 2, 3, 3}},
      {&Config::columns, 1, 4, {1, 1, 2, 2}},       {&Config::channels, 1, 16, {1, 3, 3, 3}}};
  Config config;
  for (auto const& [member, least, most, small] : fields) {
    Index const ends[] = {least - 1, least, least + 1, most - 1, most, most + 1};
    config.*member = kind == Kind::ends     ? input.PickValueInArray(ends)
                     : kind == Kind::ranges ? input.ConsumeIntegralInRange(least, most)
                                            : input.PickValueInArray(small);
  }
  if (kind == Kind::one_of_any_size) config.*input.PickValueInArray(fields).member = input.ConsumeIntegral<Index>();
  return config;
}

MirnetV2Config make_config(FuzzedDataProvider& input, MirnetV2Config) {
  using Config = MirnetV2Config;
  auto const kind = input.ConsumeEnum<Kind>();
  struct Field {
    Index Config::*member;
    Index ends[6], least, most, step, small[4];
  };
  static constexpr Field fields[] = {{&Config::features, {15, 16, 24, 496, 512, 528}, 16, 512, 16, {16, 16, 32, 48}},
                                     {&Config::blocks, {0, 1, 2, 15, 16, 17}, 1, 16, 1, {1, 1, 1, 2}},
                                     {&Config::channels, {2, 3, 4, 5, 6, 7}, 3, 6, 3, {3, 3, 3, 6}}};
  Config config;
  for (auto const& [member, ends, least, most, step, small] : fields) {
    config.*member = kind == Kind::ends     ? input.PickValueInArray(ends)
                     : kind == Kind::ranges ? step * input.ConsumeIntegralInRange(least / step, most / step)
                                            : input.PickValueInArray(small);
  }
  if (kind == Kind::one_of_any_size) config.*input.PickValueInArray(fields).member = input.ConsumeIntegral<Index>();
  config.bias = input.ConsumeBool();
  config.adds_image = input.ConsumeBool() == (kind == Kind::ends || config.channels == 3);
  return config;
}

/// The network of a configuration.
template <class T>
Mirnet<T> network_of(MirnetConfig const&);
template <class T>
MirnetV2<T> network_of(MirnetV2Config const&);
template <class T, class Config>
using ModelOf = Model<decltype(network_of<T>(Config()))>;

/// Models that are kept: megabytes of MIRNet's, and as much of MIRNet-v2's.
constexpr std::size_t models_kept(MirnetConfig const&) { return 150; }
constexpr std::size_t models_kept(MirnetV2Config const&) { return 16; }

bool is_small(MirnetConfig const& config) { return config.groups * config.blocks <= 2; }
bool is_small(MirnetV2Config const& config) { return config.blocks == 1; }

/// Mostly of a size that there is; where the input is at its end, of one pixel.
Index make_unshuffle(FuzzedDataProvider& input) {
  static constexpr Index sizes[] = {1, 2, 4, 1, 2, 4, 1, 2, 4, 0, 3, -2, std::numeric_limits<Index>::max()};
  return input.PickValueInArray(sizes);
}

Index make_side(FuzzedDataProvider& input) {
  switch (input.ConsumeIntegralInRange<int>(0, 7)) {
    case 0: return input.ConsumeIntegralInRange<Index>(-1, 100000);
    case 1: return input.ConsumeIntegral<Index>();
    default: return input.ConsumeIntegralInRange<Index>(1, 12);
  }
}

/// Hands out items in an order and to workers that follow from a number.
struct Scheduler {
  std::uint32_t state;

  Index next(Index below) {
    state = state * 1664525u + 1013904223u;
    return static_cast<Index>(state >> 8) % below;
  }
  static void run(void* self, Index count, mirnet::ParallelFor::Task task, void* arguments) noexcept {
    auto& scheduler = *static_cast<Scheduler*>(self);
    std::vector<Index> items(static_cast<std::size_t>(count));
    std::iota(items.begin(), items.end(), Index{0});
    for (auto i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(scheduler.next(static_cast<Index>(i)))]);
    }
    for (auto const item : items) task(arguments, item, scheduler.next(scheduler.workers));
  }
  Index workers;
};

/// The last few models, which take long to make.
template <class T, class Config>
ModelOf<T, Config> const& model_of(Config const& config) {
  static std::list<std::pair<Config, ModelOf<T, Config>>> models;
  for (auto const& [known, model] : models) {
    if (known == config) return model;
  }
  if (models.size() > models_kept(config)) models.pop_back();
  models.emplace_front(config, ModelOf<T, Config>::load(test::make_weight_file(config)).value());
  return models.front().second;
}

template <class Net>
test::Buffer<float> restore(Model<Net> const& model, Context<typename Net::Scalar>& context,
                            mirnet::Plan<typename Net::Config> const& plan, test::Buffer<float> const& image,
                            mirnet::Shape shape) {
  auto const memory = mirnet::Memory::allocate(plan.bytes).value();
  // What a run does not write must not matter: the contents of the memory are NaN to begin with.
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
  mirnet::Shape const result = Net::output_shape(model.config(), shape);
  test::Buffer<float> output(result.pixels() * mirnet::pixel_pitch<float>(result.channels),
                             std::numeric_limits<float>::quiet_NaN());
  auto const in = mirnet::View<float const>(image.data(), shape);
  auto const out = mirnet::View<float>(output.data(), result);
  if (plan.bytes > 0) {
    auto const less = model.run(context, plan, memory.bytes().first(memory.bytes().size() - 64), in, out);
    fuzz::require(!less.ok() && less.error().code() == mirnet::ErrorCode::memory, "too little memory is refused");
  }
  model.run(context, plan, memory.bytes(), in, out).value();
  for (Index y = 0; y < result.height; ++y) {
    for (Index x = 0; x < result.width; ++x) {
      for (Index c = 0; c < result.channels; ++c) {
        fuzz::require(std::isfinite(out(y, x, c)), "finite weights and images give finite results");
      }
    }
  }
  return output;
}

template <class T, class Config>
void run(Config const& config, Index height, Index width, Context<T>& context, FuzzedDataProvider& input) {
  auto const& model = model_of<T>(config);
  auto const plan = model.plan(context, height, width).value();
  auto const needed = ModelOf<T, Config>::bytes_needed(config, height, width, *context.kernels,
                                                       context.parallel.workers, context.algorithm);
  fuzz::require(needed->run == plan.bytes && needed->model == model.bytes(), "a plan says what was said before");

  mirnet::Shape const shape{height, width, config.channels};
  test::Buffer<float> image(height * width * mirnet::pixel_pitch<float>(config.channels));
  Scheduler numbers{input.ConsumeIntegral<std::uint32_t>(), 1};
  for (auto& x : image.span()) x = static_cast<float>(numbers.next(256)) / 255.0f;

  Scheduler scheduler{numbers.state, context.parallel.workers};
  context.parallel.run = Scheduler::run;
  context.parallel.self = &scheduler;
  auto const output = restore(model, context, plan, image, shape);
  context.parallel.run = nullptr;
  auto const in_order = restore(model, context, plan, image, shape);
  // The padding of the output is not written, and has no number.
  fuzz::require(std::equal(output.begin(), output.end(), in_order.begin(),
                           [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }),
                "the order of the work does not matter");
}

template <class T, class Config>
void plan(FuzzedDataProvider& input, bool runs) {
  auto config = make_config(input, Config());
  auto const height = make_side(input), width = make_side(input);
  auto const sets = mirnet::kernel_sets();
  std::vector<mirnet::KernelTable<T> const*> tables;
  for (auto const& set : sets) {
    if (set.available() && set.kernels_of<T>() != nullptr) tables.push_back(set.kernels_of<T>());
  }
  Context<T> context(*tables[input.ConsumeIntegralInRange<std::size_t>(0, tables.size() - 1)]);
  context.parallel.workers = input.ConsumeIntegralInRange<Index>(1, input.ConsumeBool() ? 1024 : 8);
  context.algorithm = input.ConsumeBool() ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  if constexpr (requires { config.unshuffle; }) config.unshuffle = make_unshuffle(input);

  auto const model_bytes = ModelOf<T, Config>::bytes_needed(config);
  if (!model_bytes) fuzz::require_sentence(model_bytes.error());
  fuzz::require(model_bytes.ok() == config.check().ok(), "where addresses have 64 bits, any network fits");
  auto const needed = ModelOf<T, Config>::bytes_needed(config, height, width, *context.kernels,
                                                       context.parallel.workers, context.algorithm);
  if (!needed) return fuzz::require_sentence(needed.error());
  fuzz::require(height >= 1 && width >= 1, "an image has a pixel");
  fuzz::require(needed->model == *model_bytes && needed->model > needed->model_in_place, "a model has weights");
  fuzz::require(needed->run % 64 == 0, "memory comes in lines of 64 bytes");
  // The image, its features and what becomes of them are there at one time.
  Index const cell = config.shape().unshuffle, pixels = (height / cell) * (width / cell);
  fuzz::require(needed->run / 64 >= (pixels * config.features / 64) / (64 / static_cast<Index>(sizeof(T))),
                "a run needs memory for its features");

  bool const small = height * width <= 144 && is_small(config) && needed->model < 1 << 21;
  if (small && runs) run<T>(config, height, width, context, input);
}

/// `network` is a byte of an input: its lowest bit chooses the type of the numbers, the highest four the network.
/// Inputs of before there was a choice hardly have those of MIRNet-v2, and mean what they meant.
template <class T>
void plan(FuzzedDataProvider& input, int network, bool runs) {
  network / 16 == 9 ? plan<T, MirnetV2Config>(input, runs) : plan<T, MirnetConfig>(input, runs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  // A run takes a thousand times as long as a plan. One input of 256 runs, drawn by lot: what is like one that runs,
  // and libFuzzer makes many of those, need not run.
  std::uint32_t lot = 2166136261;
  for (std::size_t i = 0; i < size; ++i) lot = (lot ^ data[i]) * 16777619;
  bool const runs = lot >> 24 == 0;
  FuzzedDataProvider input(data, size);
  auto const network = input.ConsumeIntegralInRange(0, 255);
  if (network % 2 != 0) {
    plan<float>(input, network, runs);
  } else {
    plan<mirnet::bfloat16>(input, network, runs);
  }
  return 0;
}

#include "engine.hpp"

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <mirnet/io/model_file.hpp>

#include "networks.hpp"
#include "weights.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::Result;

/// The same plan of a network with other hyper-parameters, or without.
template <class To, class From>
mirnet::Plan<To> with_config(mirnet::Plan<From> const& plan, To const& config) {
  return {.height = plan.height,
          .width = plan.width,
          .bytes = plan.bytes,
          .macs = plan.macs,
          .config = config,
          .isa = plan.isa,
          .workers = plan.workers,
          .algorithm = plan.algorithm};
}

template <class To, class From>
mirnet::Tiling<To> with_config(mirnet::Tiling<From> const& tiling, To const& config) {
  return {.x = tiling.x,
          .y = tiling.y,
          .plan = with_config(tiling.plan, config),
          .bytes = tiling.bytes,
          .at_once = tiling.at_once,
          .alone = with_config(tiling.alone, config)};
}

constexpr char const* builtin_name = "built in";  // what Facts::weights says of the weights in the program

constexpr mirnet::NoHyperParameters none;

template <class From>
Result<Tiling> plain(Result<mirnet::Tiling<From>> const& tiling) {
  if (!tiling) return tiling.error();
  return with_config(*tiling, none);
}

template <class Net>
class NetworkEngine final : public Engine {
  using T = typename Net::Scalar;

 public:
  NetworkEngine(std::string const& weights, char const* name, mirnet::Model<Net> model,
                mirnet::KernelTable<T> const& kernels, mirnet::Algorithm algorithm, mirnet::ThreadPool& pool)
      : model_(std::move(model)), context_(kernels, pool) {
    context_.algorithm = algorithm;
    auto const& config = model_.config();
    Index const channels = Net::channels_in(config);
    facts_ = {.weights = weights,
              .network = name,
              .hyper_parameters = hyper_parameters(config),
              .task = model_.task(),
              .parameters = model_.parameters(),
              .bytes = model_.bytes(),
              .channels_in = channels,
              .channels_out = Net::output_shape(config, {1, 1, channels}).channels,
              .isa = kernels.isa,
              .threads = context_.parallel.workers};
  }

  Result<Plan> plan(Index height, Index width) const override {
    auto const plan = model_.plan(context_, height, width);
    if (!plan) return plan.error();
    return with_config(*plan, none);
  }

  Result<Rehearsal> rehearse(Index height, Index width) const override {
    auto rehearsal = measure::rehearse(model_, context_, height, width);
    if (!rehearsal) return rehearsal.error();
    return Rehearsal{std::move(rehearsal->nodes), with_config(rehearsal->plan, none), rehearsal->pieces};
  }

  mirnet::Shape output_shape(mirnet::Shape image) const override { return Net::output_shape(model_.config(), image); }

  Result<void> run(Plan const& plan, mirnet::Trace trace, std::span<std::byte> memory, mirnet::View<float const> image,
                   mirnet::View<float> output) override {
    context_.trace = trace;
    auto const done = model_.run(context_, with_config(plan, model_.config()), memory, image, output);
    context_.trace = {};
    return done;
  }

  Result<Tiling> plan_whole(mirnet::Image const& image) const override {
    return plain(mirnet::plan_whole(model_, context_, image));
  }

  Result<Tiling> plan_tiles(mirnet::Image const& image, Index longest, Index most_bytes) const override {
    return plain(mirnet::plan_tiles(model_, context_, image, longest, most_bytes));
  }

  Result<Index> longest_tile_within(mirnet::Image const& image, Index bytes, Index longest) const override {
    return mirnet::longest_tile_within(model_, context_, image, bytes, longest);
  }

  Result<void> restore_rows(mirnet::Views views, Tiling const& tiling, mirnet::Strength strength,
                            mirnet::Progress progress, WriteRows const& write) override {
    context_.macs = 0;
    context_.progress = progress;
    auto const done =
        mirnet::restore_rows(model_, views, context_, with_config(tiling, model_.config()), strength, write);
    context_.progress = {};
    return done;
  }

 private:
  mirnet::Model<Net> model_;
  mirnet::Context<T> context_;
};

/// "MIRNet (1) or MIRNet-v2 (2)".
std::string known_networks() {
  std::string text;
  std::size_t left = std::tuple_size_v<decltype(networks)>;
  auto const add = [&](char const* name, Index architecture) {
    if (!text.empty()) text += left > 1 ? ", " : " or ";
    text += std::string(name) + " (" + std::to_string(architecture) + ')';
    --left;
  };
  std::apply([&](auto const&... network) { (add(network.name, network.architecture), ...); }, networks);
  return text;
}

Error unknown_network(Index architecture) {
  auto const number = static_cast<unsigned>(architecture);
  if (architecture == 0) {
    return Error(ErrorCode::model, "the file has weights of somebody's own network (architecture 0), expected %s",
                 known_networks().c_str());
  }
  return Error(ErrorCode::model,
               "the file has weights of a network that this version does not know (architecture %u), "
               "expected %s",
               number, known_networks().c_str());
}

/// The network that the file names, of the list.
template <class T>
Result<std::unique_ptr<Engine>> load(std::string const& name, mirnet::ByteSource& source, Kernels const& kernels,
                                     mirnet::Algorithm algorithm, mirnet::ThreadPool& pool) {
  auto const file = mirnet::WeightFile::open(source);
  if (!file) return file.error();
  Index const architecture = file->header().architecture();
  Result<std::unique_ptr<Engine>> engine = unknown_network(architecture);
  auto const try_network = [&](auto const& network) {
    if (network.architecture != architecture) return;
    using Net = typename std::remove_cvref_t<decltype(network)>::template Network<T>;
    auto model = mirnet::Model<Net>::load(source, {}, pool);
    if (model) {
      engine = std::unique_ptr<Engine>(std::make_unique<NetworkEngine<Net>>(
          name, network.name, *std::move(model), *kernels.set->kernels_of<T>(), algorithm, pool));
    } else {
      engine = model.error();
    }
  };
  std::apply([&](auto const&... network) { (try_network(network), ...); }, networks);
  return engine;
}

}  // namespace

Result<void> Engine::check_pictures(int count) const {
  constexpr Index colours = 3;
  auto const weights = facts_.weights == builtin_name ? "the built-in weights" : facts_.weights;
  if (facts_.channels_out != colours || (facts_.channels_in != colours && facts_.channels_in != 2 * colours)) {
    return Error(ErrorCode::model, "%s: the network is for images of %lld channels; expected 3", weights.c_str(),
                 static_cast<long long>(facts_.channels_in));
  }
  int const taken = facts_.channels_in == colours ? 1 : 2;
  if (taken == count) return {};
  return Error(ErrorCode::invalid_argument,
               taken == 2 ? "%s: the network takes two pictures, the left and the right view, and was given one; the "
                            "right one is given by denoise --right FILE"
                          : "%s: the network takes one picture, and was given two, a left and a right view",
               weights.c_str());
}

Result<std::unique_ptr<Engine>> load_engine(std::optional<std::string> const& path, Kernels const& kernels,
                                            mirnet::Algorithm algorithm, mirnet::ThreadPool& pool) {
  std::string const name = path ? *path : builtin_name;
  auto const load_from = [&](mirnet::ByteSource& source) {
    return kernels.in_bfloat16 ? load<mirnet::bfloat16>(name, source, kernels, algorithm, pool)
                               : load<float>(name, source, kernels, algorithm, pool);
  };
  if (!path) {
    mirnet::MemorySource source(builtin_weights());
    return load_from(source);
  }
  auto file = mirnet::InputFile::open(path->c_str(), ErrorCode::model);
  if (!file) return file.error();
  mirnet::FileSource source(*std::move(file));
  auto engine = load_from(source);
  if (!engine) return Error(engine.error().code(), "%s: %s", path->c_str(), engine.error().message());
  return engine;
}

}  // namespace cli

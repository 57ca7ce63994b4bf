// A network with its weights: load it once, plan an image size, run it as often as you like.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <mirnet/model/network.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

/// What a run of one model for one image size needs, exactly.
template <class Config>
struct Plan {
  Index height = 0, width = 0;  ///< of the image, before padding
  Index bytes = 0;              ///< working memory of a run
  std::uint64_t macs = 0;       ///< multiply-accumulates of the network as written

  // What the bytes depend on besides: a run compares them with its own.
  Config config;
  char const* isa = "";  ///< of the kernels: KernelTable::isa
  Index workers = 0;
  Algorithm algorithm = Algorithm::automatic;
};

/// What a network takes for images of one size, exactly: multiples of 64 bytes, each at a multiple of 64.
struct BytesNeeded {
  Index model = 0;           ///< of Model::load: the network's structure and its weights
  Index model_in_place = 0;  ///< of Model::load_in_place: the structure alone
  Index run = 0;             ///< of Model::run: the plan's bytes
};

namespace detail {

/// Whether the caller's memory is what was asked for.
inline Result<void> check_memory(std::span<std::byte> memory, Index bytes) noexcept {
  if (!starts_a_line(memory.data())) {
    return Error(ErrorCode::invalid_argument, "the memory does not start at a multiple of %lld",
                 static_cast<long long>(alignment_bytes));
  }
  if (static_cast<Index>(memory.size()) < bytes) {
    return Error(ErrorCode::memory, "%lld bytes of memory are needed, %lld are there", static_cast<long long>(bytes),
                 static_cast<long long>(memory.size()));
  }
  return {};
}

}  // namespace detail

/// A network with weights; move-only. Const while it runs: threads share one model, each with a context of its own.
/// Where its numbers are bfloat16, weights and feature maps take half of the memory; images, sums and products stay
/// float.
template <Network Net>
class Model {
  using T = typename Net::Scalar;

 public:
  using Config = typename Net::Config;
  using Pixel = Accumulator<T>;  ///< what images are of

  /// Bytes that a model of this configuration takes, whoever provides them. Errors: model, for a hyper-parameter out of
  /// range; memory, for a size that an Index cannot hold.
  static constexpr Result<Index> bytes_needed(Config const& config) noexcept {
    if (auto const checked = Net::check(config); !checked) return checked.error();
    std::optional<Index> bytes = Net::structure_bytes(config);
    auto const add = [&](auto& layer, Unnamed name) {
      each_parameter(layer, name, [&](auto& parameter, Unnamed) {
        if (auto const packed = checked_product(packed_size(parameter), sizeof(T)); bytes && packed) {
          bytes = checked_sum(*bytes, *packed);
        } else {
          bytes.reset();
        }
      });
    };
    Net::schema(config, add, Unnamed());
    if (!bytes) return Error(ErrorCode::memory, "the weights need more memory than this machine can address");
    return *bytes;
  }

  /// All that a model of this configuration takes for images of this size, without a model: for these kernels, number
  /// of workers and algorithm, `run` is what plan() says. A constant expression where the kernels are (native_kernels),
  /// so that the memory can be an array. Errors: as bytes_needed(config) and plan().
  static constexpr Result<BytesNeeded> bytes_needed(Config const& config, Index height, Index width,
                                                    KernelTable<T> const& kernels, Index workers = 1,
                                                    Algorithm algorithm = Algorithm::automatic) noexcept {
    auto const model = bytes_needed(config);
    if (!model) return model.error();
    if (auto const checked = Net::check_size(config, height, width); !checked) return checked.error();
    BytesNeeded bytes{.model = *model, .model_in_place = Net::structure_bytes(config)};
    auto rehearsal = Context<T>::for_rehearsal(kernels, {.workers = workers});
    rehearsal.algorithm = algorithm;
    Net::with_outline(config, [&](Net const& outline) { rehearse(outline, config, rehearsal, height, width); });
    if (auto const measured = rehearsal.status(); !measured) return measured.error();
    bytes.run = rehearsal.arena.peak();
    return bytes;
  }

  /// Reads a weight file into the caller's memory, which starts at a multiple of 64, has at least bytes_needed(config)
  /// bytes and outlives the model; empty: the model takes its own. `parallel` shares out the work, where the source is
  /// concurrent; the bits do not depend on it. Errors: model; memory.
  static Result<Model> load(ByteSource& source, std::span<std::byte> memory = {},
                            ParallelFor const& parallel = {}) noexcept {
    return build<false>(source, {}, memory, parallel);
  }

  /// Reads a weight file that lies in memory; the file is not needed afterwards.
  static Result<Model> load(std::span<std::byte const> file, ParallelFor const& parallel = {}) noexcept {
    MemorySource source(file);
    return load(source, {}, parallel);
  }

  /// A model that uses the weights where they lie: `file` is a packed weight file of T's own storage type
  /// (weights/README.md) that starts at a multiple of 64. It and the memory, of which no more than
  /// BytesNeeded::model_in_place is needed, outlive the model; empty: the model takes its own. Errors: as load; model,
  /// where the file cannot be used in place, with what has to be different.
  static Result<Model> load_in_place(std::span<std::byte const> file, std::span<std::byte> memory = {}) noexcept
      requires(std::is_same_v<T, float> || std::is_same_v<T, bfloat16>) {
    MemorySource source(file);
    return build<true>(source, file, memory, {});
  }

  Config const& config() const noexcept { return config_; }
  /// The network with its weights, for computing a part of it or calling its forward in a Runner.
  Net const& network() const noexcept { return network_; }
  /// What the weights were trained for, as their file says.
  Task task() const noexcept { return task_; }
  Index bytes() const noexcept { return bytes_; }
  /// Numbers learned, each counted once however often the network uses it.
  Index parameters() const noexcept { return parameters_; }

  /// Rehearses a run with this context's kernels and number of workers for an image of any size from 1x1, and tells its
  /// trace the nodes. Takes as long for any size. Errors: invalid_argument, for a size below 1; memory, for one that no
  /// memory can hold, and for more maps at a time than an arena has blocks.
  Result<Plan<Config>> plan(Context<T> const& context, Index height, Index width) const noexcept {
    if (auto const checked = Net::check_size(config_, height, width); !checked) return checked.error();
    auto rehearsal = Context<T>::for_rehearsal(*context.kernels, context.parallel);
    rehearsal.algorithm = context.algorithm;
    rehearsal.trace = context.trace;
    rehearse(network_, config_, rehearsal, height, width);
    if (auto const measured = rehearsal.status(); !measured) return measured.error();
    return Plan<Config>{.height = height,
                        .width = width,
                        .bytes = rehearsal.arena.peak(),
                        .macs = rehearsal.macs,
                        .config = config_,
                        .isa = context.kernels->isa,
                        .workers = context.parallel.workers,
                        .algorithm = context.algorithm};
  }

  /// Computes the network's output for an image: `image` has the plan's height and width and the network's channels,
  /// `output` its output shape. Both have rows without gaps and a pitch of whole lines, which is the same if
  /// their numbers of channels are. They do not overlap. `memory` starts at a multiple of 64 and has at least
  /// plan.bytes. Allocates nothing if T is float or bfloat16. Errors: invalid_argument; memory, where it is too small;
  /// cancelled.
  Result<void> run(Context<T>& context, Plan<Config> const& plan, std::span<std::byte> memory, View<Pixel const> image,
                   View<Pixel> output) const noexcept {
    Shape const shape{plan.height, plan.width, Net::channels_in(config_)};
    if (auto const checked = check_shape("image", image.shape(), shape); !checked) return checked;
    if (auto const checked = check_shape("output", output.shape(), Net::output_shape(config_, shape)); !checked) {
      return checked;
    }
    if (auto const checked = check_rows("image", image); !checked) return checked;
    if (auto const checked = check_rows("output", View<Pixel const>(output)); !checked) return checked;
    Index const line = channels_per_line<Pixel>;
    bool const same = image.channels() != output.channels() || image.pitch() == output.pitch();
    if (image.pitch() % line != 0 || output.pitch() % line != 0 || !same) {
      return Error(ErrorCode::invalid_argument,
                   "the pixel pitch is %lld in the image and %lld in the output, expected multiples of %lld, and the "
                   "same for as many channels",
                   static_cast<long long>(image.pitch()), static_cast<long long>(output.pitch()),
                   static_cast<long long>(line));
    }
    if (!starts_a_line(image.data()) || !starts_a_line(output.data())) {
      return Error(ErrorCode::invalid_argument, "image or output does not start at a multiple of %lld bytes",
                   static_cast<long long>(alignment_bytes));
    }
    if (plan.config != config_ || plan.workers != context.parallel.workers ||
        std::string_view(plan.isa) != context.kernels->isa) {
      return Error(
          ErrorCode::invalid_argument,
          "the plan is for %lld workers with %s kernels, the context has %lld with %s; or it is another model's",
          static_cast<long long>(plan.workers), plan.isa, static_cast<long long>(context.parallel.workers),
          context.kernels->isa);
    }
    if (plan.algorithm != context.algorithm) {
      return Error(ErrorCode::invalid_argument, "plan and context name different algorithms for convolutions");
    }
    if (auto const checked = detail::check_memory(memory, plan.bytes); !checked) return checked;
    return context.compute_in(memory, [&] { network_.run(context, config_, image, output); });
  }

 private:
  /// `file` holds the bytes of the source if the weights are used in place.
  template <bool in_place>
  static Result<Model> build(ByteSource& source, std::span<std::byte const> file, std::span<std::byte> memory,
                             ParallelFor const& parallel) noexcept {
    auto weights = WeightFile::open(source);
    if (!weights) return weights.error();
    auto const config = Net::configure(weights->header());
    if (!config) return config.error();
    Model model;
    model.config_ = *config;
    model.task_ = weights->header().task();
    Loading<in_place> loading(*weights, file, parallel);
    Net::schema(model.config_, loading, Name());
    if (!loading.result) return loading.result.error();
    if (auto const checked = weights->check_end(loading.count); !checked) return checked.error();
    if constexpr (in_place) {
      if (auto const checked = weights->template check_in_place<T>(file); !checked) return checked.error();
    }
    auto const bytes = in_place ? Result<Index>(Net::structure_bytes(model.config_)) : bytes_needed(model.config_);
    if (!bytes) return bytes.error();
    model.bytes_ = *bytes;
    if (memory.empty()) {
      auto own = Memory::allocate(*bytes);
      if (!own) return own.error();
      model.own_ = *std::move(own);
      memory = model.own_.bytes();
    }
    if (auto const checked = detail::check_memory(memory, *bytes); !checked) return checked.error();
    if constexpr (std::is_constructible_v<Net, Config const&, std::byte*>) {
      model.network_ = Net(model.config_, memory.data());
    } else if constexpr (std::is_constructible_v<Net, Config const&>) {
      model.network_ = Net(model.config_);
    }
    if constexpr (!in_place) {
      loading.next = memory.data() + Net::structure_bytes(model.config_);
      loading.end = memory.data() + *bytes;
    }
    loading.compares = false;
    model.network_.each_layer(model.config_, loading);
    if (!loading.result) return loading.result.error();
    model.parameters_ = loading.parameters;
    return model;
  }

  /// Visits the layers, first to compare them with the file's table, then to give them their weights. One type does
  /// both, as the visits of a large network are a lot of code.
  template <bool in_place>
  struct Loading {
    Loading(WeightFile& weights, std::span<std::byte const> bytes, ParallelFor const& threads) noexcept
        : file(weights), file_bytes(bytes), parallel(threads) {}

    WeightFile& file;
    std::span<std::byte const> file_bytes;  // where weights are used in place
    ParallelFor const& parallel;
    std::byte *next = nullptr, *end = nullptr;  // where they are copied to: what follows is free until then
    bool compares = true;
    Index count = 0, parameters = 0;
    Result<void> result;

    template <class Layer>
    MIRNET_NOINLINE void operator()(Layer& layer, Name const& name) noexcept {  // one frame, not one for each layer
      each_parameter(layer, name, [&](auto& parameter, Name const& full_name) {
        if (compares) {
          if (result) result = file.check_tensor(parameter, full_name);
          ++count;
        } else {
          parameters += parameter.shape().elements();
          give_weights(parameter, full_name);
        }
      });
    }

    template <class Parameter>
    void give_weights(Parameter& parameter, Name const& name) noexcept {
      if constexpr (!in_place) {
        auto* const packed = reinterpret_cast<T*>(next);
        parameter.bind(packed);
        Index const size = packed_size(parameter);
        next += size * static_cast<Index>(sizeof(T));
        if (!result) return;
        // Kernels compute whole lines of channels: the weights of the padding are zero.
        if (size > parameter.shape().elements()) std::fill(packed, packed + size, T(0));
        result = file.read_tensor(parameter, packed, name, {next, end}, parallel);
      } else if constexpr (requires { Parameter::holds_its_numbers; }) {
        if (result) result = file.read_tensor(parameter, static_cast<T*>(nullptr), name);
      } else {
        if (result) result = file.template place_tensor<T>(parameter, file_bytes, name);
      }
    }
  };

  static Result<void> check_shape(char const* name, Shape found, Shape expected) noexcept {
    if (found == expected) return {};
    auto const number = [](Index value) { return static_cast<long long>(value); };
    return Error(ErrorCode::invalid_argument,
                 "the %s has %lldx%lld pixels of %lld channels, expected %lldx%lld of %lld as the plan has", name,
                 number(found.width), number(found.height), number(found.channels), number(expected.width),
                 number(expected.height), number(expected.channels));
  }

  static Result<void> check_rows(char const* name, View<Pixel const> map) noexcept {
    if (map.dense()) return {};
    return Error(ErrorCode::invalid_argument,
                 "the %s has a row pitch of %lld elements, expected %lld: rows without gaps, as in a copy", name,
                 static_cast<long long>(map.row_pitch()), static_cast<long long>(map.width() * map.pitch()));
  }

  template <class Layer>
  static constexpr Index packed_size(Layer const& layer) noexcept {
    return round_up(layer.packed_elements(), packed_line<T>);
  }

  /// With a context that only measures, for an image that has no memory.
  static constexpr void rehearse(Net const& network, Config const& config, Context<T>& context, Index height,
                                 Index width) noexcept {
    Shape const image{height, width, Net::channels_in(config)};
    network.run(context, config, View<Pixel const>(nullptr, image),
                View<Pixel>(nullptr, Net::output_shape(config, image)));
  }

  Config config_;
  Task task_ = Task::unspecified;
  Memory own_;
  Net network_;
  Index bytes_ = 0, parameters_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

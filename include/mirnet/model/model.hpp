// A network with its weights: load it once, plan an image size, run it as often as you like.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include <mirnet/model/network.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

/// What a run of one model for one image size needs, exactly.
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

/// MIRNet with weights; move-only. Const while it runs: threads share one model, each with a context of its own.
/// With T = bfloat16, weights and feature maps take half of the memory; images, sums and products stay float.
template <class T>
class Model {
 public:
  using Pixel = Accumulator<T>;

  /// Bytes that a model of this configuration takes, whoever provides them. Errors: model, for a hyper-parameter out of
  /// range; memory, for a size that an Index cannot hold.
  static constexpr Result<Index> bytes_needed(Config const& config) noexcept {
    if (auto const checked = check(config); !checked) return checked.error();
    std::optional<Index> bytes = Network<T>::structure_bytes(config);
    auto const add = [&](auto& layer, Unnamed) {
      if (auto const packed = checked_product(packed_size(layer), sizeof(T)); bytes && packed) {
        bytes = checked_sum(*bytes, *packed);
      } else {
        bytes.reset();
      }
    };
    Network<T>::schema(config, add, Unnamed());
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
    if (auto const checked = check_size(config, height, width); !checked) return checked.error();
    BytesNeeded bytes{.model = *model, .model_in_place = Network<T>::structure_bytes(config)};
    auto rehearsal = Context<T>::for_rehearsal(kernels, {.workers = workers});
    rehearsal.algorithm = algorithm;
    Network<T>::with_outline(config,
                             [&](Network<T> const& outline) { rehearse(outline, config, rehearsal, height, width); });
    if (auto const measured = rehearsal.status(); !measured) return measured.error();
    bytes.run = rehearsal.arena.peak();
    return bytes;
  }

  /// Reads a weight file into memory of its own. Errors: model; memory.
  static Result<Model> load(ByteSource& source) noexcept { return load(source, {}); }

  /// Reads a weight file that lies in memory; the file is not needed afterwards.
  static Result<Model> load(std::span<std::byte const> file) noexcept {
    MemorySource source(file);
    return load(source);
  }

  /// Reads a weight file into the caller's memory, which starts at a multiple of 64, has at least bytes_needed(config)
  /// bytes and outlives the model. Empty: the model takes its own.
  static Result<Model> load(ByteSource& source, std::span<std::byte> memory) noexcept {
    return build<false>(source, {}, memory);
  }

  /// A model that uses the weights where they lie: `file` is a packed weight file of T's own storage type
  /// (weights/README.md) that starts at a multiple of 64. It and the memory, of which no more than
  /// BytesNeeded::model_in_place is needed, outlive the model; empty: the model takes its own. Errors: as load; model,
  /// where the file cannot be used in place, with what has to be different.
  static Result<Model> load_in_place(std::span<std::byte const> file, std::span<std::byte> memory = {}) noexcept
      requires(std::is_same_v<T, float> || std::is_same_v<T, bfloat16>) {
    MemorySource source(file);
    return build<true>(source, file, memory);
  }

  Config const& config() const noexcept { return config_; }
  Index bytes() const noexcept { return bytes_; }
  /// Numbers learned, each counted once however often the network uses it.
  Index parameters() const noexcept { return parameters_; }

  /// Rehearses a run with this context's kernels and number of workers for an image of any size from 1x1, and tells its
  /// trace the nodes. Takes as long for any size. Errors: invalid_argument, for a size below 1; memory, for one that no
  /// memory can hold, and for more maps at a time than an arena has blocks.
  Result<Plan> plan(Context<T> const& context, Index height, Index width) const noexcept {
    if (auto const checked = check_size(config_, height, width); !checked) return checked.error();
    auto rehearsal = Context<T>::for_rehearsal(*context.kernels, context.parallel);
    rehearsal.algorithm = context.algorithm;
    rehearsal.trace = context.trace;
    rehearse(network_, config_, rehearsal, height, width);
    if (auto const measured = rehearsal.status(); !measured) return measured.error();
    return Plan{.height = height,
                .width = width,
                .bytes = rehearsal.arena.peak(),
                .macs = rehearsal.macs,
                .config = config_,
                .isa = context.kernels->isa,
                .workers = context.parallel.workers,
                .algorithm = context.algorithm};
  }

  /// Restores an image: `image` and `output` have the plan's height and width, the configuration's channels, the same
  /// pitch of whole 64-byte lines, and do not overlap. `memory` starts at a multiple of 64 and has at least plan.bytes.
  /// Allocates nothing if T is float or bfloat16. Errors: invalid_argument; memory, where it is too small; cancelled.
  Result<void> run(Context<T>& context, Plan const& plan, std::span<std::byte> memory, View<Pixel const> image,
                   View<Pixel> output) const noexcept {
    Shape const shape{plan.height, plan.width, config_.channels};
    if (image.shape() != shape || output.shape() != shape) {
      return Error(ErrorCode::invalid_argument,
                   "the plan is for %lldx%lld pixels of %lld channels; image or output differ",
                   static_cast<long long>(shape.width), static_cast<long long>(shape.height),
                   static_cast<long long>(shape.channels));
    }
    if (image.pitch() % channel_group<Pixel> != 0 || output.pitch() != image.pitch()) {
      return Error(ErrorCode::invalid_argument,
                   "the pixel pitch is %lld in the image and %lld in the output, expected one multiple of %lld in both",
                   static_cast<long long>(image.pitch()), static_cast<long long>(output.pitch()),
                   static_cast<long long>(channel_group<Pixel>));
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
    if (auto const checked = check_memory(memory, plan.bytes); !checked) return checked;
    context.arena = Arena(memory);
    context.refusal = {};
    forward(network_, config_, context, image, output);
    auto const done = context.status();
    context.arena = {};
    return done;
  }

 private:
  /// `file` holds the bytes of the source if the weights are used in place.
  template <bool in_place>
  static Result<Model> build(ByteSource& source, std::span<std::byte const> file,
                             std::span<std::byte> memory) noexcept {
    auto weights = WeightFile::open(source);
    if (!weights) return weights.error();
    Model model;
    model.config_ = weights->config();
    if (auto const checked = weights->check_tensors([&](auto&& visit) { Network<T>::schema(model.config_, visit); });
        !checked) {
      return checked.error();
    }
    if constexpr (in_place) {
      if (auto const checked = weights->template check_in_place<T>(file); !checked) return checked.error();
    }
    auto const bytes =
        in_place ? Result<Index>(Network<T>::structure_bytes(model.config_)) : bytes_needed(model.config_);
    if (!bytes) return bytes.error();
    model.bytes_ = *bytes;
    if (memory.empty()) {
      auto own = Memory::allocate(*bytes);
      if (!own) return own.error();
      model.own_ = *std::move(own);
      memory = model.own_.bytes();
    }
    if (auto const checked = check_memory(memory, *bytes); !checked) return checked.error();
    model.network_ = Network<T>(model.config_, memory.data());
    Result<void> filled;
    if constexpr (in_place) {
      filled = model.place_weights(*weights, file);
    } else {
      filled = model.read_weights(*weights, memory);
    }
    if (!filled) return filled.error();
    return model;
  }

  template <class Layer>
  static constexpr Index packed_size(Layer const& layer) noexcept {
    return round_up(layer.packed_elements(), channel_group<T>);
  }

  static bool starts_a_line(void const* data) noexcept {
    return reinterpret_cast<std::uintptr_t>(data) % alignment_bytes == 0;
  }

  static Result<void> check_memory(std::span<std::byte> memory, Index bytes) noexcept {
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

  /// Places the weights behind the network's structure and fills them.
  Result<void> read_weights(WeightFile& file, std::span<std::byte> memory) noexcept {
    Index const structure = Network<T>::structure_bytes(config_);
    // Kernels compute whole groups of channels: the weights of those that do not exist are zero.
    std::memset(memory.data() + structure, 0, static_cast<std::size_t>(bytes_ - structure));
    T* next = reinterpret_cast<T*>(memory.data() + structure);
    Result<void> result;
    network_.layers(config_, [&](auto& layer, Name const& name) MIRNET_NOINLINE {  // one frame, not one for each layer
      layer.bind(next);
      parameters_ += layer.shape().elements();
      if (result) result = file.read_tensor(layer, next, name);
      next += packed_size(layer);
    });
    return result;
  }

  /// Points the network at the weights in a file, all but the slopes.
  Result<void> place_weights(WeightFile& weights, std::span<std::byte const> file) noexcept {
    Result<void> result;
    network_.layers(config_, [&]<class Layer>(Layer& layer, Name const& name) MIRNET_NOINLINE {
      parameters_ += layer.shape().elements();
      if (!result) return;
      if constexpr (std::is_same_v<Layer, PRelu<T>>) {
        result = weights.read_tensor(layer, static_cast<T*>(nullptr), name);
      } else {
        result = weights.template place_tensor<T>(layer, file, name);
      }
    });
    return result;
  }

  /// The shape of a map of the network's for an image of this size.
  static constexpr Shape map_shape(Config const& config, Index height, Index width, Index channels) noexcept {
    return {round_up(height, config.pad_multiple()) / config.unshuffle,
            round_up(width, config.pad_multiple()) / config.unshuffle, channels};
  }

  /// Whether the bytes of a run can be counted.
  static constexpr Result<void> check_size(Config const& config, Index height, Index width) noexcept {
    if (height < 1 || width < 1) {
      return Error(ErrorCode::invalid_argument, "an image has at least 1x1 pixels, found %lldx%lld",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    // The rehearsal adds up maps and their arithmetic: with room for far more than the six maps that it holds at most,
    // neither sum can wrap. Where an Index has 32 bits, such a bound would refuse images that there is memory for.
    constexpr Index largest_map = (std::numeric_limits<Index>::max)() >> (sizeof(Index) > 4 ? 17 : 4);
    Index const longest = (std::numeric_limits<Index>::max)() - config.pad_multiple();
    std::optional<Index> map, image;
    if (height <= longest && width <= longest) {
      map = map_bytes<T>(map_shape(config, height, width, (std::max)(config.features, config.cell_channels())));
      image = map_bytes<Pixel>({height, width, config.channels});
    }
    // Nodes of a trace add up two images and a map.
    if (!map || *map > largest_map || !image || *image > (std::numeric_limits<Index>::max)() / 4) {
      return Error(ErrorCode::memory, "an image of %lldx%lld pixels is larger than any memory",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    return {};
  }

  /// forward() with a context that only measures, for an image that has no memory.
  static constexpr void rehearse(Network<T> const& network, Config const& config, Context<T>& context, Index height,
                                 Index width) noexcept {
    Shape const shape{height, width, config.channels};
    forward(network, config, context, View<Pixel const>(nullptr, shape), View<Pixel>(nullptr, shape));
  }

  /// Pads, runs the network, crops; a run and its rehearsal alike.
  static constexpr void forward(Network<T> const& network, Config const& config, Context<T>& context,
                                View<Pixel const> image, View<Pixel> output) noexcept {
    Index const cell = config.unshuffle;
    Shape const size = map_shape(config, image.height(), image.width(), config.cell_channels());
    context.nodes = 0;
    if (cell > 1) {
      // Pixels change places in the copies that pad and crop, which are always made.
      auto const residual =
          network.residual(context, size, [&](View<T> cells) { copy(context.at("unshuffle"), image, cells, cell); });
      return add(context.at("shuffle"), image, residual, cell, output);
    }
    if constexpr (std::is_same_v<T, Pixel>) {
      if (size == image.shape()) return network.forward(context, image, output);
    }
    ArenaMap<T> const larger(context.arena, size);
    copy(context.at("pad"), image, larger.view(), cell);
    ArenaMap<T> const restored(context.arena, size);
    if constexpr (std::is_same_v<T, Pixel>) {
      network.forward(context, larger, restored);
      copy(context.at("crop"), View<T const>(restored), output, cell);
    } else {
      // The image itself has more bits than T: what the network says of it is added here.
      network.forward(context, larger, restored, false);
      add(context.at("crop"), image, restored, cell, output);
    }
  }

  /// A node that fits an image of From into a map of To.
  template <class From, class To>
  static constexpr void copy(Context<T>& context, View<From const> image, View<To> map, Index cell) noexcept {
    Node node = context.new_node("copy", image.shape(), map.shape());
    node.kernel = "copy";
    Piece const piece(context, node);
    context.each_range(map.height(), rows_a_range,
                       [&](Index first, Index last, Index) { fit(image, map, cell, first, last); });
  }

  /// A node that adds a residual to the image.
  static constexpr void add(Context<T>& context, View<Pixel const> image, View<T const> residual, Index cell,
                            View<Pixel> output) noexcept {
    Node node = context.new_node("copy", residual.shape(), output.shape());
    node.kernel = "copy";
    node.bytes += context.bytes_of(image.shape());
    node.residual = true;
    Piece const piece(context, node);
    context.each_range(output.height(), rows_a_range,
                       [&](Index first, Index last, Index) { add_rows(image, residual, cell, output, first, last); });
  }

  /// Rows [first, last) of the sum of the image and the residual, which has a pixel for every cell of the image.
  static void add_rows(View<Pixel const> image, View<T const> residual, Index cell, View<Pixel> output, Index first,
                       Index last) noexcept {
    for (Index y = first; y < last; ++y) {
      Pixel const* from = image.row(y);
      Pixel* to = output.row(y);
      T const* part = residual.row(y / cell) + y % cell * cell;
      for (Index x = 0; x < output.width(); x += cell, part += residual.pitch()) {
        Index const end = (std::min)(cell, output.width() - x);
        for (Index i = 0; i < end; ++i, from += image.pitch(), to += output.pitch()) {
          for (Index c = 0; c < output.channels(); ++c) {
            to[c] = from[c] + static_cast<Pixel>(part[c * cell * cell + i]);
          }
        }
      }
    }
  }

  /// Fills rows [first, last) of a map that has a pixel for every cell of an image of another size: of the image cut at
  /// the right and below, or continued there by reflection without the edge (torch's 'reflect'); where a side is not
  /// longer than what it lacks, by its edge.
  template <class From, class To>
  static void fit(View<From const> image, View<To> map, Index cell, Index first, Index last) noexcept {
    auto const source = [](Index i, Index side, Index wanted) {
      if (i < side) return i;
      return wanted - side < side ? 2 * (side - 1) - i : side - 1;
    };
    // Gathered one by one, converted a line at a time.
    From pixel[Config::most_cell_channels] = {};
    Index const lines = round_up(image.channels() * cell * cell, channel_group<To>);
    for (Index y = first; y < last; ++y) {
      From const* rows[Config::most_unshuffle];
      for (Index i = 0; i < cell; ++i) rows[i] = image.row(source(y * cell + i, image.height(), map.height() * cell));
      for (Index x = 0; x < map.width(); ++x) {
        for (Index j = 0; j < cell; ++j) {
          Index const column = source(x * cell + j, image.width(), map.width() * cell) * image.pitch();
          for (Index i = 0; i < cell; ++i) {
            for (Index c = 0; c < image.channels(); ++c) pixel[(c * cell + i) * cell + j] = rows[i][column + c];
          }
        }
        To* const to = map.pixel(y, x);
        for (Index line = 0; line < lines; line += channel_group<To>) {
          for (Index c = line; c < line + channel_group<To>; ++c) to[c] = static_cast<To>(pixel[c]);
        }
      }
    }
  }

  Config config_;
  Memory own_;
  Network<T> network_;
  Index bytes_ = 0, parameters_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI

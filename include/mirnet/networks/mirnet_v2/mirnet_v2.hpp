// MIRNet-v2 (Zamir et al., "Learning Enriched Features for Fast Image Restoration and Enhancement", TPAMI 2022): the
// layers and how an image passes through them, without weights of its own.
#pragma once

#include <algorithm>
#include <new>
#include <span>
#include <type_traits>

#include <mirnet/layers/sum.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/networks/image_network.hpp>
#include <mirnet/networks/mirnet_v2/config.hpp>
#include <mirnet/networks/mirnet_v2/multi_scale_block.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv_out(groups(conv_in(x))); for the defocus task, with h = conv_in(x), conv_out(h + groups(h)). Its parts live
/// in memory that the owner provides.
template <class T>
class MirnetV2 {
  using Block = MultiScaleBlockV2<T>;
  using Group = ResidualGroupV2<T>;
  static_assert(std::is_trivially_destructible_v<Block> && std::is_trivially_destructible_v<Group>,
                "nobody destroys the parts");

 public:
  using Scalar = T;
  using Config = MirnetV2Config;
  using Pixel = Accumulator<T>;

  MirnetV2() = default;

  /// Errors: model, for a network of another kind and for hyper-parameters out of range.
  static Result<Config> configure(WeightHeader const& header) noexcept {
    if (auto const checked = header.expect_architecture(2); !checked) return checked.error();
    if (header.minor_version() < 4) {
      return Error(ErrorCode::model, "the format version is 0.%lld, files of MIRNet-v2 have 0.4 or more",
                   static_cast<long long>(header.minor_version()));
    }
    if (header.field(60) > 1) {
      return Error(ErrorCode::model, "bias is %lld, expected 0 or 1", static_cast<long long>(header.field(60)));
    }
    Config const config{.features = header.field(44),
                        .blocks = header.field(48),
                        .channels = header.channels_in(),
                        .bias = header.field(60) != 0,
                        .adds_image = header.task() != Task::defocus};
    if (auto const checked = check(config); !checked) return checked.error();
    auto const fixed = expect_fields(header, {{"the number of output channels", 42, config.output_channels},
                                              {"the number of groups", 46, config.groups},
                                              {"the number of streams", 50, config.streams},
                                              {"the number of rounds", 52, 2},
                                              {"the reduction of fusion", 54, 8},
                                              {"the numerator of the channel factor", 56, 3},
                                              {"the denominator of the channel factor", 58, 2},
                                              {"bias", 60, config.bias},
                                              {"the scale", 62, 1},
                                              {"the pad multiple", 64, config.pad_multiple()},
                                              {"unshuffle", 66, 1}});
    if (!fixed) return fixed.error();
    return config;
  }

  /// Errors: model, naming the first hyper-parameter out of its range.
  static constexpr Result<void> check(Config const& config) noexcept { return config.check(); }

  static constexpr Index channels_in(Config const& config) noexcept { return config.channels; }
  static constexpr Shape output_shape(Config const& config, Shape image) noexcept {
    return {image.height, image.width, config.output_channels};
  }
  static constexpr Index tile_step(Config const&) noexcept { return 1; }

  /// Bytes of the parts, their weights not included.
  static constexpr Index structure_bytes(Config const& config) noexcept {
    return blocks_bytes(config) + round_up(config.groups * static_cast<Index>(sizeof(Group)), alignment_bytes);
  }

  /// Builds the parts in structure_bytes(config) bytes at `memory`, which starts at a multiple of 64.
  MirnetV2(Config const& config, std::byte* memory) noexcept : image_(image_of(config)) {
    auto* const block = reinterpret_cast<Block*>(memory);
    auto* const group = reinterpret_cast<Group*>(memory + blocks_bytes(config));
    for (Index g = 0; g < config.groups; ++g) {
      Block* const first = block + g * config.blocks;
      for (Index i = 0; i < config.blocks; ++i) new (first + i) Block(config, g);
      new (group + g) Group(config, {first, static_cast<std::size_t>(config.blocks)}, config.blocks);
    }
    groups_ = {group, static_cast<std::size_t>(config.groups)};
  }

  /// visit(layer, name) for each layer with parameters, in the order and with the names of the authors' checkpoints.
  /// This order is the weight file's.
  template <class Visitor>
  void each_layer(Config const& config, Visitor&& visit) {
    visit_layers(config, visit, Name());
  }

  /// The same visit for a network that is not built: all blocks of a group are one object, and nothing is allocated.
  template <class Visitor, class Path = Name>
  static constexpr void schema(Config const& config, Visitor&& visit, Path const& root = {}) {
    with_outline(config, [&](MirnetV2& outline) { outline.visit_layers(config, visit, root); });
  }

  /// body(network) with a network that has no weights and takes no memory but the stack's. Groups differ in their
  /// convolutions, so each has a block, which stands for the others of its group: the first makes a map, those behind
  /// it work in place.
  template <class Body>
  static constexpr MIRNET_NOINLINE void with_outline(Config const& config, Body&& body) {
    Block blocks[Config::groups];
    Group groups[Config::groups];
    for (Index g = 0; g < Config::groups; ++g) {
      blocks[g] = Block(config, g);
      groups[g] = Group(config, {blocks + g, 1}, std::min<Index>(config.blocks, 2));
    }
    MirnetV2 outline;
    outline.image_ = image_of(config);
    outline.groups_ = groups;
    body(outline);
  }

  /// Whether the bytes of a run for an image of this size can be counted. Errors: invalid_argument, for a size below 1;
  /// memory, for one that no memory can hold.
  static constexpr Result<void> check_size(Config const& config, Index height, Index width) noexcept {
    return config.shape().check_size<T>(height, width);
  }

  /// The restored image, of any size: pads, runs the network, crops.
  constexpr void run(Context<T>& context, Config const& config, View<Pixel const> image,
                     View<Pixel> output) const noexcept {
    image_.run(context, config.shape(), image, output, [&](Context<T>& inside, View<T> features) {
      if (config.adds_image) return forward_groups(inside, features, features);
      ArenaMap<T> const deep(inside.arena, features.shape());
      forward_groups(inside, features, deep);
      add<T>(inside.at("sum"), features, deep, features);
    });
  }

 private:
  static constexpr ImageNetwork<T> image_of(Config const& config) noexcept {
    return ImageNetwork<T>(config.shape(), config.bias);
  }
  static constexpr Index blocks_bytes(Config const& config) noexcept {
    return round_up(config.groups * config.blocks * static_cast<Index>(sizeof(Block)), alignment_bytes);
  }

  constexpr void forward_groups(Context<T>& context, View<T> x, View<T> output) const noexcept {
    View<T> from = x;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      groups_[i].forward(context.at("body", static_cast<Index>(i)), from, output);
      from = output;
    }
  }

  template <class Visitor, class Path>
  constexpr void visit_layers(Config const& config, Visitor& visit, Path const& root) {
    visit(image_.conv_in(), root / "conv_in");
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Path const body = root / "body" / static_cast<Index>(g) / "body";
      for (Index b = 0; b < config.blocks; ++b) groups_[g].block(b).layers(visit, body / b);
      visit(groups_[g].conv(), body / config.blocks);
    }
    visit(image_.conv_out(), root / "conv_out");
  }

  ImageNetwork<T> image_;
  std::span<Group> groups_;
};

}  // namespace mirnet::inline MIRNET_ABI

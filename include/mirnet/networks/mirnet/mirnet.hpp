// MIRNet itself: the layers and how an image passes through them, without weights of its own.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include <mirnet/model/weight_file.hpp>
#include <mirnet/networks/image_network.hpp>
#include <mirnet/networks/mirnet/config.hpp>
#include <mirnet/networks/mirnet/residual_group.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv_out(groups(conv_in(x))) (equation 1 of the paper). Its parts live in memory that the owner provides.
template <class T>
class Mirnet {
  using Block = MultiScaleBlock<T>;
  using Group = ResidualGroup<T>;
  static_assert(std::is_trivially_destructible_v<Block> && std::is_trivially_destructible_v<Group>,
                "nobody destroys the parts");

 public:
  using Scalar = T;
  using Config = MirnetConfig;
  using Pixel = Accumulator<T>;

  Mirnet() = default;

  /// Errors: model, for a network of another kind and for hyper-parameters out of range.
  static Result<Config> configure(WeightHeader const& header) noexcept {
    if (auto const checked = header.expect_architecture(1); !checked) return checked.error();
    Config config{.features = header.field(44),
                  .groups = header.field(46),
                  .blocks = header.field(48),
                  .streams = header.field(50),
                  .columns = header.field(52),
                  .channels = header.channels_in()};
    bool const has_unshuffle = header.minor_version() >= 3;  // before, its field was reserved
    if (has_unshuffle) config.unshuffle = header.field(66);
    auto const fixed =
        expect_fields(header, {{"the number of output channels", 42, config.channels},
                               {"the reduction of channel attention", 54, ChannelAttention<T>::reduction},
                               {"the numerator of the channel factor", 56, 2},
                               {"the denominator of the channel factor", 58, 1},
                               {"bias", 60, 0},
                               {"the scale", 62, 1},
                               {"the reserved field at byte 66", 66, has_unshuffle ? config.unshuffle : 0}});
    if (!fixed) return fixed.error();
    // Newer files may have any task, and the reader has checked that it exists.
    if (header.minor_version() < 4 && header.task() > Task::denoise) return header.expect("the task", 38, 1).error();
    if (auto const checked = check(config); !checked) return checked.error();
    if (auto const checked = header.expect("the pad multiple", 64, config.pad_multiple()); !checked) {
      return checked.error();
    }
    return config;
  }

  /// Errors: model, naming the first hyper-parameter out of its range.
  static constexpr Result<void> check(Config const& config) noexcept { return config.check(); }

  static constexpr Index channels_in(Config const& config) noexcept { return config.channels; }
  static constexpr Shape output_shape(Config const&, Shape image) noexcept { return image; }

  /// What all tiles of an image but the last begin at multiples of: a network on cells of pixels is to see the image's
  /// in them.
  static constexpr Index tile_step(Config const& config) noexcept {
    return config.unshuffle == 1 ? 1 : config.pad_multiple();
  }

  /// Bytes of the parts, their weights not included.
  static constexpr Index structure_bytes(Config const& config) noexcept {
    return round_up(config.groups * config.blocks * static_cast<Index>(sizeof(Block)), alignment_bytes) +
           round_up(config.groups * static_cast<Index>(sizeof(Group)), alignment_bytes);
  }

  /// Builds the parts in structure_bytes(config) bytes at `memory`, which starts at a multiple of 64.
  Mirnet(Config const& config, std::byte* memory) noexcept : image_(config.shape()) {
    Index const blocks = config.groups * config.blocks;
    auto* const block = reinterpret_cast<Block*>(memory);
    auto* const group =
        reinterpret_cast<Group*>(memory + round_up(blocks * static_cast<Index>(sizeof(Block)), alignment_bytes));
    for (Index i = 0; i < blocks; ++i) new (block + i) Block(config.features, config.streams, config.columns);
    for (Index i = 0; i < config.groups; ++i) {
      new (group + i) Group(config.features, {block + i * config.blocks, static_cast<std::size_t>(config.blocks)});
    }
    groups_ = {group, static_cast<std::size_t>(config.groups)};
  }

  /// visit(layer, name) for each layer with parameters, shared ones once, in the order and with the names of the
  /// authors' checkpoints. This order is the weight file's.
  template <class Visitor>
  void each_layer(Config const& config, Visitor&& visit) {
    visit_layers(config, visit, Name());
  }

  /// The same visit for a network that is not built: every block is the same object, and nothing is allocated.
  template <class Visitor, class Path = Name>
  static constexpr void schema(Config const& config, Visitor&& visit, Path const& root = {}) {
    with_outline(config, [&](Mirnet& outline) { outline.visit_layers(config, visit, root); });
  }

  /// body(network) with a network of one group that has no weights and takes no memory but the stack's. Where blocks
  /// and groups are alike, one stands for the others: a rehearsal needs as many bytes as the whole network's, though
  /// less arithmetic.
  template <class Body>
  static constexpr MIRNET_NOINLINE void with_outline(Config const& config, Body&& body) {
    // The first block of a group makes a map, those behind it work in place. They are large: whoever calls this is to
    // have them on the stack no longer than it runs.
    Block block(config.features, config.streams, config.columns);
    Group group(config.features, {&block, 1}, std::min<Index>(config.blocks, 2));
    Mirnet outline;
    outline.image_ = ImageNetwork<T>(config.shape());
    outline.groups_ = {&group, 1};
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
    image_.run(context, config.shape(), image, output, groups());
  }

  /// The restored image, which does not overlap the input. Its channels are those of a cell of pixels, height and width
  /// multiples of 2^(streams - 1).
  constexpr void forward(Context<T>& context, View<T const> image, View<T> output) const noexcept {
    image_.forward(context, image, output, true, groups());
  }

 private:
  constexpr auto groups() const noexcept {
    return [this](Context<T>& context, View<T> features) {
      for (std::size_t i = 0; i < groups_.size(); ++i) {
        groups_[i].forward(context.at("body", static_cast<Index>(i)), features, features, attention_prelu_);
      }
    };
  }

  template <class Visitor, class Path>
  constexpr void visit_layers(Config const& config, Visitor& visit, Path const& root) {
    visit(image_.conv_in(), root / "conv_in");
    for (Index g = 0; g < config.groups; ++g) {
      Group& group = groups_[(std::min)(static_cast<std::size_t>(g), groups_.size() - 1)];
      Path const body = root / "body" / g / "body";
      for (Index b = 0; b < config.blocks; ++b) {
        group.block(b).layers(visit, body / b, g == 0 && b == 0 ? &attention_prelu_ : nullptr);
      }
      visit(group.conv(), body / config.blocks);
    }
    visit(image_.conv_out(), root / "conv_out");
  }

  ImageNetwork<T> image_;
  PRelu<T> attention_prelu_;  // one slope for every dual attention unit
  std::span<Group> groups_;
};

}  // namespace mirnet::inline MIRNET_ABI

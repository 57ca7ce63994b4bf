// MIRNet itself: the layers and how an image passes through them, without weights of its own.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include <mirnet/blocks/residual_group.hpp>
#include <mirnet/model/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv_out(groups(conv_in(x))) (equation 1 of the paper). Its parts live in memory that the owner provides.
template <class T>
class Network {
  using Block = MultiScaleBlock<T>;
  using Group = ResidualGroup<T>;
  static_assert(std::is_trivially_destructible_v<Block> && std::is_trivially_destructible_v<Group>,
                "nobody destroys the parts");

 public:
  Network() = default;

  /// Bytes of the parts, their weights not included.
  static constexpr Index structure_bytes(Config const& config) noexcept {
    return round_up(config.groups * config.blocks * static_cast<Index>(sizeof(Block)), alignment_bytes) +
           round_up(config.groups * static_cast<Index>(sizeof(Group)), alignment_bytes);
  }

  /// Builds the parts in structure_bytes(config) bytes at `memory`, which starts at a multiple of 64.
  Network(Config const& config, std::byte* memory) noexcept
      : conv_in_(config.channels, config.features, 3), conv_out_(config.features, config.channels, 3) {
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
  void layers(Config const& config, Visitor&& visit) {
    visit_layers(
        config, visit, *this,
        [&](Index group) -> Conv2d<T>& { return groups_[static_cast<std::size_t>(group)].conv(); },
        [&](Index group, Index block) -> Block& {
          return groups_[static_cast<std::size_t>(group)].blocks()[static_cast<std::size_t>(block)];
        });
  }

  /// The same visit for a network that is not built: every block is the same object, and nothing is allocated.
  template <class Visitor>
  static void schema(Config const& config, Visitor&& visit) {
    Network ends;
    ends.conv_in_ = {config.channels, config.features, 3};
    ends.conv_out_ = {config.features, config.channels, 3};
    Conv2d<T> conv(config.features, config.features, 3);
    Block block(config.features, config.streams, config.columns);
    visit_layers(
        config, visit, ends, [&](Index) -> Conv2d<T>& { return conv; }, [&](Index, Index) -> Block& { return block; });
  }

  /// The output is the restored image or, without the image's own part of it, the residual. It does not overlap the
  /// input. Height and width are multiples of Config::pad_multiple.
  void forward(Context<T>& context, View<T const> image, View<T> output, bool add_image = true) const noexcept {
    ArenaMap<T> const features(context.arena, conv_in_.output_shape(image.shape()));
    conv_in_.forward(context.at("conv_in"), image, features);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      groups_[i].forward(context.at("body", static_cast<Index>(i)), features, features, attention_prelu_);
    }
    conv_out_.forward(context.at("conv_out"), features, output, {.residual = add_image ? image : View<T const>{}});
  }

 private:
  template <class Visitor, class ConvOf, class BlockOf>
  static void visit_layers(Config const& config, Visitor& visit, Network& ends, ConvOf conv_of, BlockOf block_of) {
    visit(ends.conv_in_, Name("conv_in"));
    for (Index group = 0; group < config.groups; ++group) {
      Name const body = Name("body") / group / "body";
      for (Index block = 0; block < config.blocks; ++block) {
        bool const first = group == 0 && block == 0;
        block_of(group, block).layers(visit, body / block, first ? &ends.attention_prelu_ : nullptr);
      }
      visit(conv_of(group), body / config.blocks);
    }
    visit(ends.conv_out_, Name("conv_out"));
  }

  Conv2d<T> conv_in_, conv_out_;
  PRelu<T> attention_prelu_;  // one slope for every dual attention unit
  std::span<Group> groups_;
};

}  // namespace mirnet::inline MIRNET_ABI

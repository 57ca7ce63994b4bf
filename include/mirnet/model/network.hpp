// MIRNet itself: the layers and how an image passes through them, without weights of its own.
#pragma once

#include <algorithm>
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
      : conv_in_(config.cell_channels(), config.features, 3), conv_out_(config.features, config.cell_channels(), 3) {
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
    visit_layers(config, visit, Name());
  }

  /// The same visit for a network that is not built: every block is the same object, and nothing is allocated.
  template <class Visitor, class Path = Name>
  static constexpr void schema(Config const& config, Visitor&& visit, Path const& root = {}) {
    with_outline(config, [&](Network& outline) { outline.visit_layers(config, visit, root); });
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
    Network outline;
    outline.conv_in_ = {config.cell_channels(), config.features, 3};
    outline.conv_out_ = {config.features, config.cell_channels(), 3};
    outline.groups_ = {&group, 1};
    body(outline);
  }

  /// The output is the restored image or, without the image's own part of it, the residual. It does not overlap the
  /// input. Its channels are Config::cell_channels, height and width multiples of 2^(streams - 1).
  constexpr void forward(Context<T>& context, View<T const> image, View<T> output,
                         bool add_image = true) const noexcept {
    ArenaMap<T> const features(context.arena, conv_in_.output_shape(image.shape()));
    conv_in_.forward(context.at("conv_in"), image, features);
    forward_groups(context, features);
    conv_out_.forward(context.at("conv_out"), features, output, {.residual = add_image ? image : View<T const>{}});
  }

  /// The residual for an image of this shape that nobody else needs: fill(view) writes it into a map that is there no
  /// longer than the first convolution reads it.
  template <class Fill>
  constexpr ArenaMap<T> residual(Context<T>& context, Shape shape, Fill&& fill) const noexcept {
    ArenaMap<T> const features(context.arena, conv_in_.output_shape(shape));
    {
      ArenaMap<T> const image(context.arena, shape);
      fill(image.view());
      conv_in_.forward(context.at("conv_in"), image, features);
    }
    forward_groups(context, features);
    ArenaMap<T> output(context.arena, shape);
    conv_out_.forward(context.at("conv_out"), features, output);
    return output;
  }

 private:
  constexpr void forward_groups(Context<T>& context, View<T> features) const noexcept {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      groups_[i].forward(context.at("body", static_cast<Index>(i)), features, features, attention_prelu_);
    }
  }

  template <class Visitor, class Path>
  constexpr void visit_layers(Config const& config, Visitor& visit, Path const& root) {
    visit(conv_in_, root / "conv_in");
    for (Index g = 0; g < config.groups; ++g) {
      Group& group = groups_[(std::min)(static_cast<std::size_t>(g), groups_.size() - 1)];
      Path const body = root / "body" / g / "body";
      for (Index b = 0; b < config.blocks; ++b) {
        group.block(b).layers(visit, body / b, g == 0 && b == 0 ? &attention_prelu_ : nullptr);
      }
      visit(group.conv(), body / config.blocks);
    }
    visit(conv_out_, root / "conv_out");
  }

  Conv2d<T> conv_in_, conv_out_;
  PRelu<T> attention_prelu_;  // one slope for every dual attention unit
  std::span<Group> groups_;
};

}  // namespace mirnet::inline MIRNET_ABI

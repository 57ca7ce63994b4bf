// The recursive residual group (section 3, figure 1): multi-scale blocks and a convolution around a skip connection.
#pragma once

#include <span>

#include <mirnet/blocks/multi_scale_block.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv(block(...block(x))). The blocks belong to the network.
template <class T>
class ResidualGroup {
 public:
  ResidualGroup() = default;
  ResidualGroup(Index features, std::span<MultiScaleBlock<T>> blocks) noexcept
      : blocks_(blocks), conv_(features, features, 3) {}

  std::span<MultiScaleBlock<T>> blocks() noexcept { return blocks_; }
  Conv2d<T>& conv() noexcept { return conv_; }

  /// The output may be the input.
  void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> deep = blocks_[0].forward(context.at("body", 0), x, prelu);
    Index const count = static_cast<Index>(blocks_.size());
    for (Index i = 1; i < count; ++i) {
      blocks_[static_cast<std::size_t>(i)].forward(context.at("body", i), deep, deep, prelu);
    }
    conv_.forward(context.at("body", count), deep, output, {.residual = x});
  }

 private:
  std::span<MultiScaleBlock<T>> blocks_;
  Conv2d<T> conv_;
};

}  // namespace mirnet::inline MIRNET_ABI

// The recursive residual group (section 3, figure 1): multi-scale blocks and a convolution around a skip connection.
#pragma once

#include <algorithm>
#include <span>

#include <mirnet/networks/mirnet/multi_scale_block.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv(block(...block(x))). The blocks belong to the network. In one that is only rehearsed the last of them
/// stands for others that are not there.
template <class T>
class ResidualGroup {
 public:
  ResidualGroup() = default;
  constexpr ResidualGroup(Index features, std::span<MultiScaleBlock<T>> blocks, Index count) noexcept
      : blocks_(blocks), count_(count), conv_(features, features, 3) {}
  constexpr ResidualGroup(Index features, std::span<MultiScaleBlock<T>> blocks) noexcept
      : ResidualGroup(features, blocks, static_cast<Index>(blocks.size())) {}

  constexpr MultiScaleBlock<T>& block(Index i) const noexcept {
    return blocks_[(std::min)(static_cast<std::size_t>(i), blocks_.size() - 1)];
  }
  constexpr Conv2d<T>& conv() noexcept { return conv_; }

  /// The output may be the input.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> const deep = block(0).forward(context.at("body", 0), x, prelu);
    for (Index i = 1; i < count_; ++i) block(i).forward(context.at("body", i), deep, deep, prelu);
    // What it rounds goes straight to the output, past all that follows.
    context.precisely([&] { conv_.forward(context.at("body", count_), deep, output, {.residual = x}); });
  }

 private:
  std::span<MultiScaleBlock<T>> blocks_;
  Index count_ = 0;
  Conv2d<T> conv_;
};

}  // namespace mirnet::inline MIRNET_ABI

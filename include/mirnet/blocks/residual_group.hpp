// The recursive residual group (section 3, figure 1): multi-scale blocks and a convolution around a skip connection.
#pragma once

#include <span>

#include <mirnet/blocks/multi_scale_block.hpp>

namespace mirnet::inline v0 {

/// x + conv(block(...block(x))). The blocks belong to the network.
template <class T>
class ResidualGroup {
 public:
  ResidualGroup() = default;
  ResidualGroup(Index features, std::span<MultiScaleBlock<T>> blocks) noexcept
      : blocks_(blocks), conv_(features, features, 3) {}

  std::span<MultiScaleBlock<T>> blocks() noexcept { return blocks_; }
  Conv2d<T>& conv() noexcept { return conv_; }

  /// The output does not overlap the input.
  void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> deep;
    View<T const> shallow = x;
    for (auto const& block : blocks_) {
      ArenaMap<T> deeper(context.arena, x.shape());
      block.forward(context, shallow, deeper, prelu);
      deep = std::move(deeper);
      shallow = deep;
    }
    conv_.forward(context, shallow, output, {.residual = x});
  }

 private:
  std::span<MultiScaleBlock<T>> blocks_;
  Conv2d<T> conv_;
};

}  // namespace mirnet::inline v0

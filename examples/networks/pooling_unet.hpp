// A U-Net (Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015) with
// three levels, max pooling, nearest upsampling, and convolutions that keep the size.
#pragma once

#include <mirnet/mirnet.hpp>

/// For images of three channels. The names are those of the class UNet in networks_torch.py.
template <class T>
struct UNet : mirnet::NetworkBase<UNet<T>, T> {
  static constexpr mirnet::Index features = 32, pad_multiple = 4;

  /// Two convolutions, each with its ReLU.
  struct Level {
    mirnet::Conv2d<T> first, second;

    constexpr Level(mirnet::Index in, mirnet::Index out)
        : first(in, out, 3, {.bias = true}), second(out, out, 3, {.bias = true}) {}

    constexpr void layers(auto&& visit, mirnet::Name const& name) {
      visit(first, name / 0);
      visit(second, name / 2);
    }

    constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
      auto const inner = first(context.at("first"), x, mirnet::relu);
      second.forward(context.at("second"), inner, y, {.activation = mirnet::relu});
    }
  };

  Level down[2] = {{3, features}, {features, 2 * features}};
  Level bottom{2 * features, 4 * features};
  Level up[2] = {{6 * features, 2 * features}, {3 * features, features}};
  mirnet::Conv2d<T> last{features, 3, 1, {.bias = true}};

  constexpr void layers(auto&& visit) {
    for (mirnet::Index i = 0; i < 2; ++i) down[i].layers(visit, mirnet::Name("down") / i);
    bottom.layers(visit, mirnet::Name("bottom"));
    for (mirnet::Index i = 0; i < 2; ++i) up[i].layers(visit, mirnet::Name("up") / i);
    visit(last, "last");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    using enum mirnet::Interpolation;
    using Map = mirnet::ArenaMap<T>;
    mirnet::Index const height = x.height(), width = x.width();
    // The two maps that a level on the way up joins lie side by side from the start.
    Map both(context.arena, {height, width, 3 * features});
    auto const skip = channel_slice(both.view(), 0, features);
    down[0].forward(context.at("down", 0), x, skip);
    {
      Map inner(context.arena, {height / 2, width / 2, 2 * features});
      {
        Map inner_both(context.arena, {height / 2, width / 2, 6 * features});
        auto const inner_skip = channel_slice(inner_both.view(), 0, 2 * features);
        auto pooled = max_pool(context.at("pool", 0), skip, 2);
        down[1].forward(context.at("down", 1), pooled, inner_skip);

        Map lowest(context.arena, {height / 4, width / 4, 4 * features});
        pooled = max_pool(context.at("pool", 1), inner_skip, 2);
        bottom.forward(context.at("bottom"), pooled, lowest);
        pooled.release();
        resize(context.at("upsample", 0), lowest, {.mode = nearest},
               channel_slice(inner_both.view(), 2 * features, 4 * features));
        lowest.release();
        up[0].forward(context.at("up", 0), inner_both, inner);
      }
      resize(context.at("upsample", 1), inner, {.mode = nearest}, channel_slice(both.view(), features, 2 * features));
    }
    Map result(context.arena, {height, width, features});
    up[1].forward(context.at("up", 1), both, result);
    both.release();
    last.forward(context.at("last"), result, y);
  }
};

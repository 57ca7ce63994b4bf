// DnCNN (Zhang et al., "Beyond a Gaussian denoiser", TIP 2017): seventeen convolutions that predict the noise, which is
// subtracted from the image. docs/your-own-network.md explains it line by line.
#pragma once

#include <array>
#include <utility>

#include <mirnet/mirnet.hpp>

/// For images of three channels. The names are those of the module below, whose batch normalizations the converter
/// folds into the convolutions:
///
///     Sequential(Conv2d, ReLU, [Conv2d, BatchNorm2d, ReLU] * 15, Conv2d), as the member `model`
template <class T>
struct DnCnn : mirnet::NetworkBase<DnCnn<T>, T> {
  static constexpr mirnet::Index depth = 17, features = 64;

  mirnet::Conv2d<T> first{3, features, 3, {.bias = true}};
  std::array<mirnet::Conv2d<T>, depth - 2> middle;
  mirnet::Conv2d<T> last{features, 3, 3, {.bias = true}};

  constexpr DnCnn() { middle.fill({features, features, 3, {.bias = true}}); }

  constexpr void layers(auto&& visit) {
    visit(first, "model.0");
    for (mirnet::Index i = 0; i < depth - 2; ++i) {
      visit(middle[static_cast<std::size_t>(i)], mirnet::Name("model") / (2 + 3 * i));
    }
    visit(last, mirnet::Name("model") / (2 + 3 * (depth - 2)));
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    auto features_in = first(context.at("first"), x, mirnet::relu);
    mirnet::ArenaMap<T> features_out(context.arena, features_in.shape());
    for (std::size_t i = 0; i < middle.size(); ++i) {
      middle[i].forward(context.at("middle", static_cast<mirnet::Index>(i)), features_in, features_out,
                        {.activation = mirnet::relu});
      std::swap(features_in, features_out);
    }
    last.forward(context.at("last"), features_in, y, {.subtract_from = x});
  }
};

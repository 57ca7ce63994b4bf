// FFDNet (Zhang et al., "FFDNet: toward a fast and flexible solution for CNN-based image denoising", TIP 2018): twelve
// convolutions on cells of 2x2 pixels, with the strength of the noise as an input.
#pragma once

#include <array>
#include <utility>

#include <mirnet/layers/pixel_shuffle.hpp>
#include <mirnet/mirnet.hpp>

/// For images of four channels: red, green, blue, and the noise's standard deviation at each pixel, of which only every
/// second in both directions is used. The names are those of
///
///     Sequential(Conv2d, ReLU, [Conv2d, ReLU] * 10, Conv2d), as the member `model`
template <class T>
struct FfdNet : mirnet::NetworkBase<FfdNet<T>, T> {
  static constexpr mirnet::Index depth = 12, features = 96;
  static constexpr mirnet::Index input_channels = 4, output_channels = 3, pad_multiple = 2;
  static constexpr mirnet::PaddingMode pad_mode = mirnet::PaddingMode::replicate;

  mirnet::Conv2d<T> first{4 * 3 + 1, features, 3, {.bias = true}};
  std::array<mirnet::Conv2d<T>, depth - 2> middle;
  mirnet::Conv2d<T> last{features, 4 * 3, 3, {.bias = true}};

  constexpr FfdNet() { middle.fill({features, features, 3, {.bias = true}}); }

  constexpr void layers(auto&& visit) {
    visit(first, "model.0");
    for (mirnet::Index i = 1; i < depth - 1; ++i) {
      visit(middle[static_cast<std::size_t>(i - 1)], mirnet::Name("model") / (2 * i));
    }
    visit(last, mirnet::Name("model") / (2 * (depth - 1)));
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    mirnet::Shape const half{x.height() / 2, x.width() / 2, 4 * input_channels};
    mirnet::ArenaMap<T> cells(context.arena, half);
    mirnet::pixel_unshuffle<T>(context.at("unshuffle"), x, cells, 2);
    // The last four channels of a cell are the noise of its four pixels. Only the first of them is used.
    mirnet::View<T const> const colours_and_noise(cells.view().data(), {half.height, half.width, 4 * 3 + 1},
                                                  cells.view().pitch());
    auto features_in = first(context.at("first"), colours_and_noise, mirnet::relu);
    mirnet::ArenaMap<T> features_out(context.arena, features_in.shape());
    for (std::size_t i = 0; i < middle.size(); ++i) {
      middle[i].forward(context.at("middle", static_cast<mirnet::Index>(i)), features_in, features_out,
                        {.activation = mirnet::relu});
      std::swap(features_in, features_out);
    }
    auto const result = last(context.at("last"), features_in);
    mirnet::pixel_shuffle<T>(context.at("shuffle"), result, y, 2);
  }
};

// Made by mirnet's convert.py from unet.onnx
// (pytorch 1.13.0, opset 13), which has an input of 64x48 pixels of
// 3 channels and an output of 64x48 of 3. This network takes images of any size.
#pragma once

#include <mirnet/mirnet.hpp>

template <class T>
struct UnetFromOnnx : mirnet::NetworkBase<UnetFromOnnx<T>, T> {
  static constexpr mirnet::Index pad_multiple = 4;

  mirnet::Conv2d<T> down_0_0{3, 32, 3, {.bias = true}};
  mirnet::Conv2d<T> down_0_2{32, 32, 3, {.bias = true}};
  mirnet::Conv2d<T> down_1_0{32, 64, 3, {.bias = true}};
  mirnet::Conv2d<T> down_1_2{64, 64, 3, {.bias = true}};
  mirnet::Conv2d<T> bottom_0{64, 128, 3, {.bias = true}};
  mirnet::Conv2d<T> bottom_2{128, 128, 3, {.bias = true}};
  mirnet::Conv2d<T> up_0_0{192, 64, 3, {.bias = true}};
  mirnet::Conv2d<T> up_0_2{64, 64, 3, {.bias = true}};
  mirnet::Conv2d<T> up_1_0{96, 32, 3, {.bias = true}};
  mirnet::Conv2d<T> up_1_2{32, 32, 3, {.bias = true}};
  mirnet::Conv2d<T> last{32, 3, 1, {.bias = true}};

  constexpr void layers(auto&& visit) {
    visit(down_0_0, "down.0.0");
    visit(down_0_2, "down.0.2");
    visit(down_1_0, "down.1.0");
    visit(down_1_2, "down.1.2");
    visit(bottom_0, "bottom.0");
    visit(bottom_2, "bottom.2");
    visit(up_0_0, "up.0.0");
    visit(up_0_2, "up.0.2");
    visit(up_1_0, "up.1.0");
    visit(up_1_2, "up.1.2");
    visit(last, "last");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    auto features = down_0_0(context.at("down.0.0"), x, mirnet::relu);  // H x W x 32
    mirnet::ArenaMap<T> joined(context.arena, {x.height(), x.width(), 96});
    down_0_2.forward(context.at("down.0.2"), features, channel_slice(joined.view(), 0, 32),
                     {.activation = mirnet::relu});  // H x W x 32
    features.release();
    features = max_pool(context.at("maxpool"), channel_slice(joined.view(), 0, 32), 2);  // H/2 x W/2 x 32
    features = down_1_0(context.at("down.1.0"), features, mirnet::relu);                 // H/2 x W/2 x 64
    mirnet::ArenaMap<T> joined2(context.arena, {x.height() / 2, x.width() / 2, 192});
    down_1_2.forward(context.at("down.1.2"), features, channel_slice(joined2.view(), 0, 64),
                     {.activation = mirnet::relu});  // H/2 x W/2 x 64
    features.release();
    features = max_pool(context.at("maxpool_1"), channel_slice(joined2.view(), 0, 64), 2);  // H/4 x W/4 x 64
    features = bottom_0(context.at("bottom.0"), features, mirnet::relu);                    // H/4 x W/4 x 128
    features = bottom_2(context.at("bottom.2"), features, mirnet::relu);                    // H/4 x W/4 x 128
    resize(context.at("resize"), features, {}, channel_slice(joined2.view(), 64, 128));     // H/2 x W/2 x 128
    features.release();
    features = up_0_0(context.at("up.0.0"), joined2, mirnet::relu);  // H/2 x W/2 x 64
    joined2.release();
    features = up_0_2(context.at("up.0.2"), features, mirnet::relu);                     // H/2 x W/2 x 64
    resize(context.at("resize_1"), features, {}, channel_slice(joined.view(), 32, 64));  // H x W x 64
    features.release();
    features = up_1_0(context.at("up.1.0"), joined, mirnet::relu);  // H x W x 32
    joined.release();
    features = up_1_2(context.at("up.1.2"), features, mirnet::relu);  // H x W x 32
    last.forward(context.at("last"), features, y);                    // H x W x 3
  }
};

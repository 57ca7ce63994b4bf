// A small U-Net with what the other networks here lack: a stride, a skip connection, slopes of a PReLU, padding by
// reflection, a depthwise convolution. docs/your-own-network.md explains it.
#pragma once

#include <mirnet/mirnet.hpp>

/// For images of three channels. The names are those of the class SmallUNet in networks_torch.py, whose batch
/// normalization the converter folds into `middle`.
template <class T>
struct SmallUNet : mirnet::NetworkBase<SmallUNet<T>, T> {
  static constexpr mirnet::Index pad_multiple = 2;

  mirnet::Conv2d<T> enter{3, 32, 3, {.bias = true}};
  mirnet::Conv2d<T> down{32, 64, 3, {.stride = 2, .bias = true}};
  mirnet::ChannelPRelu<T> slopes{64};
  mirnet::Conv2d<T> middle{64, 64, 3, {.bias = true}};
  mirnet::Conv2d<T> up{64, 128, 3, {.bias = true}};
  mirnet::Conv2d<T> join{64, 32, 3, {.bias = true, .padding_mode = mirnet::PaddingMode::reflect}};
  mirnet::Conv2d<T> depthwise{32, 32, 3, {.groups = 32, .bias = true}};
  mirnet::Conv2d<T> leave{32, 3, 3, {.bias = true}};

  constexpr void layers(auto&& visit) {
    visit(enter, "enter");
    visit(down, "down");
    visit(slopes, "slopes");
    visit(middle, "middle");
    visit(up, "up");
    visit(join, "join");
    visit(depthwise, "depthwise");
    visit(leave, "leave");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    // The two maps that are joined lie side by side from the start.
    mirnet::ArenaMap<T> both(context.arena, {x.height(), x.width(), 64});
    auto const skip = channel_slice(both.view(), 0, 32), upper = channel_slice(both.view(), 32, 32);
    enter.forward(context.at("enter"), x, skip, {.activation = mirnet::leaky_relu(0.2f)});
    auto inner = down(context.at("down"), skip, slopes);
    inner = middle(context.at("middle"), inner, mirnet::relu);
    inner = up(context.at("up"), inner);
    pixel_shuffle(context.at("shuffle"), inner, upper, 2);
    auto joined = join(context.at("join"), both, mirnet::relu);
    joined = depthwise(context.at("depthwise"), joined);
    leave.forward(context.at("leave"), joined, y, {.residual = x});
  }
};

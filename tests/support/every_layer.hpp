// A network with each layer that the library's and the examples' networks lack.
#pragma once

#include <mirnet/mirnet.hpp>

namespace test {

/// For images of three channels; it adds to them.
template <class T>
struct EveryLayer : mirnet::NetworkBase<EveryLayer<T>, T> {
  static constexpr mirnet::Index pad_multiple = 6;

  mirnet::Conv2d<T> enter{3, 24, 3, {.bias = true}};
  mirnet::LayerNorm<T> norm{24, {.eps = 1e-6}};
  mirnet::LayerNorm<T> plain_norm{24, {.affine = false}};
  mirnet::Linear<T> hidden{24, 64, {.bias = true}};
  mirnet::Linear<T> linear{32, 24};
  mirnet::Conv2d<T> depthwise{24, 24, 3, {.groups = 24, .bias = true}};
  mirnet::InstanceNorm2d<T> instance{24, {.affine = true}};
  mirnet::InstanceNorm2d<T> plain_instance{24};
  mirnet::Constant<T> beta{24};
  mirnet::ConvTranspose2d<T> twice{24, 20, 4, {.stride = 2, .padding = 1, .bias = true}};
  mirnet::ConvTranspose2d<T> thrice{24, 8, 5, {.stride = 3, .padding = 1, .groups = 4}};
  mirnet::Conv2d<T> join{24, 24, 1, {.padding = 0}};
  mirnet::Conv2d<T> leave{32, 3, 3};

  constexpr void layers(auto&& visit) {
    visit(enter, "enter");
    visit(norm, "norm");
    visit(hidden, mirnet::Name("mlp") / 0);
    visit(linear, mirnet::Name("mlp") / 1);
    visit(depthwise, "depthwise");
    visit(instance, "instance");
    visit(beta, "beta");
    visit(twice, "twice");
    visit(thrice, "thrice");
    visit(join, "join");
    visit(leave, "leave");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    using mirnet::Function, mirnet::Interpolation, mirnet::ArenaMap;
    auto features = enter(context.at("enter"), x, Function::gelu);
    auto inner = norm(context.at("norm"), features);
    inner = hidden(context.at("mlp", 0), inner, mirnet::simple_gate);
    inner = linear(context.at("mlp", 1), inner);
    inner = depthwise(context.at("depthwise"), inner, Function::silu);
    instance.forward(context.at("instance"), inner, inner);
    plain_norm.forward(context.at("plain_norm"), inner, inner);

    // Attention to channels, then to pixels.
    auto gate = global_average(context.at("mean"), inner);
    auto const largest = global_max(context.at("max"), inner);
    add(context.at("channels"), gate, largest, gate);
    activate(context.at("gate"), Function::hard_sigmoid, gate);
    inner = multiply(context.at("gated"), inner, gate);
    auto plane = copy_channels(context.at("plane"), inner, 5, 1);
    softmax_of_pixels(context.at("attention"), plane);
    inner = subtract(context.at("centred"), inner, plane);
    softmax_of_channels(context.at("weights"), inner);
    addcmul(context.at("skip"), features, inner, beta, features);

    // Down and up again.
    auto half = max_pool(context.at("max_pool"), features, 2);
    auto const mean = average_pool(context.at("average_pool"), features, 3, {.stride = 2, .padding = 1});
    add(context.at("pooled"), half, mean, half);
    plain_instance.forward(context.at("plain_instance"), half, half);
    auto third = average_pool(context.at("third"), features, 3);
    auto const smaller = resize(context.at("smaller"), features, 0.5, {.mode = Interpolation::bicubic});
    join.forward(context.at("join"), smaller, half, {.activation = mirnet::clamp(-1, 1), .residual = half});
    ArenaMap<T> joined(context.arena, {x.height(), x.width(), 32});
    auto const wide = resize(context.at("wide"), third, 3.0, {.mode = Interpolation::nearest});
    auto const sharp = thrice(context.at("thrice"), third, Function::tanh);
    concat(context.at("concat"), {wide, sharp}, joined.view());
    ArenaMap<T> const bilinear(context.arena, {x.height(), x.width(), 20});
    auto const doubled = twice(context.at("twice"), half, Function::hard_swish);
    resize(context.at("same"), doubled, {.mode = Interpolation::bilinear, .align_corners = true}, bilinear.view());
    auto const first = channel_slice(joined.view(), 0, 16);
    add(context.at("sum"), first, channel_slice(bilinear.view(), 0, 16), first);
    leave.forward(context.at("leave"), joined, y, {.residual = x});
  }
};

}  // namespace test

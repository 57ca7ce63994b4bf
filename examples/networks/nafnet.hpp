// NAFNet (Chen et al., "Simple baselines for image restoration", ECCV 2022): layer norm and products, no activation.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <mirnet/mirnet.hpp>

/// Two residual parts, with a depthwise convolution and channel attention (sca) in the first: figure 3 (d).
template <class T>
struct NafBlock {
  mirnet::Index c = 0;
  mirnet::Constant<T> beta{c}, gamma{c};
  mirnet::Conv2d<T> conv1{c, 2 * c, 1, {.bias = true}}, conv2{2 * c, 2 * c, 3, {.groups = 2 * c, .bias = true}};
  mirnet::Conv2d<T> conv3{c, c, 1, {.bias = true}}, sca{conv3}, conv4{conv1}, conv5{conv3};
  mirnet::LayerNorm<T> norm1{c, {.eps = 1e-6}}, norm2{norm1};

  constexpr void layers(auto&& visit, mirnet::Name const& name) {
    visit(beta, name / "beta"), visit(gamma, name / "gamma"), visit(conv1, name / "conv1");
    visit(conv2, name / "conv2"), visit(conv3, name / "conv3"), visit(sca, name / "sca.1");
    visit(conv4, name / "conv4"), visit(conv5, name / "conv5"), visit(norm1, name / "norm1");
    visit(norm2, name / "norm2");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T> x) const {
    auto map = norm1(context.at("norm1"), x);
    map = conv1(context.at("conv1"), map);
    map = conv2(context.at("conv2"), map, mirnet::simple_gate);
    auto attention = global_average(context.at("sca.0"), map);
    attention = sca(context.at("sca.1"), attention);
    multiply(context.at("scale"), map, attention, map);
    conv3.forward(context.at("conv3"), map, x, {.scale = beta, .residual = x});
    map = norm2(context.at("norm2"), x);
    map = conv4(context.at("conv4"), map, mirnet::simple_gate);
    conv5.forward(context.at("conv5"), map, x, {.scale = gamma, .residual = x});
  }
};

/// For images of three channels, with so many blocks on the four levels down, in the middle, on the four levels up: by
/// default the network of width 32 that was published for noise. The names are those of the published checkpoints.
template <class T, auto blocks = std::array<mirnet::Index, 9>{2, 2, 4, 8, 12, 2, 2, 2, 2}>
struct NafNet : mirnet::NetworkBase<NafNet<T, blocks>, T> {
  static constexpr mirnet::Index width = 32, levels = 4, most = std::ranges::max(blocks), pad_multiple = 1 << levels;
  mirnet::Conv2d<T> intro{3, width, 3, {.bias = true}}, ending{width, 3, 3, {.bias = true}}, downs[levels], ups[levels];
  NafBlock<T> stages[2 * levels + 1][most];

  constexpr NafNet() {
    for (mirnet::Index i = 0; i <= 2 * levels; ++i)
      for (auto& block : stages[i]) block = {width << (std::min)(i, 2 * levels - i)};
    for (mirnet::Index i = 0, c = width; i < levels; ++i, c *= 2)
      downs[i] = {c, 2 * c, 2, {.stride = 2, .padding = 0, .bias = true}}, ups[levels - 1 - i] = {2 * c, 4 * c, 1};
  }

  constexpr void layers(auto&& visit) {
    auto const visit_stage = [&](mirnet::Index i, mirnet::Name const& name) {
      for (mirnet::Index j = 0; j < blocks.data()[i]; ++j) stages[i][j].layers(visit, name / j);
    };
    visit(intro, "intro"), visit(ending, "ending");
    for (mirnet::Index i = 0; i < levels; ++i) visit_stage(i, mirnet::Name("encoders") / i);
    for (mirnet::Index i = 0; i < levels; ++i) visit_stage(levels + 1 + i, mirnet::Name("decoders") / i);
    visit_stage(levels, mirnet::Name("middle_blks"));
    for (mirnet::Index i = 0; i < levels; ++i) visit(ups[i], mirnet::Name("ups") / i / 0);
    for (mirnet::Index i = 0; i < levels; ++i) visit(downs[i], mirnet::Name("downs") / i);
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    mirnet::ArenaMap<T> skips[levels], map = intro(context.at("intro"), x);
    for (mirnet::Index i = 0; i <= 2 * levels; ++i) {
      if (mirnet::Index const up = i - levels - 1; up >= 0) {
        map = ups[up](context.at("up", up), map);
        map = pixel_shuffle(context.at("shuffle", up), map, 2);
        add(context.at("skip", up), map, std::exchange(skips[levels - 1 - up], {}), map);
      }
      for (mirnet::Index j = 0; j < blocks.data()[i]; ++j) stages[i][j].forward(context.at("stage", i, j), map);
      if (i < levels) map = downs[i](context.at("down", i), skips[i] = std::move(map));
    }
    ending.forward(context.at("ending"), map, y, {.residual = x});
  }
};

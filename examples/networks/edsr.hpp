// EDSR (Lim et al., "Enhanced deep residual networks for single image super-resolution", CVPRW 2017): residual blocks
// without batch normalization on the small image, and a pixel shuffle that makes it twice as high and wide.
#pragma once

#include <mirnet/mirnet.hpp>

/// The baseline for images of three channels, without the shift of the mean. The names are those of the published
/// checkpoints.
template <class T>
struct Edsr : mirnet::NetworkBase<Edsr<T>, T> {
  static constexpr mirnet::Index features = 64, blocks = 16, scale = 2;

  struct Block {
    mirnet::Conv2d<T> first{features, features, 3, {.bias = true}}, second{first};
  };

  mirnet::Conv2d<T> head{3, features, 3, {.bias = true}};
  Block body[blocks];
  mirnet::Conv2d<T> after{features, features, 3, {.bias = true}};
  mirnet::Conv2d<T> widen{features, 4 * features, 3, {.bias = true}};
  mirnet::Conv2d<T> tail{features, 3, 3, {.bias = true}};

  constexpr void layers(auto&& visit) {
    visit(head, "head.0");
    for (mirnet::Index i = 0; i < blocks; ++i) {
      visit(body[i].first, mirnet::Name("body") / i / "body" / 0);
      visit(body[i].second, mirnet::Name("body") / i / "body" / 2);
    }
    visit(after, mirnet::Name("body") / blocks);
    visit(widen, "tail.0.0");
    visit(tail, "tail.1");
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    mirnet::ArenaMap<T> inner(context.arena, {x.height(), x.width(), features}), deep(context.arena, inner.shape());
    auto shallow = head(context.at("head"), x);
    for (mirnet::Index i = 0; i < blocks; ++i) {
      mirnet::View<T const> const before = i == 0 ? shallow.view() : deep.view();
      body[i].first.forward(context.at("body.first", i), before, inner, {.activation = mirnet::relu});
      body[i].second.forward(context.at("body.second", i), inner, deep, {.residual = before});
    }
    after.forward(context.at("after"), deep, inner, {.residual = shallow});
    // The large maps take the place of those that nobody needs any more.
    shallow.release();
    deep.release();
    auto wide = widen(context.at("widen"), inner);
    inner.release();
    auto const large = pixel_shuffle(context.at("shuffle"), wide, 2);
    wide.release();
    tail.forward(context.at("tail"), large, y);
  }
};

// DnCNN of any depth and width, as its weight file states: docs/your-own-network.md, "Networks with hyper-parameters".
#pragma once

#include <array>
#include <utility>

#include <mirnet/mirnet.hpp>

struct DnCnnConfig {
  mirnet::Index features = 64, depth = 17;
  friend constexpr bool operator==(DnCnnConfig const&, DnCnnConfig const&) = default;
};

template <class T>
struct AnyDnCnn : mirnet::NetworkBase<AnyDnCnn<T>, T> {
  using Config = DnCnnConfig;
  static constexpr mirnet::Index most_depth = 32;

  mirnet::Index depth = 0;
  std::array<mirnet::Conv2d<T>, most_depth> convolutions;

  AnyDnCnn() = default;
  explicit constexpr AnyDnCnn(Config const& config) : depth(config.depth) {
    for (mirnet::Index i = 0; i < depth; ++i) {
      mirnet::Index const in = i == 0 ? 3 : config.features, out = i + 1 == depth ? 3 : config.features;
      convolutions[static_cast<std::size_t>(i)] = {in, out, 3, {.bias = true}};
    }
  }

  static mirnet::Result<Config> configure(mirnet::WeightHeader const& header) noexcept {
    Config const config{.features = header.number(0), .depth = header.number(1)};
    if (auto const checked = check(config); !checked) return checked.error();
    if (auto const checked = AnyDnCnn::check_header(header, config, 2); !checked) return checked.error();
    return config;
  }

  static constexpr mirnet::Result<void> check(Config const& config) noexcept {
    if (config.depth < 2 || config.depth > most_depth || config.features < 1 || config.features > 1024) {
      return mirnet::Error(mirnet::ErrorCode::model, "%d features and %d layers, expected 1 to 1024 and 2 to 32",
                           static_cast<int>(config.features), static_cast<int>(config.depth));
    }
    return {};
  }

  constexpr void layers(auto&& visit) {
    for (mirnet::Index i = 0; i < depth; ++i) {
      visit(convolutions[static_cast<std::size_t>(i)], mirnet::Name("model") / (i < 1 ? 0 : 3 * i - 1));
    }
  }

  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {
    auto in = convolutions[0](context, x, mirnet::relu);
    mirnet::ArenaMap<T> out(context.arena, in.shape());
    for (std::size_t i = 1; i + 1 < static_cast<std::size_t>(depth); ++i, std::swap(in, out)) {
      convolutions[i].forward(context, in, out, {.activation = mirnet::relu});
    }
    convolutions[static_cast<std::size_t>(depth - 1)].forward(context, in, y, {.subtract_from = x});
  }
};

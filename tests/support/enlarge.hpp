// A network that the library does not know, with a weight file of its own: two layers, and the activation between them.
#pragma once

#include <type_traits>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/cells.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/model/model.hpp>

#include "support/weight_writer.hpp"

namespace test {

/// Doubles the size and changes the channels: transposed(prelu(first(image) + bias)), with no padding and no parts
/// outside of the object.
template <class T>
class Enlarge {
 public:
  using Scalar = T;
  struct Config {
    mirnet::Index width = 8, channels_in = 4, channels_out = 5;
    friend constexpr bool operator==(Config const&, Config const&) = default;
  };
  using Pixel = mirnet::Accumulator<T>;

  Enlarge() = default;
  constexpr Enlarge(Config const& config, std::byte*) noexcept
      : first_(config.channels_in, config.width, 3, {.bias = true}), last_(config.width, config.channels_out) {}

  static mirnet::Result<Config> configure(mirnet::WeightHeader const& header) noexcept {
    if (auto const checked = header.expect_own_network(); !checked) return checked.error();
    if (auto const checked = header.expect_no_numbers_from(1); !checked) return checked.error();
    Config const config{header.number(0), header.channels_in(), header.channels_out()};
    if (auto const checked = check(config); !checked) return checked.error();
    return config;
  }
  static constexpr mirnet::Result<void> check(Config const& config) noexcept {
    if (config.width < 1 || config.width > 64) {
      return mirnet::Error(mirnet::ErrorCode::model, "the width is %d, expected 1 to 64",
                           static_cast<int>(config.width));
    }
    for (auto const channels : {config.channels_in, config.channels_out}) {
      if (channels < 1 || channels > 16) {
        return mirnet::Error(mirnet::ErrorCode::model, "an image has %d channels, expected 1 to 16",
                             static_cast<int>(channels));
      }
    }
    return {};
  }
  static constexpr mirnet::Result<void> check_size(Config const&, mirnet::Index height, mirnet::Index width) noexcept {
    if (height < 1 || width < 1 || height > 1000 || width > 1000) {
      return mirnet::Error(mirnet::ErrorCode::memory, "an image has 1 to 1000 pixels in height and width");
    }
    return {};
  }
  static constexpr mirnet::Index structure_bytes(Config const&) noexcept { return 0; }
  static constexpr mirnet::Index channels_in(Config const& config) noexcept { return config.channels_in; }
  static constexpr mirnet::Shape output_shape(Config const& config, mirnet::Shape image) noexcept {
    return {2 * image.height, 2 * image.width, config.channels_out};
  }
  static constexpr mirnet::Index tile_step(Config const&) noexcept { return 1; }

  template <class Visitor, class Path = mirnet::Name>
  static constexpr void schema(Config const& config, Visitor&& visit, Path const& root = {}) {
    Enlarge(config, nullptr).visit_layers(visit, root);
  }
  template <class Body>
  static constexpr void with_outline(Config const& config, Body&& body) {
    Enlarge network(config, nullptr);
    body(network);
  }
  template <class Visitor>
  void each_layer(Config const&, Visitor&& visit) {
    visit_layers(visit, mirnet::Name());
  }

  constexpr void run(mirnet::Context<T>& context, Config const& config, mirnet::View<Pixel const> image,
                     mirnet::View<Pixel> output) const noexcept {
    mirnet::ArenaMap<T> const inner(context.arena, first_.output_shape(image.shape()));
    if constexpr (std::is_same_v<T, Pixel>) {
      first_.forward(context.at("first"), image, inner, {.activation = prelu_});
      last_.forward(context.at("last"), inner, output);
    } else {
      mirnet::ArenaMap<T> const narrow(context.arena, image.shape()),
          result(context.arena, output_shape(config, image.shape()));
      mirnet::fit<T>(context.at("in"), image, narrow.view(), 1);
      first_.forward(context.at("first"), narrow, inner, {.activation = prelu_});
      last_.forward(context.at("last"), inner, result);
      mirnet::fit<T>(context.at("out"), mirnet::View<T const>(result), output, 1);
    }
  }

 private:
  template <class Visitor, class Path>
  constexpr void visit_layers(Visitor&& visit, Path const& root) {
    visit(first_, root / "first");
    visit(prelu_, root / "act");
    visit(last_, root / "last");
  }

  mirnet::Conv2d<T> first_;
  mirnet::PRelu<T> prelu_;
  mirnet::ConvTranspose2d<T> last_;
};

/// A weight file of the network.
inline Bytes make_weight_file(Enlarge<float>::Config const& config, Storage storage = Storage::f32) {
  return make_weight_file([&](auto&& visit) { Enlarge<float>::schema(config, visit); }, 4,
                          [&](auto&& half) {
                            half(36, 0), half(40, config.channels_in), half(42, config.channels_out);
                            half(44, config.width);
                          },
                          3, storage);
}

}  // namespace test

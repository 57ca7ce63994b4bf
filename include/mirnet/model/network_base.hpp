// The base of networks that are structs, with the layers as members, the layers' names in the weight file, and a
// function that passes a map through them. It has defaults for everything else that Model requires of a network
// (model/network.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <type_traits>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/cells.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/runtime/context.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The configuration of a network without hyper-parameters.
struct NoHyperParameters {
  friend constexpr bool operator==(NoHyperParameters, NoHyperParameters) noexcept { return true; }
};

/// Base of a network Net whose maps and weights are of T. Net has
///
///     void layers(visit)                     visit(layer, "model.0") for each layer with parameters, in the order and
///                                            with the names of the weight file; constexpr, for BytesNeeded
///     void forward(Context<T>&, View<T const> x, View<T> y) const      constexpr, likewise
///
/// and, where it differs from these defaults,
///
///     static constexpr Index input_channels      default: those of the first layer, a Conv2d of one group
///     static constexpr Index output_channels     default: input_channels
///     static constexpr Index scale = 1           the output's height and width over the input's
///     static constexpr Index pad_multiple = 1    x's height and width are multiples of this: images are padded at
///                                                the right and below, and the output is cropped
///     static constexpr PaddingMode pad_mode = PaddingMode::reflect       how to pad; or PaddingMode::replicate
///     Config, Net(Config), static Result<Config> configure(WeightHeader)    hyper-parameters, from the numbers
///                                                of the header
///
/// If T is bfloat16, images are rounded to it before forward, and the output is converted back.
template <class Net, class T>
class NetworkBase {
 public:
  using Scalar = T;
  using Config = NoHyperParameters;
  using Pixel = Accumulator<T>;

  static constexpr Index scale = 1;
  static constexpr Index pad_multiple = 1;
  static constexpr PaddingMode pad_mode = PaddingMode::reflect;

  /// Errors: model, for a file of one of the library's networks, or with other channels or any numbers.
  static Result<Config> configure(WeightHeader const& header) noexcept {
    if (auto const checked = check_header(header, Config{}, 0); !checked) return checked.error();
    return Config{};
  }

  /// For configure(): checks that the file is of a network of your own, has no more than this many numbers and, if it
  /// states the channels, has the network's.
  template <class C>
  static Result<void> check_header(WeightHeader const& header, C const& config, int numbers) noexcept {
    if (auto const checked = header.expect_own_network(); !checked) return checked;
    if (auto const checked = header.expect_no_numbers_from(numbers); !checked) return checked;
    Index const in = Net::channels_in(config), out = Net::output_shape(config, {1, 1, in}).channels;
    if (header.channels_in() != 0) {
      if (auto const checked = header.expect("the number of input channels", 40, in); !checked) return checked;
    }
    return header.channels_out() == 0 ? Result<void>() : header.expect("the number of output channels", 42, out);
  }

  template <class C>
  static constexpr Result<void> check(C const&) noexcept {
    return {};
  }

  template <class C>
  static constexpr Index structure_bytes(C const&) noexcept {
    return 0;
  }

  template <class C>
  static constexpr Index channels_in(C const& config) noexcept {
    if constexpr (requires { Net::input_channels; }) {
      return Net::input_channels;
    } else {
      std::optional<Index> channels;
      Net::schema(
          config,
          [&](auto& layer, Unnamed) {
            if (!channels) channels = layer.shape().dim[1];
          },
          Unnamed());
      return channels.value_or(0);
    }
  }

  template <class C>
  static constexpr Shape output_shape(C const& config, Shape image) noexcept {
    Shape shape{Net::scale * image.height, Net::scale * image.width, 0};
    if constexpr (requires { Net::output_channels; }) {
      shape.channels = Net::output_channels;
    } else {
      shape.channels = Net::channels_in(config);
    }
    return shape;
  }

  template <class C>
  static constexpr Index tile_step(C const&) noexcept {
    return Net::pad_multiple;
  }

  /// Errors: invalid_argument, for a size below 1; memory, for one that no memory can hold.
  template <class C>
  static constexpr Result<void> check_size(C const& config, Index height, Index width) noexcept {
    if (height < 1 || width < 1) {
      return Error(ErrorCode::invalid_argument, "an image has at least 1x1 pixels, found %lldx%lld",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    // A rehearsal adds up the bytes of maps and their arithmetic. Neither sum overflows for maps of this size.
    constexpr Index largest_map = (std::numeric_limits<Index>::max)() >> (sizeof(Index) > 4 ? 17 : 3);
    Index widest = Net::channels_in(config);
    Net::schema(
        config,
        [&](auto& layer, Unnamed) {
          if (layer.shape().rank >= 2) widest = (std::max)({widest, layer.shape().dim[0], layer.shape().dim[1]});
        },
        Unnamed());
    Index const longest = (std::numeric_limits<Index>::max)() / Net::scale - Net::pad_multiple;
    std::optional<Index> map;
    if (height <= longest && width <= longest) {
      map = map_bytes<Pixel>(
          {Net::scale * round_up(height, Net::pad_multiple), Net::scale * round_up(width, Net::pad_multiple), widest});
    }
    if (!map || *map > largest_map) {
      return Error(ErrorCode::memory, "an image of %lldx%lld pixels is larger than any memory",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    return {};
  }

  template <class C, class Body>
  static constexpr MIRNET_NOINLINE void with_outline(C const& config, Body&& body) noexcept {
    auto outline = built(config);
    body(outline);
  }

  template <class C, class Visitor, class Path = Name>
  static constexpr void schema(C const& config, Visitor&& visit, Path const& = {}) noexcept {
    auto outline = built(config);
    visit_layers<Path>(outline, visit);
  }

  template <class C, class Visitor>
  constexpr void each_layer(C const&, Visitor&& visit) noexcept {
    visit_layers<Name>(static_cast<Net&>(*this), visit);
  }

  template <class C>
  constexpr void run(Context<T>& context, C const& config, View<Pixel const> image, View<Pixel> output) const noexcept {
    static_assert(
        requires(Net const& net, View<T const> x, View<T> y) { net.forward(context, x, y); },
        "a network has forward(Context<T>&, View<T const> x, View<T> y) const");
    static_assert(Net::pad_mode != PaddingMode::zeros, "images are padded by PaddingMode::reflect or replicate");
    auto const& net = static_cast<Net const&>(*this);
    Shape const size{round_up(image.height(), Net::pad_multiple), round_up(image.width(), Net::pad_multiple),
                     image.channels()};
    if constexpr (std::is_same_v<T, Pixel>) {
      if (size == image.shape()) return net.forward(context, image, output);
    }
    ArenaMap<T> const x(context.arena, size), y(context.arena, Net::output_shape(config, size));
    fit<T>(context.at("pad"), image, x.view(), 1, Net::pad_mode == PaddingMode::reflect);
    net.forward(context, View<T const>(x), y.view());
    fit<T>(context.at("crop"), View<T const>(y), output, 1);
  }

 private:
  template <class C>
  static constexpr Net built(C const& config) noexcept {
    if constexpr (std::is_constructible_v<Net, C const&>) {
      return Net(config);
    } else {
      return Net();
    }
  }

  template <class Path, class Visitor>
  static constexpr void visit_layers(Net& net, Visitor&& visit) noexcept {
    auto const named = [&](auto& layer, auto const& name) {
      if constexpr (std::is_same_v<Path, Name>) {
        visit(layer, Name(name));
      } else {
        visit(layer, Path());
      }
    };
    static_assert(
        requires { net.layers(named); },
        "a network has layers(visit), which calls visit(layer, name) for each layer with parameters");
    net.layers(named);
  }
};

}  // namespace mirnet::inline MIRNET_ABI

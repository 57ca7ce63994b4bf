// What a type offers to be a network that Model loads, plans and runs. Nothing in model/ knows one by name.
#pragma once

#include <concepts>
#include <cstddef>

#include <mirnet/base/name.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/runtime/context.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// What a concept can hand to functions that take any visitor, or any body.
struct AnyVisitor {
  template <class Layer, class Path>
  constexpr void operator()(Layer&, Path const&) const noexcept {}
};
struct AnyBody {
  template <class Net>
  constexpr void operator()(Net&) const noexcept {}
};

}  // namespace detail

/// What Model requires of a network. NetworkBase (model/network_base.hpp) provides everything but the layers and their
/// use. Net::Scalar is the type of its maps and weights: float, bfloat16 or double. Images hold Accumulator<Scalar>,
/// which is float for bfloat16. Net::Config has the hyper-parameters and can be compared.
///
/// Static members, which are constant expressions if the bytes of a run are to be one:
///
///     Result<Config> configure(WeightHeader)        what a weight file's header says; errors: model. A network of your
///                                                   own begins with header.expect_own_network()
///     Result<void> check(Config)                    whether there is such a network; errors: model
///     Result<void> check_size(Config, height, width)   whether the bytes of a run for an image of this size can be
///                                                   counted; errors: invalid_argument, memory
///     Index structure_bytes(Config)                 of the parts that the constructor places, weights not included
///     Index channels_in(Config)                     of images
///     Shape output_shape(Config, Shape image)
///     Index tile_step(Config)                       tiles of an image begin at multiples of this; 1: anywhere
///     void schema(Config, visit, path)              visit(layer, path / "name") for each layer with parameters
///                                                   (layers/parameter.hpp), shared ones once, in the order of the
///                                                   weight file, without a network: nothing is allocated
///     void with_outline(Config, body)               body(net) with a network without weights, whose rehearsal takes as
///                                                   many bytes as one with them
///
/// Members of an object. Net(Config, memory) builds it with its parts in structure_bytes(Config) bytes that start at a
/// multiple of 64; a network without such parts has Net(Config) or Net() instead.
///
///     void each_layer(Config, visit)                as schema, of its own layers
///     void run(Context, Config, image, output)      const; for images of any size that check_size accepts
template <class Net>
concept Network = std::equality_comparable<typename Net::Config> && std::default_initializable<typename Net::Config> &&
    std::movable<Net> &&
    (std::constructible_from<Net, typename Net::Config const&, std::byte*> ||
     std::constructible_from<Net, typename Net::Config const&> ||
     std::default_initializable<Net>)&&requires(Net& net, Net const& built, typename Net::Config const& config,
                                                WeightHeader const& header, Context<typename Net::Scalar>& context,
                                                View<Accumulator<typename Net::Scalar> const> image,
                                                View<Accumulator<typename Net::Scalar>> output,
                                                detail::AnyVisitor visit, detail::AnyBody body) {
  { Net::configure(header) } -> std::same_as<Result<typename Net::Config>>;
  { Net::check(config) } -> std::same_as<Result<void>>;
  { Net::check_size(config, Index{}, Index{}) } -> std::same_as<Result<void>>;
  { Net::structure_bytes(config) } -> std::same_as<Index>;
  { Net::channels_in(config) } -> std::same_as<Index>;
  { Net::output_shape(config, Shape{}) } -> std::same_as<Shape>;
  { Net::tile_step(config) } -> std::same_as<Index>;
  Net::schema(config, visit, Unnamed());
  Net::with_outline(config, body);
  net.each_layer(config, visit);
  built.run(context, config, image, output);
};

}  // namespace mirnet::inline MIRNET_ABI

// Networks with weights from a seed, pictures for them, and a run from nothing to the result.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "weight_writer.hpp"

namespace test {

/// As small as networks get with two streams, and one that has all three.
inline constexpr mirnet::MirnetConfig tiny{.features = 8, .groups = 1, .blocks = 1, .streams = 2, .columns = 1};
inline constexpr mirnet::MirnetConfig small{.features = 16, .groups = 1, .blocks = 1};
/// That work on cells of pixels: 12 channels, more than fit into one line of bfloat16, and more than there are
/// features.
inline constexpr mirnet::MirnetConfig unshuffled[] = {
    {.features = 16, .groups = 1, .blocks = 1, .unshuffle = 2},
    {.features = 9, .groups = 1, .blocks = 2, .streams = 2, .columns = 1, .unshuffle = 4},
    {.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1, .channels = 1, .unshuffle = 2},
    {.features = 8, .groups = 2, .blocks = 1, .streams = 4, .columns = 1, .channels = 16, .unshuffle = 4}};

/// MIRNet-v2 at its smallest, and with all that it may have besides.
inline constexpr mirnet::MirnetV2Config version_2{.features = 16, .blocks = 1};
inline constexpr mirnet::MirnetV2Config two_views{
    .features = 16, .blocks = 2, .channels = 6, .bias = true, .adds_image = false};

/// The network of a configuration.
template <class T, class Config>
struct NetworkOf;
template <class T>
struct NetworkOf<T, mirnet::MirnetConfig> {
  using Type = mirnet::Mirnet<T>;
};
template <class T>
struct NetworkOf<T, mirnet::MirnetV2Config> {
  using Type = mirnet::MirnetV2<T>;
};

template <class T, class Config>
using ModelOf = mirnet::Model<typename NetworkOf<T, Config>::Type>;

template <class T, class Config = mirnet::MirnetConfig>
ModelOf<T, Config> make_model(Config const& config) {
  return ModelOf<T, Config>::load(make_weight_file(config)).value();
}

/// body(config) for each of some configurations, which may be of several networks.
template <class Body, class... Configs>
void each_config(Body&& body, Configs const&... configs) {
  (body(configs), ...);
}

/// What tells them apart, for messages.
inline std::string describe(mirnet::MirnetConfig const& config) {
  std::ostringstream text;
  text << "features " << config.features << ", groups " << config.groups << ", blocks " << config.blocks << ", streams "
       << config.streams << ", columns " << config.columns << ", channels " << config.channels << ", unshuffle "
       << config.unshuffle;
  return text.str();
}
inline std::string describe(mirnet::MirnetV2Config const& config) {
  std::ostringstream text;
  text << "version 2, features " << config.features << ", blocks " << config.blocks << ", channels " << config.channels
       << (config.bias ? ", bias" : "") << (config.adds_image ? "" : ", the image not added");
  return text.str();
}

/// A picture with structure at every scale: waves and noise in [0, 1].
template <class T>
mirnet::Tensor<T> make_image(mirnet::Shape shape) {
  auto image = mirnet::Tensor<T>::create(shape).value();
  std::mt19937 random(7);
  for (mirnet::Index y = 0; y < shape.height; ++y) {
    for (mirnet::Index x = 0; x < shape.width; ++x) {
      for (mirnet::Index c = 0; c < shape.channels; ++c) {
        double const wave =
            0.5 + 0.25 * std::sin(0.3 * static_cast<double>(x + c)) * std::cos(0.2 * static_cast<double>(y));
        double const noise = static_cast<double>(random() >> 8) / (1 << 24) - 0.5;
        image.view()(y, x, c) = static_cast<T>(static_cast<float>(wave + 0.25 * noise));
      }
    }
  }
  return image;
}

/// What the model makes of an image, with the context's kernels and threads.
template <class Net>
mirnet::Tensor<typename mirnet::Model<Net>::Pixel> run(
    mirnet::Model<Net> const& model, mirnet::Context<typename Net::Scalar>& context,
    std::type_identity_t<mirnet::View<typename mirnet::Model<Net>::Pixel const>> image) {
  auto const plan = model.plan(context, image.height(), image.width()).value();
  auto const memory = mirnet::Memory::allocate(plan.bytes).value();
  // What a run does not write must not matter: the contents of the memory are NaN to begin with.
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
  auto output =
      mirnet::Tensor<typename mirnet::Model<Net>::Pixel>::create(Net::output_shape(model.config(), image.shape()))
          .value();
  model.run(context, plan, memory.bytes(), image, output.view()).value();
  return output;
}

}  // namespace test

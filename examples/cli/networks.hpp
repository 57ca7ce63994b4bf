// The networks that the program runs, and what makes each of them. Everything else knows a network by the numbers that
// an Engine tells (engine.hpp): a further network is its header, its line in the list, and its hyper-parameters.
#pragma once

#include <tuple>

#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "hyper_parameter.hpp"

namespace cli {

/// A network of the library, for weights and maps of any type.
template <template <class> class Net>
struct LibraryNetwork {
  mirnet::Index architecture;  ///< its number in weight files
  char const* name;

  template <class T>
  using Network = Net<T>;
};

inline constexpr std::tuple networks{
    LibraryNetwork<mirnet::Mirnet>{1, "MIRNet"},
    LibraryNetwork<mirnet::MirnetV2>{2, "MIRNet-v2"},
};

inline HyperParameters hyper_parameters(mirnet::MirnetConfig const& config) {
  return {{"features", config.features},  {"groups", config.groups},   {"blocks", config.blocks},
          {"streams", config.streams},    {"columns", config.columns}, {"channels", config.channels},
          {"unshuffle", config.unshuffle}};
}

inline HyperParameters hyper_parameters(mirnet::MirnetV2Config const& config) {
  return {{"features", config.features},
          {"blocks", config.blocks},
          {"channels", config.channels},
          {"bias", config.bias, true},
          {"adds_image", config.adds_image, true}};
}

}  // namespace cli

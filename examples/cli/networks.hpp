// The networks that the program runs, and what makes each of them. Everything else knows a network by the numbers that
// an Engine tells (engine.hpp): a further network is its header, its line in the list, and its hyper-parameters.
#pragma once

#include <tuple>

#include <mirnet/networks/mirnet/mirnet.hpp>

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
};

inline HyperParameters hyper_parameters(mirnet::MirnetConfig const& config) {
  return {{"features", config.features},  {"groups", config.groups},   {"blocks", config.blocks},
          {"streams", config.streams},    {"columns", config.columns}, {"channels", config.channels},
          {"unshuffle", config.unshuffle}};
}

}  // namespace cli

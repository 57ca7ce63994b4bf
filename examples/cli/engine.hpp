// A network on one machine: its weights, and the kernels and threads that compute it. Its weight file says which of the
// library's networks it is; whoever runs it sees plain numbers.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <mirnet/image/restore.hpp>
#include <mirnet/model/network_base.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "computing.hpp"
#include "hyper_parameter.hpp"
#include "measure/profiler.hpp"

namespace cli {

// The library's, without the hyper-parameters by which a model knows that a plan is its own: here, an engine's plans
// and tilings go back to the same engine.
using Plan = mirnet::Plan<mirnet::NoHyperParameters>;
using Tiling = mirnet::Tiling<mirnet::NoHyperParameters>;
using Rehearsal = measure::RehearsalOf<mirnet::NoHyperParameters>;

class Engine {
 public:
  /// Gets the rows of a result from the first to the last, each once, with three colours a pixel.
  using WriteRows = std::function<mirnet::Result<void>(mirnet::Index first_row, mirnet::View<float const> rows)>;

  struct Facts {
    std::string weights;       ///< the path of the file, or "built in"
    char const* network = "";  ///< "MIRNet"
    HyperParameters hyper_parameters;
    mirnet::Task task = mirnet::Task::unspecified;
    mirnet::Index parameters = 0, bytes = 0;  ///< numbers learned; memory of the weights
    mirnet::Index channels_in = 0, channels_out = 0;
    char const* isa = "";  ///< of the kernels
    mirnet::Index threads = 0;
  };

  virtual ~Engine() = default;

  Facts const& facts() const { return facts_; }

  /// Whether the network takes so many pictures at a time: one, or two where it has a channel for each colour of a left
  /// and a right view. Errors: invalid_argument; model, where it takes no pictures in three colours.
  mirnet::Result<void> check_pictures(int count) const;

  // For any map, as Model.
  virtual mirnet::Result<Plan> plan(mirnet::Index height, mirnet::Index width) const = 0;
  virtual mirnet::Result<Rehearsal> rehearse(mirnet::Index height, mirnet::Index width) const = 0;
  virtual mirnet::Shape output_shape(mirnet::Shape image) const = 0;
  virtual mirnet::Result<void> run(Plan const& plan, mirnet::Trace trace, std::span<std::byte> memory,
                                   mirnet::View<float const> image, mirnet::View<float> output) = 0;

  // For images, as the functions of the library that are called so.
  virtual mirnet::Result<Tiling> plan_whole(mirnet::Image const& image) const = 0;
  virtual mirnet::Result<Tiling> plan_tiles(
      mirnet::Image const& image, mirnet::Index longest,
      mirnet::Index most_bytes = (std::numeric_limits<mirnet::Index>::max)()) const = 0;
  virtual mirnet::Result<mirnet::Index> longest_tile_within(mirnet::Image const& image, mirnet::Index bytes,
                                                            mirnet::Index longest) const = 0;
  virtual mirnet::Result<void> restore_rows(mirnet::Views views, Tiling const& tiling, mirnet::Strength strength,
                                            mirnet::Progress progress, WriteRows const& write) = 0;

 protected:
  Facts facts_;
};

/// The network of a weight file, or the one compiled into the program, with these kernels. `pool` outlives it. Errors:
/// model, for whatever is wrong with the file, and for a network that is not the library's; memory.
mirnet::Result<std::unique_ptr<Engine>> load_engine(std::optional<std::string> const& path, Kernels const& kernels,
                                                    mirnet::Algorithm algorithm, mirnet::ThreadPool& pool);

}  // namespace cli

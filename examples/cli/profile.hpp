// What mirnet profile found out, the figures that follow from it, and the forms that it is printed in.
#pragma once

#include <string>
#include <vector>

#include <mirnet/base/result.hpp>
#include <mirnet/tensor/shape.hpp>

#include "hyper_parameter.hpp"
#include "measure/samples.hpp"

namespace cli {

/// A node, or all nodes of an operation or a block.
struct ProfileRow {
  std::string name, operation, fused, kernel;
  std::string input, output;  ///< "256x256x64": height, width, channels
  mirnet::Index calls = 0;    ///< pieces of its work in a run
  measure::Samples time;      ///< of the calling thread, from begin to end of each piece
  measure::Samples busy;      ///< of all workers together
  double macs = 0, products = 0, bytes = 0, live_bytes = 0;
};

/// Something that happened in a run, for the timeline; microseconds from its start.
struct ProfileSpan {
  std::size_t node = 0;
  mirnet::Index worker = 0;
  double start = 0, length = 0;
};

struct Profile {
  std::string processor, compiler, flags, isa, precision, algorithm, weights, network;
  unsigned processors = 0;  ///< that the machine has
  mirnet::Index threads = 0, width = 0, height = 0, parameters = 0;
  HyperParameters hyper_parameters;
  int warmup = 0;
  double peak_gflops = 0;                     ///< 0: there is no loop to measure it with
  double bandwidth = 0, bandwidth_bytes = 0;  ///< GB/s, over a working set of so many bytes; 0: not measured
  double plan_bytes = 0, model_bytes = 0;
  double hooks = 0, hook_nanoseconds = 0;  ///< pairs of calls in a run, and what one takes
  /// What profiling itself takes of a run; the threads share it.
  double profiling_ms() const { return 1e-6 * hooks * hook_nanoseconds / static_cast<double>(threads); }

  std::vector<ProfileRow> layers;  ///< in the order of the run
  measure::Samples total;
  measure::Samples unattributed;  ///< outside of all nodes
  measure::Samples wait;  ///< mean of the threads, while others work for the same node; a part of the nodes' time

  // Of the run that was the fastest.
  std::vector<ProfileSpan> spans;
  struct Live {
    double time, bytes;
  };
  std::vector<Live> live;

  /// Operations a byte from which on arithmetic is what limits; NaN where the roof is not known.
  double ridge() const;
};

/// Where a row stands; NaN where that is not known or means nothing.
struct Figures {
  double direct_gflops = 0, gflops = 0;  ///< of the definition, and of what is computed; two operations a product
  double percent_of_peak = 0;            ///< of `gflops`
  double bytes_per_second = 0;           ///< GB/s
  double intensity = 0;                  ///< operations that are computed, for each byte
  char const* bound = "";                ///< "compute" or "memory": the part of the roof that is above it
  double percent_of_roof = 0;            ///< of what that part allows
  double efficiency = 0;                 ///< percent of the threads' time that they work
};
Figures figures(Profile const& profile, ProfileRow const& row);

enum class Grouping { layer, operation, block };
enum class Sorting { run, time, operation };

/// The block of the network that a node lies in: "body.0.body.1.blocks.2" of "body.0.body.1.blocks.2.0.body.0#2".
std::string block_of(std::string const& name);

std::vector<ProfileRow> grouped(Profile const& profile, Grouping grouping);
void sort_rows(std::vector<ProfileRow>& rows, Sorting sorting);

/// For people: the machine, the rows, and groups of them. Names may hold anything: control characters become spaces.
std::string profile_table(Profile const& profile, Grouping grouping, Sorting sorting);
/// RFC 4180, with a line of names; the rows, unattributed time and total.
std::string profile_csv(Profile const& profile, Grouping grouping, Sorting sorting);
/// Everything; bench/README.md lists the keys.
std::string profile_json(Profile const& profile, Sorting sorting);
/// Of Chrome's trace viewer and Perfetto: the fastest run, a lane for each thread.
std::string profile_trace(Profile const& profile);
/// A page that needs nothing but itself.
std::string profile_html(Profile const& profile, Sorting sorting);

/// A profile of an earlier day: what profile_json has of it.
struct Baseline {
  std::string description;
  std::vector<ProfileRow> layers;  ///< names, operations and times alone
  measure::Samples total;
};

/// Errors: input, where there is no such file or it is not a profile.
mirnet::Result<Baseline> read_baseline(std::string const& path);

/// What has changed by more than the noise, most milliseconds first.
std::string profile_changes(Baseline const& before, Profile const& after, Grouping grouping);

}  // namespace cli

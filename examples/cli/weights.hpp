// The weights that a command runs: those compiled into the program, or those of a file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <mirnet/base/result.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

/// Which weights a command is to run, as its options say.
struct WeightsOptions {
  std::optional<std::string> file;
  std::string quality = "standard";
  std::string file_option;  ///< what the user calls `file`
};

/// What the program was called by (main's argv[0]), for systems that do not tell where its file lies.
inline char const* program_name = "";

/// Adds --quality, which goes without the option for a file.
void add_quality(CLI::App& command, CLI::Option& file_option, WeightsOptions& options);

/// The weight file that is compiled into the program; it starts at a multiple of 64 bytes.
std::span<std::byte const> builtin_weights();

/// The path of the weight file to load; none for the weights compiled into the program. A quality's file is looked for
/// in the folder that the environment variable MIRNET_WEIGHTS names; without it, beside the program's file (links
/// resolved), in ../share/mirnet from there, and in share/mirnet of the prefix that the build was configured for.
/// Errors: model, where it is in none of them.
mirnet::Result<std::optional<std::string>> find_weights(WeightsOptions const& options);

/// The model of a weight file, or the one compiled into the program; T is float or bfloat16.
template <class T>
mirnet::Result<mirnet::Model<mirnet::Mirnet<T>>> load_weights(std::optional<std::string> const& path,
                                                              mirnet::ParallelFor const& parallel);

}  // namespace cli

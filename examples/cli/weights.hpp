// The weights that a command runs: those compiled into the program, or those of a file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <mirnet/base/result.hpp>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

/// Which weights a command is to run, as its options say.
struct WeightsOptions {
  std::optional<std::string> file;
  std::string model = "standard";
  std::string file_option;  ///< what the user calls `file`
};

/// What the program was called by (main's argv[0]), for systems that do not tell where its file lies.
inline char const* program_name = "";

/// Adds --model, which goes without the option for a file.
void add_model(CLI::App& command, CLI::Option& file_option, WeightsOptions& options);

/// Adds --quality standard|high, which --model replaces in version 0.3, hidden and with a warning; for commands that
/// have no other --quality.
void add_old_quality(CLI::App& command, WeightsOptions& options);
/// The warning.
void warn_of_old_quality(std::string const& model);

/// The weight file that is compiled into the program; it starts at a multiple of 64 bytes.
std::span<std::byte const> builtin_weights();

/// The path of the weight file to load; none for the weights compiled into the program. A model's file, called
/// denoise-large.mirw for "high" and denoise-NAME.mirw for another name, is looked for in the folder that the
/// environment variable MIRNET_WEIGHTS names; without it, beside the program's file (links resolved), in
/// ../share/mirnet from there, and in share/mirnet of the prefix that the build was configured for. Errors: model,
/// where it is in none of them.
mirnet::Result<std::optional<std::string>> find_weights(WeightsOptions const& options);

/// What reports call the weights: the name of the model, or of the file without its folder.
std::string name_of(WeightsOptions const& options);

/// Eight hexadecimal digits that tell weights apart: the CRC-32C of the table that holds the checksums of all tensors,
/// in the header of the file. Empty where the file cannot be read.
std::string weights_checksum(std::optional<std::string> const& path);

}  // namespace cli

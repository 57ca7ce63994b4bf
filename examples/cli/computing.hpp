// How a command computes: the kernels, what numbers are stored as, and how convolutions are done.
#pragma once

#include <optional>
#include <string>

#include "instruction_sets.hpp"

namespace CLI {
class App;
}  // namespace CLI

namespace cli {

struct Computing {
  std::optional<std::string> isa;
  std::string precision = "fp32", algorithm = "auto";

  bool in_bfloat16() const { return precision == "bf16"; }
  mirnet::Algorithm chosen_algorithm() const {
    return algorithm == "direct" ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  }
};

/// Adds --isa, --precision and --algorithm.
void add_computing(CLI::App& command, Computing& computing);

/// The instruction set, which has kernels for the precision. Errors: invalid_argument.
mirnet::Result<InstructionSet const*> choose_instruction_set(Computing const& computing);

}  // namespace cli

#include "computing.hpp"

#include <CLI/CLI.hpp>

namespace cli {

void add_computing(CLI::App& command, Computing& computing) {
  command
      .add_option("--isa", computing.isa,
                  "Instruction set to use: " + instruction_set_names() + "; without it, the fastest")
      ->type_name("NAME");
  command
      .add_option("--precision", computing.precision,
                  "What weights and intermediate results are stored as: bf16 takes half of the memory of fp32")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--algorithm", computing.algorithm,
                  "How to convolve: direct multiplies more than auto, and rounds a little less")
      ->check(CLI::IsMember({"auto", "direct"}))
      ->type_name("NAME")
      ->capture_default_str();
}

mirnet::Result<InstructionSet const*> choose_instruction_set(Computing const& computing) {
  auto const set = choose_instruction_set(computing.isa);
  if (set && computing.in_bfloat16() && (*set)->bfloat16_kernels == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--precision bf16: the instruction set %s has no kernels for it", (*set)->name);
  }
  return set;
}

}  // namespace cli

// How a command computes: the kernels, what numbers are stored as, and how convolutions are done.
#pragma once

#include <optional>
#include <string>

#include <mirnet/base/result.hpp>
#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/kernels/table.hpp>

namespace CLI {
class App;
}  // namespace CLI

namespace cli {

/// The built-in instruction sets, each with the set that runs in fp32 if that is another: "avx512bf16 (fp32: avx512),
/// avx512, avx2, sse2".
std::string instruction_set_names();

/// The set that --isa names, or without it the best that the machine has. Errors: invalid_argument.
mirnet::Result<mirnet::KernelSet const*> choose_instruction_set(std::optional<std::string> const& isa);

struct Computing {
  std::optional<std::string> isa;
  std::string precision = "auto", algorithm = "auto";

  mirnet::Algorithm chosen_algorithm() const {
    return algorithm == "direct" ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  }
};

/// Adds --isa, --precision and --algorithm.
void add_computing(CLI::App& command, Computing& computing);

/// What to compute with.
struct Kernels {
  mirnet::KernelSet const* set;
  bool in_bfloat16;

  char const* precision() const { return in_bfloat16 ? "bf16" : "fp32"; }
};

/// The kernels of these options: bfloat16 if it is asked for, and if nothing is, where the processor multiplies it.
/// Errors: invalid_argument, where the instruction set has no kernels for the precision.
mirnet::Result<Kernels> choose_kernels(Computing const& computing);

}  // namespace cli

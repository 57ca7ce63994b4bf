#include "computing.hpp"

#include <CLI/CLI.hpp>

namespace cli {

std::string instruction_set_names() {
  std::string names;
  for (auto const& set : mirnet::kernel_sets()) {
    if (!names.empty()) names += ", ";
    names += set.name;
    if (!set.has_own_float_kernels()) names += std::string(" (fp32: ") + set.float_isa + ")";
  }
  return names;
}

mirnet::Result<mirnet::KernelSet const*> choose_instruction_set(std::optional<std::string> const& isa) {
  auto const set = mirnet::choose_kernel_set(isa);
  if (!set && isa) return mirnet::Error(set.error().code(), "--isa %s", set.error().message());
  return set;
}

void add_computing(CLI::App& command, Computing& computing) {
  command
      .add_option("--isa", computing.isa,
                  "Instruction set to use: " + instruction_set_names() + "; without it, the fastest")
      ->type_name("NAME");
  command
      .add_option(
          "--precision", computing.precision,
          "What weights and intermediate results are stored as: bf16 takes half of the memory of fp32; auto is\n"
          "bf16 where the processor multiplies it (AVX512_BF16), which is faster, else fp32")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--algorithm", computing.algorithm,
                  "How to convolve: direct multiplies more than auto, and rounds a little less")
      ->check(CLI::IsMember({"auto", "direct"}))
      ->type_name("NAME")
      ->capture_default_str();
}

mirnet::Result<Kernels> choose_kernels(Computing const& computing) {
  auto const set = choose_instruction_set(computing.isa);
  if (!set) return set.error();
  if (computing.precision == "auto") {
    auto const* const known = mirnet::find_instruction_set((*set)->name);
    return Kernels{*set, known != nullptr && known->pair_products};
  }
  bool const in_bfloat16 = computing.precision == "bf16";
  if (in_bfloat16 && (*set)->bfloat16_kernels == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--precision bf16: the instruction set %s has no kernels for it", (*set)->name);
  }
  return Kernels{*set, in_bfloat16};
}

}  // namespace cli

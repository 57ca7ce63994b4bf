#include "computing.hpp"

#include <CLI/CLI.hpp>

#include "arguments.hpp"

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
                  "instruction set (default: the fastest of this processor); built in: " + instruction_set_names())
      ->type_name("NAME");
  auto* const precision =
      command.add_option("--precision", computing.precision,
                         "type of weights and intermediate results: fp32; bf16, which takes half the memory; or auto "
                         "(default), bf16 where "
                         "the processor multiplies it (AVX512_BF16), which is faster, and fp32 elsewhere");
  take_one_of(*precision, {"auto", "fp32", "bf16"});
  auto* const algorithm = command.add_option(
      "--algorithm", computing.algorithm,
      "convolution algorithm: auto (default), or direct, which multiplies more and rounds slightly less");
  take_one_of(*algorithm, {"auto", "direct"});
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

// The instruction sets whose kernels the program carries, and the choice among them at run time.
#pragma once

#include <optional>
#include <span>
#include <string>

#include <mirnet/base/result.hpp>
#include <mirnet/kernels/table.hpp>

namespace cli {

struct InstructionSet {
  char const* name;
  bool available;  ///< whether the processor has it and the system lets programs use its registers
  mirnet::KernelTable<float> const* (*kernels)() noexcept;  ///< may be called only where it is available
};

/// All that are built in, the fastest first.
std::span<InstructionSet const> instruction_sets();

/// Their names with a comma between; only those that are available, or all.
std::string instruction_set_names(bool only_available);

/// The kernels of the set of this name, or of the fastest that is available.
/// Errors: invalid_argument, where the program or the machine lacks it.
mirnet::Result<mirnet::KernelTable<float> const*> choose_kernels(std::optional<std::string> const& name = {});

}  // namespace cli

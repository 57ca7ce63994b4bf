// The instruction sets whose kernels the program carries, and the choice among them at run time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <mirnet/base/result.hpp>
#include <mirnet/kernels/table.hpp>

namespace cli {

struct InstructionSet {
  char const* name;
  bool available;  ///< whether the processor has it and the system lets programs use its registers
  /// These may be called only where it is available.
  mirnet::KernelTable<float> const* (*kernels)() noexcept;
  mirnet::KernelTable<mirnet::bfloat16> const* (*bfloat16_kernels)() noexcept;  ///< null: there are none

  /// Not those of another set of the list, which it adds nothing to for float.
  bool has_own_float_kernels() const noexcept { return std::string_view(kernels()->isa) == name; }

  template <class T>
  mirnet::KernelTable<T> const* kernels_of() const noexcept {
    if constexpr (std::is_same_v<T, float>)
      return kernels();
    else
      return bfloat16_kernels == nullptr ? nullptr : bfloat16_kernels();
  }
};

/// All that are built in, the fastest first.
std::span<InstructionSet const> instruction_sets();

/// Their names with a comma between; only those that are available, or all.
std::string instruction_set_names(bool only_available);

/// The set of this name, or the fastest that is available.
/// Errors: invalid_argument, where the program or the machine lacks it.
mirnet::Result<InstructionSet const*> choose_instruction_set(std::optional<std::string> const& name = {});

/// Its kernels.
mirnet::Result<mirnet::KernelTable<float> const*> choose_kernels(std::optional<std::string> const& name = {});

}  // namespace cli

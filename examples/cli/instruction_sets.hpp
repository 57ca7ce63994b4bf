// The instruction sets whose kernels the program carries, and the choice among them at run time.
//
// What runs is what is reported: every command names the set that the running kernels are compiled for, which is their
// KernelTable::isa, and not the set that --isa names. The two differ for float where a set adds nothing for it and runs
// the kernels of another: the list in instruction_sets.cpp says which, and everything else asks it.
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
  bool available;         ///< whether the processor has it and the system lets programs use its registers
  char const* float_isa;  ///< the set that its float kernels are compiled for: itself, or another of the list
  /// These may be called only where it is available.
  mirnet::KernelTable<float> const* (*kernels)() noexcept;
  mirnet::KernelTable<mirnet::bfloat16> const* (*bfloat16_kernels)() noexcept;  ///< null: there are none

  bool has_own_float_kernels() const noexcept { return std::string_view(float_isa) == name; }

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

/// Their names with a comma between, and the set that runs in fp32 where that is another: "avx512bf16 (fp32: avx512),
/// avx512, avx2, sse2".
std::string instruction_set_names();

/// The set of this name, or the fastest that is available.
/// Errors: invalid_argument, where the program or the machine lacks it.
mirnet::Result<InstructionSet const*> choose_instruction_set(std::optional<std::string> const& name = {});

/// Its float kernels.
mirnet::Result<mirnet::KernelTable<float> const*> choose_kernels(std::optional<std::string> const& name = {});

}  // namespace cli

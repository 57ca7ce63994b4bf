// The build compiles kernels_isa.cpp for some instruction sets and defines MIRNET_HAS_<SET> for each; on other
// architectures than x86 there is one object, compiled as this file is, and MIRNET_HAS_NATIVE.
#include "instruction_sets.hpp"

#include <algorithm>

#include <mirnet/config.hpp>

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

extern "C" {
using Kernels = mirnet::KernelTable<float> const*() noexcept;
using Bfloat16Kernels = mirnet::KernelTable<mirnet::bfloat16> const*() noexcept;
Kernels mirnet_kernels_avx512, mirnet_kernels_avx2, mirnet_kernels_sse2;
Bfloat16Kernels mirnet_bfloat16_kernels_avx512bf16, mirnet_bfloat16_kernels_avx512, mirnet_bfloat16_kernels_avx2,
    mirnet_bfloat16_kernels_sse2;
#if defined(MIRNET_HAS_NATIVE)
Kernels MIRNET_CAT(mirnet_kernels_, MIRNET_ISA);
#if !MIRNET_NO_SIMD
Bfloat16Kernels MIRNET_CAT(mirnet_bfloat16_kernels_, MIRNET_ISA);
#endif
#endif
}

namespace cli {

// __builtin_cpu_supports asks the system too (XGETBV): a set counts only if its registers survive a task switch.
std::span<InstructionSet const> instruction_sets() {
#if defined(MIRNET_HAS_AVX512)
  static bool const avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#endif
  static InstructionSet const sets[] = {
#if defined(MIRNET_HAS_AVX512) && defined(MIRNET_HAS_AVX512BF16)
    // Its instructions are for bfloat16 alone.
    {"avx512bf16", avx512 && __builtin_cpu_supports("avx512bf16"), "avx512", mirnet_kernels_avx512,
     mirnet_bfloat16_kernels_avx512bf16},
#endif
#if defined(MIRNET_HAS_AVX512)
    {"avx512", avx512, "avx512", mirnet_kernels_avx512, mirnet_bfloat16_kernels_avx512},
#endif
#if defined(MIRNET_HAS_AVX2)
    {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), "avx2", mirnet_kernels_avx2,
     mirnet_bfloat16_kernels_avx2},
#endif
#if defined(MIRNET_HAS_SSE2)
    {"sse2", __builtin_cpu_supports("sse2") != 0, "sse2", mirnet_kernels_sse2, mirnet_bfloat16_kernels_sse2},
#endif
#if defined(MIRNET_HAS_NATIVE)
    {MIRNET_ISA_NAME, true, MIRNET_ISA_NAME, MIRNET_CAT(mirnet_kernels_, MIRNET_ISA),
#if MIRNET_NO_SIMD
     nullptr},
#else
     MIRNET_CAT(mirnet_bfloat16_kernels_, MIRNET_ISA)},
#endif
#endif
  };
  return sets;
}

std::string instruction_set_names() {
  std::string names;
  for (auto const& set : instruction_sets()) {
    if (!names.empty()) names += ", ";
    names += set.name;
    if (!set.has_own_float_kernels()) names += std::string(" (fp32: ") + set.float_isa + ")";
  }
  return names;
}

mirnet::Result<InstructionSet const*> choose_instruction_set(std::optional<std::string> const& name) {
  for (auto const& set : instruction_sets()) {
    if (set.available && (!name || *name == set.name)) return &set;
  }
  if (!name) return mirnet::Error(mirnet::ErrorCode::internal, "this machine has no instruction set of this program");
  std::string available;
  for (auto const& set : instruction_sets()) {
    if (set.available) available += (available.empty() ? "" : ", ") + std::string(set.name);
  }
  bool const built_in = std::ranges::any_of(instruction_sets(), [&](auto const& set) { return *name == set.name; });
  return mirnet::Error(
      mirnet::ErrorCode::invalid_argument, "--isa %s: %s; available are: %s", name->c_str(),
      built_in ? "this machine lacks that instruction set" : "no instruction set of this program has that name",
      available.c_str());
}

mirnet::Result<mirnet::KernelTable<float> const*> choose_kernels(std::optional<std::string> const& name) {
  auto const set = choose_instruction_set(name);
  if (!set) return set.error();
  return (*set)->kernels();
}

}  // namespace cli

// The table of instruction sets, which determines registers, micro-kernels and the choice at run time. Needs neither
// xsimd nor the processor's intrinsics.
#pragma once

#include <string_view>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The properties on which kernels depend.
struct InstructionSet {
  char const* name;       ///< as in MIRNET_ISA
  char const* float_isa;  ///< the set whose float kernels it runs: itself, or the set that it only extends
  int lanes;              ///< floats in a register
  int registers;          ///< that a program can use
  int register_bytes;
  bool fused;          ///< every processor of the set can multiply and add with one rounding
  bool pair_products;  ///< it multiplies pairs of bfloat16 and adds both products to a float
  bool lane_products;  ///< it multiplies by one lane of a register
};

namespace detail {

#if defined(__i386__) || defined(_M_IX86)
inline constexpr int x86_registers = 8, avx512_registers = 8;
#else
inline constexpr int x86_registers = 16, avx512_registers = 32;
#endif
#if defined(__arm__)
// VFPv4 multiplies and adds with one rounding, the NEON before it does not.
inline constexpr bool is_aarch64 = false;
#else
inline constexpr bool is_aarch64 = true;
#endif

}  // namespace detail

/// The best of an architecture first. `scalar` has plain kernels, for which the compiler chooses the registers.
inline constexpr InstructionSet instruction_sets[] = {
    // name, float kernels of, lanes, registers, bytes, fused, pairs, by lane
    {"avx512bf16", "avx512", 16, detail::avx512_registers, 64, true, true, false},
    {"avx512", "avx512", 16, detail::avx512_registers, 64, true, false, false},
    {"avx2", "avx2", 8, detail::x86_registers, 32, true, false, false},
    {"sse2", "sse2", 4, detail::x86_registers, 16, false, false, false},
    {"neon", "neon", 4, detail::is_aarch64 ? 32 : 16, 16, detail::is_aarch64, false, detail::is_aarch64},
    {"scalar", "scalar", 1, 0, 0, false, false, false},
};

/// The row of this name, or null.
constexpr InstructionSet const* find_instruction_set(std::string_view name) noexcept {
  for (auto const& set : instruction_sets) {
    if (name == set.name) return &set;
  }
  return nullptr;
}

}  // namespace mirnet::inline MIRNET_ABI

// The same names for #if: MIRNET_SET is the number of the set whose registers this translation unit computes with.
#define MIRNET_SET_scalar 1
#define MIRNET_SET_sse2 2
#define MIRNET_SET_avx2 3
#define MIRNET_SET_avx512 4
#define MIRNET_SET_avx512bf16 5
#define MIRNET_SET_neon 6
#define MIRNET_SET_NUMBER_(set) MIRNET_SET_##set
#define MIRNET_SET_NUMBER(set) MIRNET_SET_NUMBER_(set)
#define MIRNET_SET MIRNET_SET_NUMBER(MIRNET_REGISTER_ISA)
#if MIRNET_SET < MIRNET_SET_scalar || MIRNET_SET > MIRNET_SET_neon
#error "simd/instruction_set.hpp has no row for the instruction set that config.hpp names"
#endif

// Whether its registers have 64 bytes, for #if.
#define MIRNET_SET_HAS_ZMM (MIRNET_SET == MIRNET_SET_avx512 || MIRNET_SET == MIRNET_SET_avx512bf16)

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// The row of MIRNET_REGISTER_ISA.
inline constexpr InstructionSet own_set = *find_instruction_set(MIRNET_STRINGIFY(MIRNET_REGISTER_ISA));

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

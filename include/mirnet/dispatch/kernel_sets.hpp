// The instruction sets whose kernels are linked into a program, and the choice among them at run time:
//
//   mirnet::Context<float> context(*mirnet::choose_kernels().value());
//
// CMake's mirnet_add_kernels(TARGET) links the kernels and defines MIRNET_HAS_<SET> for each set. Without CMake,
// compile dispatch/kernels.cpp once for each set with the set's flags, and define MIRNET_HAS_<SET> for every file that
// includes this header. If there is only one set, compiled with the flags of the rest of the program, define
// MIRNET_HAS_NATIVE instead. Without any definition the list is empty, and choosing is an error. If the kernels of a
// defined set are not linked, the linker reports an undefined symbol such as mirnet::...::linked::kernels_avx2().
//
// KernelTable::isa names the set that the running kernels are compiled for. It differs from the requested set if that
// set adds nothing for float and uses the float kernels of another set.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <mirnet/base/half.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/config.hpp>
#include <mirnet/dispatch/choose.hpp>
#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/instruction_set.hpp>

#if defined(MIRNET_HAS_AVX512BF16) && !defined(MIRNET_HAS_AVX512)
#error "MIRNET_HAS_AVX512BF16 needs MIRNET_HAS_AVX512 and its kernels, which are those of float"
#endif

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

namespace mirnet::inline MIRNET_ABI {

// The functions that dispatch/kernels.cpp defines for each set.
namespace linked {

#define MIRNET_DECLARE_KERNELS(set)                               \
  KernelTable<float> const* MIRNET_CAT(kernels_, set)() noexcept; \
  KernelTable<bfloat16> const* MIRNET_CAT(bfloat16_kernels_, set)() noexcept;
MIRNET_DECLARE_KERNELS(avx512bf16)
MIRNET_DECLARE_KERNELS(avx512)
MIRNET_DECLARE_KERNELS(avx2)
MIRNET_DECLARE_KERNELS(sse2)
#if defined(MIRNET_HAS_NATIVE)
MIRNET_DECLARE_KERNELS(MIRNET_ISA)
#endif
#undef MIRNET_DECLARE_KERNELS

}  // namespace linked

/// The kernels of one instruction set.
struct KernelSet {
  char const* name;
  char const* float_isa;  ///< the set that its float kernels are compiled for: itself, or another of the program
  /// Call these only if available() is true.
  KernelTable<float> const* (*kernels)() noexcept;
  KernelTable<bfloat16> const* (*bfloat16_kernels)() noexcept;  ///< null if the set has none

  /// Whether the processor has the set and the system lets programs use its registers.
  bool available() const noexcept { return machine_has(name); }

  constexpr bool has_own_float_kernels() const noexcept { return std::string_view(float_isa) == name; }

  /// The kernels of T, float or bfloat16; null if the set has none.
  template <class T>
  KernelTable<T> const* kernels_of() const noexcept {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, bfloat16>,
                  "KernelSet::kernels_of: there are kernels of float and of bfloat16");
    if constexpr (std::is_same_v<T, float>)
      return kernels();
    else
      return bfloat16_kernels == nullptr ? nullptr : bfloat16_kernels();
  }
};

/// The set with this name in a list; without a name, the first that this machine has. Lists have the best set first.
/// Errors: invalid_argument, where the list or the machine lacks the set; the message names the available sets.
inline Result<KernelSet const*> choose_kernel_set(std::span<KernelSet const> sets,
                                                  std::optional<std::string_view> name) noexcept {
  auto const set = [&](Index i) { return &sets[static_cast<std::size_t>(i)]; };
  auto const chosen = detail::choose_set(
      static_cast<Index>(sets.size()), [&](Index i) { return set(i)->name; }, name);
  if (!chosen) return chosen.error();
  return set(*chosen);
}

// Everything that depends on these definitions is in a namespace that names them, so that parts of a program with
// different definitions share no function.
#if defined(MIRNET_HAS_AVX512BF16)
#define MIRNET_NAME_AVX512BF16 _avx512bf16
#else
#define MIRNET_NAME_AVX512BF16
#endif
#if defined(MIRNET_HAS_AVX512)
#define MIRNET_NAME_AVX512 _avx512
#else
#define MIRNET_NAME_AVX512
#endif
#if defined(MIRNET_HAS_AVX2)
#define MIRNET_NAME_AVX2 _avx2
#else
#define MIRNET_NAME_AVX2
#endif
#if defined(MIRNET_HAS_SSE2)
#define MIRNET_NAME_SSE2 _sse2
#else
#define MIRNET_NAME_SSE2
#endif
#if defined(MIRNET_HAS_NATIVE)
#define MIRNET_NAME_NATIVE MIRNET_CAT(_native_, MIRNET_ISA)
#else
#define MIRNET_NAME_NATIVE
#endif
#define MIRNET_SETS_NAME_(a, b, c, d, e) sets##a##b##c##d##e
#define MIRNET_SETS_NAME(a, b, c, d, e) MIRNET_SETS_NAME_(a, b, c, d, e)
#define MIRNET_SETS \
  MIRNET_SETS_NAME(MIRNET_NAME_AVX512BF16, MIRNET_NAME_AVX512, MIRNET_NAME_AVX2, MIRNET_NAME_SSE2, MIRNET_NAME_NATIVE)

inline namespace MIRNET_SETS {

/// What kernel_sets returns.
inline constexpr std::array linked_sets = {
    KernelSet{},  // so that the list may be empty
#define MIRNET_KERNEL_SET(name, float_name)                                              \
  KernelSet{#name, find_instruction_set(#name)->float_isa, linked::kernels_##float_name, \
            linked::bfloat16_kernels_##name},
#if defined(MIRNET_HAS_AVX512BF16)
    MIRNET_KERNEL_SET(avx512bf16, avx512)
#endif
#if defined(MIRNET_HAS_AVX512)
        MIRNET_KERNEL_SET(avx512, avx512)
#endif
#if defined(MIRNET_HAS_AVX2)
            MIRNET_KERNEL_SET(avx2, avx2)
#endif
#if defined(MIRNET_HAS_SSE2)
                MIRNET_KERNEL_SET(sse2, sse2)
#endif
#undef MIRNET_KERNEL_SET
#if defined(MIRNET_HAS_NATIVE)
                    KernelSet{MIRNET_ISA_NAME, MIRNET_ISA_NAME, linked::MIRNET_CAT(kernels_, MIRNET_ISA),
#if MIRNET_NO_SIMD
                              nullptr},
#else
                              linked::MIRNET_CAT(bfloat16_kernels_, MIRNET_ISA)},
#endif
#endif
};

/// All sets whose kernels are linked into this program, the best first, whether the machine has them or not.
constexpr std::span<KernelSet const> kernel_sets() noexcept { return std::span(linked_sets).subspan(1); }

/// The set with this name; without a name, the best that this machine has. Errors: invalid_argument, where the program
/// or the machine lacks the set; the message names the available sets.
inline Result<KernelSet const*> choose_kernel_set(std::optional<std::string_view> name = std::nullopt) noexcept {
  return choose_kernel_set(kernel_sets(), name);
}

/// The kernels of T of the set that choose_kernel_set chooses. Errors: as choose_kernel_set; invalid_argument, where
/// the set has no kernels of T.
template <class T = float>
Result<KernelTable<T> const*> choose_kernels(std::optional<std::string_view> name = std::nullopt) noexcept {
  auto const set = choose_kernel_set(name);
  if (!set) return set.error();
  auto const* const kernels = (*set)->template kernels_of<T>();
  if (kernels == nullptr) {
    return Error(ErrorCode::invalid_argument, "%s: the instruction set has no kernels of bfloat16", (*set)->name);
  }
  return kernels;
}

}  // namespace MIRNET_SETS

}  // namespace mirnet::inline MIRNET_ABI

// The kernels of one instruction set, behind functions whose names say which. Compiled once for each set with its
// flags; nothing but the kernels is included, so that no other function of this object can end up in the plain path
// of the program. (CMake's mirnet_add_kernels compiles this file; its comments say what the flags have to be.)
#include <mirnet/kernels/native.hpp>

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

// Not in the namespace of the set, in whose name only its kernels are: kernel_sets.hpp declares them for all sets.
namespace mirnet::inline MIRNET_ABI::linked {

#if !defined(MIRNET_ONLY_BFLOAT16)
KernelTable<float> const* MIRNET_CAT(kernels_, MIRNET_ISA)() noexcept;
KernelTable<float> const* MIRNET_CAT(kernels_, MIRNET_ISA)() noexcept { return &native_kernels<float>(); }
#endif

#if !MIRNET_NO_SIMD
KernelTable<bfloat16> const* MIRNET_CAT(bfloat16_kernels_, MIRNET_ISA)() noexcept;
KernelTable<bfloat16> const* MIRNET_CAT(bfloat16_kernels_, MIRNET_ISA)() noexcept {
  return &native_kernels<bfloat16>();
}
#endif

}  // namespace mirnet::inline MIRNET_ABI::linked

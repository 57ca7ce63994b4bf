// The kernels of one instruction set, returned by functions that are named after it. Compile this file once for each
// set with the set's flags; CMake's mirnet_add_kernels does so, and its comments explain the flags. The file includes
// nothing but the kernels, so that the rest of the program cannot end up with a function of this object.
#include <mirnet/kernels/native.hpp>

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

// Outside the set's inline namespace, which only its kernels use: kernel_sets.hpp declares these functions for all
// sets.
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

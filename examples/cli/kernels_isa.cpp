// The kernels of one instruction set, behind a function whose name says which. Compiled once for each set with its
// flags; nothing but the kernels is included, so that no other function of this object can end up in the plain path
// of the program.
#include <mirnet/kernels/native.hpp>

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

#if !defined(MIRNET_ONLY_BFLOAT16)
extern "C" mirnet::KernelTable<float> const* MIRNET_CAT(mirnet_kernels_, MIRNET_ISA)() noexcept {
  return &mirnet::native_kernels<float>();
}
#endif

#if !MIRNET_NO_SIMD
extern "C" mirnet::KernelTable<mirnet::bfloat16> const* MIRNET_CAT(mirnet_bfloat16_kernels_, MIRNET_ISA)() noexcept {
  return &mirnet::native_kernels<mirnet::bfloat16>();
}
#endif

# The kernels, compiled once for every instruction set that one program is to carry.
#
#   mirnet_add_isa_kernels(TARGET sse2 avx2 avx512 avx512bf16)
#
# links TARGET with one object for each instruction set, made from examples/cli/kernels_isa.cpp, and defines
# MIRNET_HAS_SSE2=1 and so on for its sources. On other architectures than x86 the compiler's own flags decide:
# there is one object, and MIRNET_HAS_NATIVE=1.
#
# Objects for different instruction sets share a program only if they share no function: the linker would keep one
# copy, and the plain path could end up in code that the machine cannot run. So names carry the instruction set
# (the library's inline namespace, xsimd's renamed namespace), everything else is inlined whatever the build type,
# nothing is optimised across objects, and the test isa_symbols looks at what is left.

include(CheckCXXSourceCompiles)
include(CheckCXXSourceRuns)

check_cxx_source_compiles("
#if !defined(__x86_64__) && !defined(__i386__)
#error another architecture
#endif
int main() {}" MIRNET_TARGET_IS_X86)
check_cxx_source_compiles("
#if !defined(__x86_64__)
#error another architecture
#endif
int main() {}" MIRNET_TARGET_IS_X86_64)

# What config.hpp asks of each name, and no more. -march comes first to take back what the user's flags
# (-march=native, say) allow.
set(MIRNET_ISA_FLAGS_sse2 -msse2)
set(MIRNET_ISA_FLAGS_avx2 -mavx2 -mfma)
set(MIRNET_ISA_FLAGS_avx512 -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl -mfma)
# The instructions add nothing for float.
set(MIRNET_ISA_FLAGS_avx512bf16 ${MIRNET_ISA_FLAGS_avx512} -mavx512bf16)
set(MIRNET_ISA_DEFINITIONS_avx512bf16 MIRNET_ONLY_BFLOAT16)
# What avx512bf16 computes, for tests on machines without it.
set(MIRNET_ISA_FLAGS_emulated -msse2)
set(MIRNET_ISA_DEFINITIONS_emulated MIRNET_ONLY_BFLOAT16 MIRNET_EMULATE_PAIR_PRODUCTS=1)
if(MIRNET_TARGET_IS_X86_64)
  set(MIRNET_ISA_FLAGS_baseline -march=x86-64)
else()
  set(MIRNET_ISA_FLAGS_baseline -mfpmath=sse)
endif()

# Sanitized, GCC 12 takes minutes for the kernels at -O3, and a minute for each set that this machine cannot run anyway.
set(MIRNET_KERNELS_OPTIMISATION -O3)
set(MIRNET_LEFT_OUT "")
if(MINGW OR NOT MIRNET_TARGET_IS_X86_64)
  # Many builds of GCC for Windows spill registers of 32 bytes to a stack that is aligned to 16 (GCC bug 54412).
  # Processors with AVX run 64-bit programs.
  set(MIRNET_LEFT_OUT "^avx")
endif()
if(MIRNET_SANITIZE)
  set(MIRNET_KERNELS_OPTIMISATION -O1)
  if(MIRNET_TARGET_IS_X86)
    check_cxx_source_runs("int main() { return __builtin_cpu_supports(\"avx512f\") ? 0 : 1; }" MIRNET_HOST_HAS_AVX512)
    if(NOT MIRNET_HOST_HAS_AVX512)
      set(MIRNET_LEFT_OUT "^avx512")
    endif()
  endif()
endif()

set(MIRNET_KERNELS_SOURCE ${PROJECT_SOURCE_DIR}/examples/cli/kernels_isa.cpp)

# mirnet_kernels_<isa>: the object library of one instruction set, made at its first use.
function(mirnet_add_isa_object isa)
  if(TARGET mirnet_kernels_${isa})
    return()
  endif()
  add_library(mirnet_kernels_${isa} OBJECT ${MIRNET_KERNELS_SOURCE})
  target_link_libraries(mirnet_kernels_${isa} PRIVATE mirnet::mirnet mirnet_warnings)
  target_compile_options(mirnet_kernels_${isa} PRIVATE
    ${MIRNET_KERNELS_OPTIMISATION} -fno-lto -fno-exceptions -ffp-contract=off ${ARGN})
  string(TOUPPER ${isa} upper)
  target_compile_definitions(mirnet_kernels_${isa}
    PRIVATE xsimd=mirnet_xsimd_${isa} ${MIRNET_ISA_DEFINITIONS_${isa}} INTERFACE MIRNET_HAS_${upper}=1)
  set_property(GLOBAL APPEND PROPERTY MIRNET_ISA_OBJECTS ${isa})
endfunction()

function(mirnet_add_isa_kernels target)
  if(MIRNET_TARGET_IS_X86 AND MIRNET_SIMD)
    foreach(isa IN LISTS ARGN)
      if(MIRNET_LEFT_OUT AND isa MATCHES "${MIRNET_LEFT_OUT}")
        continue()
      endif()
      if(NOT DEFINED MIRNET_ISA_FLAGS_${isa})
        message(FATAL_ERROR "mirnet_add_isa_kernels: no flags are known for ${isa}")
      endif()
      mirnet_add_isa_object(${isa} ${MIRNET_ISA_FLAGS_baseline} ${MIRNET_ISA_FLAGS_${isa}})
      target_link_libraries(${target} PRIVATE mirnet_kernels_${isa})
    endforeach()
  else()
    mirnet_add_isa_object(native)
    target_link_libraries(${target} PRIVATE mirnet_kernels_native)
  endif()
endfunction()

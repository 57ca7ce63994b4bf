// Every macro that a user of the library may set before including it, and the name of the instruction set that the
// current translation unit is compiled for.
//
//   MIRNET_ASSERT(condition)   checks the contract of a call; the default is the standard assert
//   MIRNET_FATAL(message)      ends the program where exceptions are off and .value() has no value; default: abort
//   MIRNET_VSNPRINTF(...)      puts together the sentences of errors, with the arguments of std::vsnprintf, which is
//                              the default. It is asked for %%, %s, and %c, %d, %u, %x of every length, here and
//                              there with zeros in front; io/ asks for %f and %g as well, ops/ for %g. (Newlib's nano
//                              variant does not know %lld.)
//   MIRNET_EXCEPTIONS          1 or 0; follows the compiler's setting by default
//   MIRNET_NO_SIMD             1 takes the plain kernels, without xsimd, whatever the compiler flags allow; default: 0
//   MIRNET_KEEP_FLOAT_MODE     1 leaves the processor's floating-point mode alone, which runs otherwise set while they
//                              compute (runtime/float_mode.hpp) and then restore; default: 0
//   MIRNET_STB_IMPLEMENTATION  0 only declares stb's functions; the application compiles their implementation
//                              (io/stb.hpp); default: 1
//   MIRNET_REPORT_MOVED_HEADERS    1 makes the compiler print the new path of each included header that has moved, as a
//                              note, which -Werror does not turn into an error; default: 0
//   MIRNET_EMULATE_PAIR_PRODUCTS   1 computes with bfloat16 as processors with AVX512_BF16 do, slowly: for tests of
//                              that path on others; default: 0
#pragma once

#include <mirnet/version.hpp>

#ifndef MIRNET_ASSERT
#include <cassert>
#define MIRNET_ASSERT(condition) assert(condition)
#endif

#ifndef MIRNET_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MIRNET_EXCEPTIONS 1
#else
#define MIRNET_EXCEPTIONS 0
#endif
#endif

#ifndef MIRNET_FATAL
#include <cstdlib>
#define MIRNET_FATAL(message) std::abort()
#endif

#ifndef MIRNET_VSNPRINTF
#include <cstdio>
#define MIRNET_VSNPRINTF(...) std::vsnprintf(__VA_ARGS__)
#endif

#ifndef MIRNET_NO_SIMD
#define MIRNET_NO_SIMD 0
#endif

#ifndef MIRNET_KEEP_FLOAT_MODE
#define MIRNET_KEEP_FLOAT_MODE 0
#endif

#ifndef MIRNET_STB_IMPLEMENTATION
#define MIRNET_STB_IMPLEMENTATION 1
#endif

#ifndef MIRNET_REPORT_MOVED_HEADERS
#define MIRNET_REPORT_MOVED_HEADERS 0
#endif

#ifndef MIRNET_EMULATE_PAIR_PRODUCTS
#define MIRNET_EMULATE_PAIR_PRODUCTS 0
#endif

// The widest instruction set that the compiler flags allow, a row of simd/instruction_set.hpp. `scalar` has no SIMD.
#if MIRNET_NO_SIMD
#define MIRNET_REGISTER_ISA scalar
#elif defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__) && defined(__FMA__)
#if defined(__AVX512BF16__)
#define MIRNET_REGISTER_ISA avx512bf16
#else
#define MIRNET_REGISTER_ISA avx512
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#define MIRNET_REGISTER_ISA avx2
#elif defined(__SSE2__)
#define MIRNET_REGISTER_ISA sse2
#elif defined(__ARM_NEON)
#define MIRNET_REGISTER_ISA neon
#elif defined(__wasm_simd128__)
#error "mirnet's kernels need -msse2 beside -msimd128; with MIRNET_NO_SIMD=1, plain ones take many times as long"
#else
#undef MIRNET_NO_SIMD
#define MIRNET_NO_SIMD 1
#define MIRNET_REGISTER_ISA scalar
#endif

// The inline namespace of the set's kernels, so that objects compiled for different sets can be linked into one
// program. `emulated` uses the registers of another set.
#if MIRNET_EMULATE_PAIR_PRODUCTS && !MIRNET_NO_SIMD
#define MIRNET_ISA emulated
#else
#define MIRNET_ISA MIRNET_REGISTER_ISA
#endif

#define MIRNET_STRINGIFY_(x) #x
#define MIRNET_STRINGIFY(x) MIRNET_STRINGIFY_(x)
#define MIRNET_ISA_NAME MIRNET_STRINGIFY(MIRNET_ISA)

#if defined(__GNUC__) || defined(__clang__)
#if defined(__MINGW32__) && !defined(__clang__)
// Its `printf` is that of Windows' old C library, which C++ programs do not get.
#define MIRNET_PRINTF(format_index, first_argument) __attribute__((format(gnu_printf, format_index, first_argument)))
#else
#define MIRNET_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#endif
#define MIRNET_ALWAYS_INLINE inline __attribute__((always_inline))
#define MIRNET_INLINE_LAMBDA __attribute__((always_inline))
#define MIRNET_NOINLINE __attribute__((noinline))
#else
#define MIRNET_PRINTF(format_index, first_argument)
#define MIRNET_ALWAYS_INLINE inline
#define MIRNET_INLINE_LAMBDA
#define MIRNET_NOINLINE
#endif

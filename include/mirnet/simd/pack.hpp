// One register of floats: the only header that knows xsimd, its versions and the width of a register. Kernels are
// written in these few operations, so that what an xsimd release renames or gets wrong is mended here.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <mirnet/base/half.hpp>
#include <mirnet/config.hpp>

#include <xsimd/xsimd.hpp>

namespace mirnet::inline v0::inline MIRNET_ISA::simd {

// Named by the same macros that name MIRNET_ISA, and never xsimd::default_arch: releases differ in what that is.
#if defined(__AVX512BW__)
using Architecture = xsimd::avx512bw;
#elif defined(__AVX2__) && defined(__FMA__)
using Architecture = xsimd::fma3<xsimd::avx2>;
#elif defined(__SSE2__)
using Architecture = xsimd::sse2;
#elif defined(__aarch64__)
using Architecture = xsimd::neon64;
#else
using Architecture = xsimd::neon;
#endif

using Pack = xsimd::batch<float, Architecture>;
inline constexpr std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(Pack::size);

MIRNET_ALWAYS_INLINE Pack load(float const* p) noexcept { return Pack::load_unaligned(p); }
MIRNET_ALWAYS_INLINE void store(float* p, Pack v) noexcept { v.store_unaligned(p); }

// Of bfloat16, in loops that compilers turn into a few instructions.
MIRNET_ALWAYS_INLINE Pack load(bfloat16 const* p) noexcept {
  alignas(64) float wide[lanes];
  for (std::ptrdiff_t i = 0; i < lanes; ++i) wide[i] = std::bit_cast<float>(std::uint32_t{p[i].bits} << 16);
  return Pack::load_aligned(wide);
}
MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  alignas(64) float wide[lanes];
  v.store_aligned(wide);
  for (std::ptrdiff_t i = 0; i < lanes; ++i) p[i].bits = to_bfloat16(wide[i]);
}

MIRNET_ALWAYS_INLINE Pack broadcast(float v) noexcept { return Pack(v); }

/// x*y + z, rounded once where the machine can. xsimd before 11.0 leaves the AVX-512 form to the compiler's
/// contraction, which this library turns off.
MIRNET_ALWAYS_INLINE Pack fma(Pack x, Pack y, Pack z) noexcept {
#if XSIMD_VERSION_MAJOR < 11 && defined(__AVX512BW__)
  return Pack(_mm512_fmadd_ps(x, y, z));
#else
  return xsimd::fma(x, y, z);
#endif
}

/// Where x > y, else: a NaN in x gives y. Releases of xsimd differ in what max does with a NaN.
MIRNET_ALWAYS_INLINE Pack larger(Pack x, Pack y) noexcept { return xsimd::select(x > y, x, y); }

/// x where it is positive, else x*slope.
MIRNET_ALWAYS_INLINE Pack prelu(Pack x, Pack slope) noexcept {
  return xsimd::select(x > broadcast(0.0f), x, x * slope);
}

/// 1 / (1 + exp(-x)), within 2.5 units in the last place.
MIRNET_ALWAYS_INLINE Pack sigmoid(Pack x) noexcept {
  Pack const one = broadcast(1.0f);
  return one / (one + xsimd::exp(-x));
}

MIRNET_ALWAYS_INLINE Pack exp(Pack x) noexcept { return xsimd::exp(x); }

MIRNET_ALWAYS_INLINE float sum_of_lanes(Pack v) noexcept {
#if XSIMD_VERSION_MAJOR < 9
  return xsimd::hadd(v);
#else
  return xsimd::reduce_add(v);
#endif
}

MIRNET_ALWAYS_INLINE float largest_lane(Pack v) noexcept {
  alignas(64) float lane[lanes];
  store(lane, v);
  float largest = lane[0];
  for (std::ptrdiff_t i = 1; i < lanes; ++i) largest = lane[i] > largest ? lane[i] : largest;
  return largest;
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA::simd

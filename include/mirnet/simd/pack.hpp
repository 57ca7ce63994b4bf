// One register of floats: the only header that knows xsimd, its versions and the width of a register. Kernels are
// written in these few operations, so that what an xsimd release renames or gets wrong is mended here.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <mirnet/base/half.hpp>
#include <mirnet/config.hpp>
#include <mirnet/simd/instruction_set.hpp>
#include <mirnet/tensor/shape.hpp>

// GCC 12 takes what its own intrinsics leave undefined for a mistake (bug 105593): hundreds of warnings, and it reports
// them though these are system headers.
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

// Unlike this library, xsimd does not stand an application's macros of these names (<windows.h> has them).
#pragma push_macro("min")
#pragma push_macro("max")
#undef min
#undef max
#include <xsimd/xsimd.hpp>  // not found? Debian: libxsimd-dev; or set MIRNET_NO_SIMD=1 for plain kernels without it
#pragma pop_macro("max")
#pragma pop_macro("min")
#if XSIMD_VERSION_MAJOR * 100 + XSIMD_VERSION_MINOR < 801
#error "this xsimd is too old: mirnet needs 8.1 or newer"
#endif

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::simd {

// Loops over constants that must unroll completely, or what they keep in registers would live in memory.
#define MIRNET_UNROLL _Pragma("GCC unroll 16")

// xsimd's name of the set, and never xsimd::default_arch, which differs between releases.
#if MIRNET_SET_HAS_ZMM
using Architecture = xsimd::avx512bw;
#elif MIRNET_SET == MIRNET_SET_avx2
using Architecture = xsimd::fma3<xsimd::avx2>;
#elif MIRNET_SET == MIRNET_SET_sse2
using Architecture = xsimd::sse2;
#elif MIRNET_SET == MIRNET_SET_neon && defined(__aarch64__)
using Architecture = xsimd::neon64;
#elif MIRNET_SET == MIRNET_SET_neon && defined(__arm__)
using Architecture = xsimd::neon;  // which flushes subnormal numbers to zero
#else
#error "simd/pack.hpp has no registers for this instruction set: take the plain kernels (kernels/reference.hpp)"
#endif

using Pack = xsimd::batch<float, Architecture>;
inline constexpr std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(Pack::size);
static_assert(lanes == own_set.lanes && sizeof(Pack) == static_cast<std::size_t>(own_set.register_bytes),
              "xsimd's registers are those of simd/instruction_set.hpp");
static_assert(lanes * static_cast<std::ptrdiff_t>(sizeof(float)) == own_set.register_bytes,
              "a register holds nothing but its lanes");
static_assert(channels_per_line<float> % lanes == 0 && channels_per_line<bfloat16> % lanes == 0,
              "whole registers make up a line of channels");
static_assert(alignment_bytes % alignof(Pack) == 0, "maps and weights start where a register may");

MIRNET_ALWAYS_INLINE Pack load(float const* p) noexcept { return Pack::load_unaligned(p); }
MIRNET_ALWAYS_INLINE void store(float* p, Pack v) noexcept { v.store_unaligned(p); }

// Of bfloat16: the upper halves of floats. xsimd has no such conversion, and what compilers make of a loop goes through
// memory. Rounded is as in to_bfloat16.
MIRNET_ALWAYS_INLINE Pack load(bfloat16 const* p) noexcept {
#if MIRNET_SET_HAS_ZMM
  __m256i const halves = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
  return Pack(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16)));
#elif MIRNET_SET == MIRNET_SET_avx2
  __m128i const halves = _mm_loadu_si128(reinterpret_cast<__m128i const*>(p));
  return Pack(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16)));
#elif MIRNET_SET == MIRNET_SET_sse2
  __m128i const halves = _mm_loadl_epi64(reinterpret_cast<__m128i const*>(p));
  return Pack(_mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), halves)));
#elif MIRNET_SET == MIRNET_SET_neon
  return Pack(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(&p->bits), 16)));
#endif
}

#if MIRNET_SET == MIRNET_SET_avx512bf16
// One instruction; numbers below the normal ones become zero, as they do in the arithmetic of a run (FloatMode).
MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}
#elif MIRNET_SET_HAS_ZMM
namespace detail {
/// The nearest bfloat16 in the upper half of each lane; of a NaN, anything.
MIRNET_ALWAYS_INLINE __m512i rounded(__m512i bits) noexcept {
  __mmask16 const odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
  __m512i const up = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
  return _mm512_mask_add_epi32(up, odd, up, _mm512_set1_epi32(1));
}
MIRNET_ALWAYS_INLINE __m512i rounded_or_nan(__m512 x) noexcept {
  __m512i const bits = _mm512_castps_si512(x);
  __mmask16 const nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded(bits), nan, bits, _mm512_set1_epi32(0x00400000));
}
MIRNET_ALWAYS_INLINE __m512i rounded(__m512 x) noexcept { return rounded(_mm512_castps_si512(x)); }
MIRNET_ALWAYS_INLINE bool has_nan(__m512 x, __m512 y) noexcept { return _mm512_cmp_ps_mask(x, y, _CMP_UNORD_Q) != 0; }
MIRNET_ALWAYS_INLINE void store_halves(bfloat16* p, bfloat16* q, __m512i packed) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(packed));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_extracti64x4_epi64(packed, 1));
}
/// The upper halves of x, then those of y.
MIRNET_ALWAYS_INLINE __m512i upper_halves(__m512i x, __m512i y) noexcept {
  __m512i const odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33,  //
                                       31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(x, odd, y);
}
}  // namespace detail

MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  __m512i const halves = _mm512_srli_epi32(detail::rounded_or_nan(v), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(halves));
}
#elif MIRNET_SET == MIRNET_SET_avx2
namespace detail {
/// The nearest bfloat16 in the upper half of each lane; of a NaN, anything.
MIRNET_ALWAYS_INLINE __m256i rounded(__m256i bits) noexcept {
  __m256i const odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
}
MIRNET_ALWAYS_INLINE __m256i rounded_or_nan(__m256 x) noexcept {
  __m256i const bits = _mm256_castps_si256(x), quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
  return _mm256_blendv_epi8(rounded(bits), quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
MIRNET_ALWAYS_INLINE __m256i rounded(__m256 x) noexcept { return rounded(_mm256_castps_si256(x)); }
MIRNET_ALWAYS_INLINE bool has_nan(__m256 x, __m256 y) noexcept {
  return _mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_UNORD_Q)) != 0;
}
MIRNET_ALWAYS_INLINE void store_halves(bfloat16* p, bfloat16* q, __m256i packed) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm256_extracti128_si256(packed, 1));
}
/// The upper halves of x, then those of y. Signed halves fit the saturating pack, which works within halves of the
/// register.
MIRNET_ALWAYS_INLINE __m256i upper_halves(__m256i x, __m256i y) noexcept {
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_srai_epi32(x, 16), _mm256_srai_epi32(y, 16)), 0xD8);
}
}  // namespace detail

MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  __m256i const x = detail::rounded_or_nan(v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(detail::upper_halves(x, x)));
}
#elif MIRNET_SET == MIRNET_SET_sse2
namespace detail {
/// The nearest bfloat16 in the upper half of each lane; of a NaN, anything.
MIRNET_ALWAYS_INLINE __m128i rounded(__m128i bits) noexcept {
  __m128i const odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
  return _mm_add_epi32(bits, _mm_add_epi32(odd, _mm_set1_epi32(0x7FFF)));
}
MIRNET_ALWAYS_INLINE __m128i rounded_or_nan(__m128 x) noexcept {
  __m128i const bits = _mm_castps_si128(x), nan = _mm_castps_si128(_mm_cmpunord_ps(x, x));
  __m128i const quiet = _mm_or_si128(bits, _mm_set1_epi32(0x00400000));
  return _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, rounded(bits)));
}
MIRNET_ALWAYS_INLINE __m128i rounded(__m128 x) noexcept { return rounded(_mm_castps_si128(x)); }
MIRNET_ALWAYS_INLINE bool has_nan(__m128 x, __m128 y) noexcept { return _mm_movemask_ps(_mm_cmpunord_ps(x, y)) != 0; }
MIRNET_ALWAYS_INLINE void store_halves(bfloat16* p, bfloat16* q, __m128i packed) noexcept {
  _mm_storel_pi(reinterpret_cast<__m64*>(p), _mm_castsi128_ps(packed));
  _mm_storeh_pi(reinterpret_cast<__m64*>(q), _mm_castsi128_ps(packed));
}
/// The upper halves of x, then those of y, which as signed numbers fit the saturating pack.
MIRNET_ALWAYS_INLINE __m128i upper_halves(__m128i x, __m128i y) noexcept {
  return _mm_packs_epi32(_mm_srai_epi32(x, 16), _mm_srai_epi32(y, 16));
}
}  // namespace detail

MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  __m128i const x = detail::rounded_or_nan(v);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), detail::upper_halves(x, x));
}
#elif MIRNET_SET == MIRNET_SET_neon
MIRNET_ALWAYS_INLINE void store(bfloat16* p, Pack v) noexcept {
  float32x4_t const x = v;
  uint32x4_t const bits = vreinterpretq_u32_f32(x);
  uint32x4_t const nan = vcgtq_u32(vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF)), vdupq_n_u32(0x7F800000));
  uint32x4_t const odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  uint32x4_t const rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
  uint32x4_t const quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
  vst1_u16(&p->bits, vshrn_n_u32(vbslq_u32(nan, quiet, rounded), 16));
}
#endif

// Two registers to two places: of bfloat16, one test for NaN and one pack for both.
#if MIRNET_SET == MIRNET_SET_avx512 || MIRNET_SET == MIRNET_SET_avx2 || MIRNET_SET == MIRNET_SET_sse2
MIRNET_ALWAYS_INLINE void store_two(bfloat16* p, Pack v, bfloat16* q, Pack w) noexcept {
  Pack::register_type const x = v, y = w;
  auto packed = detail::upper_halves(detail::rounded(x), detail::rounded(y));
  if (detail::has_nan(x, y)) [[unlikely]] {
    packed = detail::upper_halves(detail::rounded_or_nan(x), detail::rounded_or_nan(y));
  }
  detail::store_halves(p, q, packed);
}
#else
MIRNET_ALWAYS_INLINE void store_two(bfloat16* p, Pack v, bfloat16* q, Pack w) noexcept {
  store(p, v);
  store(q, w);
}
#endif
MIRNET_ALWAYS_INLINE void store_two(float* p, Pack v, float* q, Pack w) noexcept {
  store(p, v);
  store(q, w);
}

// Two registers of neighbours in an order of their own, the same for all numbers of a type: bfloat16 are those at even
// and those at odd positions, which takes half of the instructions to widen and to pack.
#if MIRNET_SET == MIRNET_SET_avx2
MIRNET_ALWAYS_INLINE void load_in_own_order(bfloat16 const* p, Pack& v, Pack& w) noexcept {
  __m256i const both = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
  v = Pack(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)));
  w = Pack(_mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-0x10000))));
}
MIRNET_ALWAYS_INLINE void store_in_own_order(bfloat16* p, Pack v, Pack w) noexcept {
  __m256 const x = v, y = w;
  __m256i even = detail::rounded(x), odd = detail::rounded(y);
  if (detail::has_nan(x, y)) [[unlikely]]
    even = detail::rounded_or_nan(x), odd = detail::rounded_or_nan(y);
  __m256i const both = _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), both);
}
#elif MIRNET_SET == MIRNET_SET_sse2
MIRNET_ALWAYS_INLINE void load_in_own_order(bfloat16 const* p, Pack& v, Pack& w) noexcept {
  __m128i const both = _mm_loadu_si128(reinterpret_cast<__m128i const*>(p));
  v = Pack(_mm_castsi128_ps(_mm_slli_epi32(both, 16)));
  w = Pack(_mm_castsi128_ps(_mm_and_si128(both, _mm_set1_epi32(-0x10000))));
}
MIRNET_ALWAYS_INLINE void store_in_own_order(bfloat16* p, Pack v, Pack w) noexcept {
  __m128 const x = v, y = w;
  __m128i even = detail::rounded(x), odd = detail::rounded(y);
  if (detail::has_nan(x, y)) [[unlikely]]
    even = detail::rounded_or_nan(x), odd = detail::rounded_or_nan(y);
  odd = _mm_and_si128(odd, _mm_set1_epi32(-0x10000));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_or_si128(_mm_srli_epi32(even, 16), odd));
}
#else
MIRNET_ALWAYS_INLINE void load_in_own_order(bfloat16 const* p, Pack& v, Pack& w) noexcept {
  v = load(p);
  w = load(p + lanes);
}
MIRNET_ALWAYS_INLINE void store_in_own_order(bfloat16* p, Pack v, Pack w) noexcept { store_two(p, v, p + lanes, w); }
#endif
MIRNET_ALWAYS_INLINE void load_in_own_order(float const* p, Pack& v, Pack& w) noexcept {
  v = load(p);
  w = load(p + lanes);
}
MIRNET_ALWAYS_INLINE void store_in_own_order(float* p, Pack v, Pack w) noexcept { store_two(p, v, p + lanes, w); }

/// `count` registers, one behind the other.
template <int count, class T>
MIRNET_ALWAYS_INLINE void store_all(T* p, Pack const* v) noexcept {
  MIRNET_UNROLL for (int i = 0; i + 1 < count; i += 2) store_two(p + i * lanes, v[i], p + (i + 1) * lanes, v[i + 1]);
  if constexpr (count % 2 != 0) store(p + (count - 1) * lanes, v[count - 1]);
}

// The line of memory that holds an address, which may be any: soon to be read, soon to be written, or to be read later
// (into the second-level cache).
#if defined(__GNUC__) || defined(__clang__)
MIRNET_ALWAYS_INLINE void prefetch(void const* p) noexcept { __builtin_prefetch(p); }
MIRNET_ALWAYS_INLINE void prefetch_to_write(void const* p) noexcept { __builtin_prefetch(p, 1); }
MIRNET_ALWAYS_INLINE void prefetch_far(void const* p) noexcept { __builtin_prefetch(p, 0, 2); }
#else
MIRNET_ALWAYS_INLINE void prefetch(void const*) noexcept {}
MIRNET_ALWAYS_INLINE void prefetch_to_write(void const*) noexcept {}
MIRNET_ALWAYS_INLINE void prefetch_far(void const*) noexcept {}
#endif

MIRNET_ALWAYS_INLINE Pack broadcast(float v) noexcept { return Pack(v); }

/// The number at p in all lanes.
MIRNET_ALWAYS_INLINE Pack broadcast_from(float const* p) noexcept {
#if defined(__arm__)
  return Pack(vld1q_dup_f32(p));  // of a value, GCC makes a detour through a register for integers
#else
  return broadcast(*p);
#endif
}

/// x*y + z, rounded once where the machine can. xsimd before 11.0 leaves the AVX-512 form to the compiler's
/// contraction, which this library turns off.
MIRNET_ALWAYS_INLINE Pack fma(Pack x, Pack y, Pack z) noexcept {
#if XSIMD_VERSION_MAJOR < 11 && MIRNET_SET_HAS_ZMM
  return Pack(_mm512_fmadd_ps(x, y, z));
#else
  return xsimd::fma(x, y, z);
#endif
}

/// sum += x*y, as fma() rounds it, in the register that sum has. Of many sums in a loop, GCC moves some from register
/// to register.
MIRNET_ALWAYS_INLINE void accumulate(Pack& sum, Pack x, Pack y) noexcept {
#if (MIRNET_SET_HAS_ZMM || MIRNET_SET == MIRNET_SET_avx2) && defined(__GNUC__)
  Pack::register_type in_place = sum;
  __asm__("vfmadd231ps %2, %1, %0"
          : "+v"(in_place)
          : "v"(static_cast<Pack::register_type>(x)), "v"(static_cast<Pack::register_type>(y)));
  sum = Pack(in_place);
#else
  sum = fma(x, y, sum);
#endif
}

/// The same with the number at x in all lanes.
MIRNET_ALWAYS_INLINE void accumulate(Pack& sum, float const* x, Pack y) noexcept {
#if MIRNET_SET_HAS_ZMM && defined(__GNUC__)
  Pack::register_type in_place = sum;
  __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(in_place) : "v"(static_cast<Pack::register_type>(y)), "m"(*x));
  sum = Pack(in_place);
#else
  accumulate(sum, broadcast_from(x), y);
#endif
}

inline constexpr bool has_lane_products = own_set.lane_products;

#if MIRNET_SET == MIRNET_SET_neon && defined(__aarch64__)
static_assert(has_lane_products);

/// a + x*y[lane], rounded once. The processor takes a lane of a register as a factor: of a matrix's row, four elements
/// are one load and not four.
template <int lane>
MIRNET_ALWAYS_INLINE Pack fma_lane(Pack x, Pack y, Pack a) noexcept {
  return Pack(vfmaq_laneq_f32(a, x, y, lane));
}
#else
static_assert(!has_lane_products);

template <int lane>
Pack fma_lane(Pack x, Pack y, Pack a) noexcept = delete;
#endif

/// x / y, rounded once. xsimd's quotient on ARM is an estimate that two Newton steps improve, on AArch64 too, which has
/// the instruction; 32-bit NEON has none, and one is divided after the other.
MIRNET_ALWAYS_INLINE Pack divide(Pack x, Pack y) noexcept {
#if MIRNET_SET == MIRNET_SET_neon
  return Pack(static_cast<float32x4_t>(x) / static_cast<float32x4_t>(y));
#else
  return x / y;
#endif
}

/// a where x > y, else b.
MIRNET_ALWAYS_INLINE Pack where_greater(Pack x, Pack y, Pack a, Pack b) noexcept {
#if defined(__arm__) && defined(__GNUC__)
  // As NEON takes small numbers for zero, GCC makes comparisons one by one of the intrinsic.
  uint32x4_t greater;
  __asm__("vcgt.f32 %q0, %q1, %q2"
          : "=w"(greater)
          : "w"(static_cast<float32x4_t>(x)), "w"(static_cast<float32x4_t>(y)));
  return Pack(vbslq_f32(greater, a, b));
#else
  return xsimd::select(x > y, a, b);
#endif
}

/// a where x is NaN, else b. (The result of x != x for NaN differs between releases of xsimd.)
MIRNET_ALWAYS_INLINE Pack where_nan(Pack x, Pack a, Pack b) noexcept { return xsimd::select(xsimd::isnan(x), a, b); }

/// Where x > y, else: a NaN in x gives y. Releases of xsimd differ in what max does with a NaN.
MIRNET_ALWAYS_INLINE Pack larger(Pack x, Pack y) noexcept { return where_greater(x, y, x, y); }

/// x where it is positive, else x*slope.
MIRNET_ALWAYS_INLINE Pack prelu(Pack x, Pack slope) noexcept { return where_greater(x, broadcast(0.0f), x, x * slope); }

/// 1 / (1 + exp(-x)), within 2.5 units in the last place.
MIRNET_ALWAYS_INLINE Pack sigmoid(Pack x) noexcept {
  Pack const one = broadcast(1.0f);
  return divide(one, one + xsimd::exp(-x));
}

MIRNET_ALWAYS_INLINE Pack exp(Pack x) noexcept { return xsimd::exp(x); }
MIRNET_ALWAYS_INLINE Pack tanh(Pack x) noexcept { return xsimd::tanh(x); }
MIRNET_ALWAYS_INLINE Pack erf(Pack x) noexcept { return xsimd::erf(x); }

/// x between two bounds; a NaN stays one.
MIRNET_ALWAYS_INLINE Pack clamp(Pack x, Pack low, Pack high) noexcept {
  Pack const raised = where_greater(low, x, low, x);
  return where_greater(raised, high, high, raised);
}

MIRNET_ALWAYS_INLINE float sum_of_lanes(Pack v) noexcept {
#if XSIMD_VERSION_MAJOR < 9
  return xsimd::hadd(v);
#else
  return xsimd::reduce_add(v);
#endif
}

/// The sum of each register's lanes: that of v[i] in lane i. (xsimd 8.1's haddp has them in another order for AVX.)
MIRNET_ALWAYS_INLINE Pack sums_of_lanes(Pack const (&v)[lanes]) noexcept {
  float sums[lanes];
  MIRNET_UNROLL for (std::ptrdiff_t i = 0; i < lanes; ++i) sums[i] = sum_of_lanes(v[i]);
  return load(sums);
}

/// Rounded as std::sqrt is. xsimd's root on 32-bit ARM is an estimate.
MIRNET_ALWAYS_INLINE Pack sqrt(Pack x) noexcept {
#if defined(__arm__)
  float numbers[lanes];
  store(numbers, x);
  for (float& number : numbers) number = std::sqrt(number);
  return load(numbers);
#else
  return xsimd::sqrt(x);
#endif
}

/// The largest lane of a register, half of the lanes at a time; of a NaN or something else, either.
MIRNET_ALWAYS_INLINE float largest_lane(Pack v) noexcept {
#if MIRNET_SET == MIRNET_SET_neon && defined(__aarch64__)
  return vmaxvq_f32(v);
#elif MIRNET_SET == MIRNET_SET_neon
  float32x4_t const x = v;
  float32x2_t const two = vpmax_f32(vget_low_f32(x), vget_high_f32(x));
  return vget_lane_f32(vpmax_f32(two, two), 0);
#else
#if MIRNET_SET_HAS_ZMM
  __m512 const x = v;
  __m256 const eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
#elif MIRNET_SET == MIRNET_SET_avx2
  __m256 const eight = v;
#endif
#if MIRNET_SET == MIRNET_SET_sse2
  __m128 const four = v;
#else
  __m128 const four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#endif
  __m128 const two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
#endif
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::simd

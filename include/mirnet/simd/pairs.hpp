// Products of bfloat16 in pairs: where the processor has them (AVX512_BF16's vdpbf16ps), one instruction multiplies two
// bfloat16 of each 32-bit lane and adds both products to a float. A matrix product is then one of half the depth whose
// elements are pairs: pixels hold their channels in a row, so a pixel is a row of pairs as it lies in memory.
#pragma once

#include <type_traits>

#include <mirnet/base/bit_cast.hpp>
#include <mirnet/base/integer.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::simd {

/// Elements k and k + 1, k even, of a row of A or a column of B.
struct Pair {
  bfloat16 first, second;
};
static_assert(sizeof(Pair) == sizeof(float));

inline constexpr bool has_pair_products = own_set.pair_products || MIRNET_EMULATE_PAIR_PRODUCTS;

#if MIRNET_SET == MIRNET_SET_avx512bf16 && !MIRNET_EMULATE_PAIR_PRODUCTS
using Pairs = __m512i;
MIRNET_ALWAYS_INLINE Pairs load(Pair const* p) noexcept { return _mm512_loadu_si512(p); }
MIRNET_ALWAYS_INLINE Pairs broadcast(Pair v) noexcept {
  Pairs pairs = _mm512_set1_epi32(bit_cast<int>(v));
#if defined(__clang__)
  asm("" : "+v"(pairs));  // clang 16 cannot make the broadcast an operand of the product from memory, and crashes
#endif
  return pairs;
}
MIRNET_ALWAYS_INLINE Pack fma(Pairs x, Pairs y, Pack z) noexcept {
  return Pack(_mm512_dpbf16_ps(z, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y)));
}
/// A register of floats as operands, rounded; denormals are zero, as they are to the products.
MIRNET_ALWAYS_INLINE void store_operands(bfloat16* p, Pack v) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

#else
// What the instruction does, lane by lane: for tests, as it is no faster than to widen the numbers.
static_assert(has_pair_products == bool(MIRNET_EMULATE_PAIR_PRODUCTS));

struct Pairs {
  Pair lane[lanes];
};
MIRNET_ALWAYS_INLINE Pairs load(Pair const* p) noexcept {
  Pairs v;
  for (std::ptrdiff_t i = 0; i < lanes; ++i) v.lane[i] = p[i];
  return v;
}
MIRNET_ALWAYS_INLINE Pairs broadcast(Pair one) noexcept {
  Pairs v;
  for (std::ptrdiff_t i = 0; i < lanes; ++i) v.lane[i] = one;
  return v;
}
MIRNET_ALWAYS_INLINE Pack fma(Pairs const& x, Pairs const& y, Pack z) noexcept {
  float sum[lanes];
  store(sum, z);
  for (std::ptrdiff_t i = 0; i < lanes; ++i) sum[i] += float(x.lane[i].second) * float(y.lane[i].second);
  for (std::ptrdiff_t i = 0; i < lanes; ++i) sum[i] += float(x.lane[i].first) * float(y.lane[i].first);
  return load(sum);
}
MIRNET_ALWAYS_INLINE void store_operands(bfloat16* p, Pack v) noexcept { store(p, v); }
#endif

MIRNET_ALWAYS_INLINE void accumulate(Pack& sum, Pairs const& x, Pairs const& y) noexcept { sum = fma(x, y, sum); }

static_assert(sizeof(Pairs) == sizeof(Pack), "a register of pairs has a pair for each lane of its sums");

MIRNET_ALWAYS_INLINE Pairs broadcast_from(Pair const* p) noexcept { return broadcast(*p); }
/// sum += the products of the pair at x and those of y.
MIRNET_ALWAYS_INLINE void accumulate(Pack& sum, Pair const* x, Pairs const& y) noexcept {
#if MIRNET_SET == MIRNET_SET_avx512bf16 && !MIRNET_EMULATE_PAIR_PRODUCTS && defined(__GNUC__)
  __m512 in_place = sum;
  __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(in_place) : "v"(y), "m"(*x));
  sum = Pack(in_place);
#else
  sum = fma(broadcast_from(x), y, sum);
#endif
}
MIRNET_ALWAYS_INLINE void store_operands(float* p, Pack v) noexcept { store(p, v); }

/// A register of operands, one behind the other: of each lane the number of `first` and, where an operand is a pair,
/// that of `second`.
MIRNET_ALWAYS_INLINE void store_row(float* p, Pack first, Pack) noexcept { store(p, first); }
MIRNET_ALWAYS_INLINE void store_row(Pair* p, Pack first, Pack second) noexcept {
#if MIRNET_SET == MIRNET_SET_avx512bf16 && !MIRNET_EMULATE_PAIR_PRODUCTS
  auto const rounded = [](Pack v) { return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v))); };
  _mm512_storeu_si512(p, _mm512_or_si512(rounded(first), _mm512_slli_epi32(rounded(second), 16)));
#else
  bfloat16 numbers[2][lanes];
  store_operands(numbers[0], first);
  store_operands(numbers[1], second);
  for (std::ptrdiff_t i = 0; i < lanes; ++i) p[i] = {numbers[0][i], numbers[1][i]};
#endif
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::simd

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// What matrix products of maps and weights of T are made of: an element of the depth, or two.
template <class T>
using Operand = std::conditional_t<std::is_same_v<T, bfloat16> && simd::has_pair_products, simd::Pair, float>;

/// One number of an operand.
template <class T>
using OperandNumber = std::conditional_t<std::is_same_v<Operand<T>, simd::Pair>, bfloat16, float>;

template <class T>
inline constexpr Index numbers_an_operand = static_cast<Index>(sizeof(Operand<T>) / sizeof(OperandNumber<T>));

/// Operands of a depth: an odd one is filled up with a zero.
template <class T>
constexpr Index operands(Index depth) noexcept {
  return divide_up(depth, numbers_an_operand<T>);
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

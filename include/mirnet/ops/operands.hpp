// What the operations on maps have in common: which types go together, errors that name both shapes, and loops over
// contiguous numbers. Operations write channels and never padding, so padding of zeros stays zero.
#pragma once

#include <cstdint>
#include <type_traits>

#include <mirnet/base/half.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/config.hpp>
#include <mirnet/tensor/view.hpp>

#if !MIRNET_NO_SIMD
#include <mirnet/simd/pack.hpp>
#endif

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace ops_detail {

template <class To, class... From>
MIRNET_ALWAYS_INLINE constexpr void check_types() noexcept {
  static_assert(!std::is_const_v<To>, "the destination is a view of constants, through which nothing is written");
  static_assert((std::is_same_v<std::remove_const_t<From>, std::remove_const_t<To>> && ...),
                "the maps hold numbers of different types: mirnet::convert makes them alike");
}

template <class T>
MIRNET_ALWAYS_INLINE constexpr void check_arithmetic() noexcept {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16>,
                "there is arithmetic on maps of float, double and bfloat16: mirnet::convert makes them of others");
}

/// "copy: the source has 3x2 pixels of 5 channels, the destination 4x2 of 5; expected the same".
MIRNET_NOINLINE inline Result<void> mismatch(char const* operation, char const* first, Shape a, char const* second,
                                             Shape b, char const* expected) noexcept {
  auto const number = [](Index value) { return static_cast<long long>(value); };
  return Error(ErrorCode::invalid_argument,
               "%s: the %s has %lldx%lld pixels of %lld channels, the %s %lldx%lld of %lld; expected %s", operation,
               first, number(a.width), number(a.height), number(a.channels), second, number(b.width), number(b.height),
               number(b.channels), expected);
}

MIRNET_ALWAYS_INLINE Result<void> check_same(char const* operation, Shape source, Shape destination) noexcept {
  if (source == destination) return {};
  return mismatch(operation, "source", source, "destination", destination, "the same");
}

/// Channels [first, first + count) of a map, which need not be whole lines; kernels cannot use such a view.
template <class T>
MIRNET_ALWAYS_INLINE View<T> channels_of(View<T> map, Index first, Index count) noexcept {
  return {advance(map.data(), first), {map.height(), map.width(), count}, map.pitch(), map.row_pitch()};
}

/// Calls body(count, pointers...) for each run of numbers that are contiguous in all maps, which have the same shape:
/// for each row if no map has padding, otherwise for each pixel.
template <class Body, class First, class... Others>
MIRNET_ALWAYS_INLINE void each_run(Body&& body, View<First> first, View<Others>... others) noexcept {
  bool const side_by_side = first.pitch() == first.channels() && ((others.pitch() == others.channels()) && ...);
  Index const count = side_by_side ? first.width() * first.channels() : first.channels();
  Index const runs = side_by_side ? 1 : first.width();
  if (count == 0) return;  // there may be no memory
  for (Index y = 0; y < first.height(); ++y) {
    for (Index x = 0; x < runs; ++x) body(count, first.pixel(y, x), others.pixel(y, x)...);
  }
}

/// One number for all channels, in the place of a pointer to a number for each.
template <class T>
struct Same {
  Accumulator<T> value;
};

template <class T>
MIRNET_ALWAYS_INLINE Accumulator<T> number_at(T const* run, Index i) noexcept {
  return static_cast<Accumulator<T>>(run[i]);
}
template <class T>
MIRNET_ALWAYS_INLINE Accumulator<T> number_at(Same<T> same, Index) noexcept {
  return same.value;
}

/// Whether simd::Pack holds numbers of this type.
template <class T>
inline constexpr bool has_packs = !MIRNET_NO_SIMD && (std::is_same_v<T, float> || std::is_same_v<T, bfloat16>);
template <class T>
inline constexpr bool has_packs<T*> = has_packs<std::remove_const_t<T>>;
template <class T>
inline constexpr bool has_packs<Same<T>> = has_packs<T>;

template <class F>
inline constexpr bool takes_packs = false;
template <class F>
  requires requires { F::takes_packs; }
inline constexpr bool takes_packs<F> = F::takes_packs;

#if !MIRNET_NO_SIMD
template <class T>
MIRNET_ALWAYS_INLINE simd::Pack pack_at(T const* run, Index i) noexcept {
  return simd::load(run + i);
}
template <class T>
MIRNET_ALWAYS_INLINE simd::Pack pack_at(Same<T> same, Index) noexcept {
  return simd::broadcast(same.value);
}
#endif

/// to[i] = f(numbers i of the others), which are pointers or Same.
template <class F, class To, class... From>
MIRNET_ALWAYS_INLINE void apply(F& f, Index count, To* to, From... from) noexcept {
  Index i = 0;
#if !MIRNET_NO_SIMD
  if constexpr (takes_packs<std::remove_const_t<F>> && has_packs<To> && (has_packs<From> && ...)) {
    for (; i + simd::lanes <= count; i += simd::lanes) simd::store(to + i, f(pack_at(from, i)...));
  }
#endif
  for (; i < count; ++i) to[i] = static_cast<To>(f(number_at(from, i)...));
}

}  // namespace ops_detail

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

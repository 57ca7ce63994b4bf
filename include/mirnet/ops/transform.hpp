// Applies a function to each number of one map, or to each pair of numbers of two.
#pragma once

#include <mirnet/ops/operands.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

// Functions for transform, which take whole SIMD registers, too.
struct Plus {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a + b;
  }
};

struct Minus {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a - b;
  }
};

struct Times {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a * b;
  }
};

struct DividedBy {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a / b;
  }
#if !MIRNET_NO_SIMD
  MIRNET_ALWAYS_INLINE simd::Pack operator()(simd::Pack a, simd::Pack b) const noexcept { return simd::divide(a, b); }
#endif
};

/// NaN if either is NaN.
struct Larger {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a != a || a > b ? a : b;
  }
#if !MIRNET_NO_SIMD
  MIRNET_ALWAYS_INLINE simd::Pack operator()(simd::Pack a, simd::Pack b) const noexcept {
    return simd::where_nan(a, a, simd::where_greater(a, b, a, b));
  }
#endif
};

/// NaN if either is NaN.
struct Smaller {
  static constexpr bool takes_packs = true;
  template <class N>
  MIRNET_ALWAYS_INLINE N operator()(N a, N b) const noexcept {
    return a != a || b > a ? a : b;
  }
#if !MIRNET_NO_SIMD
  MIRNET_ALWAYS_INLINE simd::Pack operator()(simd::Pack a, simd::Pack b) const noexcept {
    return simd::where_nan(a, a, simd::where_greater(b, a, a, b));
  }
#endif
};

namespace ops_detail {

/// A source, which may be broadcast over all pixels or all channels of the destination.
template <class T>
struct Source {
  View<T const> map;
  bool one_pixel, one_channel;

  Source(View<T const> from, Shape to) noexcept
      : map(from),
        one_pixel(from.pixels() == 1 && to.pixels() != 1),
        one_channel(from.channels() == 1 && to.channels != 1) {}

  bool fits(Shape to) const noexcept {
    return (one_pixel || (map.height() == to.height && map.width() == to.width)) &&
           (one_channel || map.channels() == to.channels);
  }
  bool whole() const noexcept { return !one_pixel && !one_channel; }

  /// Calls then(...) with the source of a pixel of the destination: a pointer to its numbers, or Same.
  template <class Then>
  MIRNET_ALWAYS_INLINE void at(Index y, Index x, Then&& then) const noexcept {
    T const* const pixel = one_pixel ? map.data() : map.pixel(y, x);
    if (one_channel) {
      then(Same<T>{static_cast<Accumulator<T>>(*pixel)});
    } else {
      then(pixel);
    }
  }
};

template <class T>
Result<void> check_source(char const* name, Source<T> const& source, Shape to) noexcept {
  if (source.fits(to)) return {};
  return mismatch("transform", name, source.map.shape(), "destination", to, "the same, 1x1 pixels or 1 channel");
}

}  // namespace ops_detail

/// to(y, x, c) = f(a(y, x, c)). A source of 1x1 pixels stands for the same vector in every pixel, a source of one
/// channel for the same number in all channels of a pixel. The destination may be a source that has its shape.
///
/// All maps have the same type: float, double or bfloat16. f takes and returns float for bfloat16 and otherwise that
/// type. The functions above, and functions of your own that have `static constexpr bool takes_packs = true`, are also
/// called with a simd::Pack (simd/pack.hpp) of floats at a time. Errors: invalid_argument, where the shapes do not fit.
template <class A, class To, class F>
Result<void> transform(View<A> a, View<To> to, F f) noexcept {
  ops_detail::check_types<To, A>();
  ops_detail::check_arithmetic<std::remove_const_t<To>>();
  ops_detail::Source<To> const source(a, to.shape());
  if (auto const checked = ops_detail::check_source("source", source, to.shape()); !checked) return checked;
  if (source.whole()) {
    ops_detail::each_run([&](Index count, To* into, To const* from)
                             MIRNET_INLINE_LAMBDA { ops_detail::apply(f, count, into, from); },
                         to, source.map);
    return {};
  }
  for (Index y = 0; y < to.height(); ++y) {
    for (Index x = 0; x < to.width(); ++x) {
      source.at(y, x,
                [&](auto from) MIRNET_INLINE_LAMBDA { ops_detail::apply(f, to.channels(), to.pixel(y, x), from); });
    }
  }
  return {};
}

/// to(y, x, c) = f(a(y, x, c), b(y, x, c)), with a and b as above: transform(map, bias, map, Plus{}).
template <class A, class B, class To, class F>
Result<void> transform(View<A> a, View<B> b, View<To> to, F f) noexcept {
  ops_detail::check_types<To, A, B>();
  ops_detail::check_arithmetic<std::remove_const_t<To>>();
  ops_detail::Source<To> const first(a, to.shape()), second(b, to.shape());
  if (auto const checked = ops_detail::check_source("first source", first, to.shape()); !checked) return checked;
  if (auto const checked = ops_detail::check_source("second source", second, to.shape()); !checked) return checked;
  if (first.whole() && second.whole()) {
    ops_detail::each_run([&](Index count, To* into, To const* p, To const* q)
                             MIRNET_INLINE_LAMBDA { ops_detail::apply(f, count, into, p, q); },
                         to, first.map, second.map);
    return {};
  }
  for (Index y = 0; y < to.height(); ++y) {
    for (Index x = 0; x < to.width(); ++x) {
      first.at(y, x, [&](auto p) MIRNET_INLINE_LAMBDA {
        second.at(y, x,
                  [&](auto q) MIRNET_INLINE_LAMBDA { ops_detail::apply(f, to.channels(), to.pixel(y, x), p, q); });
      });
    }
  }
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

// Sums, means and extremes: of a map, of each channel, of each pixel.
#pragma once

#include <algorithm>
#include <limits>

#include <mirnet/ops/transform.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

enum class Reduction {
  sum,
  mean,
  min,  ///< NaN where there is a NaN
  max,  ///< NaN where there is a NaN
};

namespace ops_detail {

/// Adds in an order that depends only on the number of lanes.
template <class T>
double sum_of_run(T const* run, Index count) noexcept {
  double total = 0.0;
  Index i = 0;
#if !MIRNET_NO_SIMD
  if constexpr (has_packs<T>) {
    using namespace simd;
    constexpr Index chains = 4, most = 8;  // packs that are added at the same time, and one after the other
    auto const add = [&](Pack sum) MIRNET_INLINE_LAMBDA {
      alignas(64) float number[lanes];
      store(number, sum);
      for (Index lane = 0; lane < lanes; ++lane) total += static_cast<double>(number[lane]);
    };
    while (i + chains * lanes <= count) {
      Pack sum0 = load(run + i), sum1 = load(run + i + lanes);
      Pack sum2 = load(run + i + 2 * lanes), sum3 = load(run + i + 3 * lanes);
      i += chains * lanes;
      for (Index n = 1; n < most && i + chains * lanes <= count; ++n, i += chains * lanes) {
        sum0 = sum0 + load(run + i);
        sum1 = sum1 + load(run + i + lanes);
        sum2 = sum2 + load(run + i + 2 * lanes);
        sum3 = sum3 + load(run + i + 3 * lanes);
      }
      add((sum0 + sum1) + (sum2 + sum3));
    }
    for (; i + lanes <= count; i += lanes) add(load(run + i));
  }
#endif
  for (; i < count; ++i) total += static_cast<double>(number_at(run, i));
  return total;
}

/// The largest (Choice is Larger) or smallest (Smaller) of `best` and the numbers of a run.
template <class Choice, class T>
Accumulator<T> extreme_of_run(Choice choice, T const* run, Index count, Accumulator<T> best) noexcept {
  Index i = 0;
#if !MIRNET_NO_SIMD
  if constexpr (has_packs<T>) {
    using namespace simd;
    constexpr Index chains = 4;
    Pack best0 = broadcast(best), best1 = best0, best2 = best0, best3 = best0;
    for (; i + chains * lanes <= count; i += chains * lanes) {
      best0 = choice(load(run + i), best0);
      best1 = choice(load(run + i + lanes), best1);
      best2 = choice(load(run + i + 2 * lanes), best2);
      best3 = choice(load(run + i + 3 * lanes), best3);
    }
    for (; i + lanes <= count; i += lanes) best0 = choice(load(run + i), best0);
    alignas(64) float number[lanes];
    store(number, choice(choice(best0, best1), choice(best2, best3)));
    for (Index lane = 0; lane < lanes; ++lane) best = choice(number[lane], best);
  }
#endif
  for (; i < count; ++i) best = choice(number_at(run, i), best);
  return best;
}

inline constexpr Index reduced_channels = 64;  // that reduce_pixels takes at a time

/// The sums over the pixels of each channel of a map, which has at most reduced_channels channels.
template <class T>
void sum_pixels(View<T const> from, double* sums) noexcept {
  using Number = Accumulator<T>;
  constexpr Index pixels_in_float = 16;
  Index const count = from.channels();
  std::fill_n(sums, count, 0.0);
  for (Index y = 0; y < from.height(); ++y) {
    for (Index first = 0; first < from.width(); first += pixels_in_float) {
      alignas(64) Number part[reduced_channels] = {};
      Index const end = (std::min)(first + pixels_in_float, from.width());
      Plus const plus;
      for (Index x = first; x < end; ++x) {
        apply(plus, count, part, static_cast<Number const*>(part), from.pixel(y, x));
      }
      for (Index c = 0; c < count; ++c) sums[c] += static_cast<double>(part[c]);
    }
  }
}

template <class Choice, class T>
void extreme_of_pixels(Choice choice, View<T const> from, Accumulator<T> start, double* result) noexcept {
  using Number = Accumulator<T>;
  alignas(64) Number best[reduced_channels];
  std::fill_n(best, reduced_channels, start);
  for (Index y = 0; y < from.height(); ++y) {
    for (Index x = 0; x < from.width(); ++x) {
      apply(choice, from.channels(), best, from.pixel(y, x), static_cast<Number const*>(best));
    }
  }
  for (Index c = 0; c < from.channels(); ++c) result[c] = static_cast<double>(best[c]);
}

template <class T>
inline constexpr Accumulator<T> infinity = std::numeric_limits<Accumulator<T>>::infinity();

/// Reduces a whole map.
template <class T>
double reduce_all(View<T const> from, Reduction how) noexcept {
  Index const count = from.pixels() * from.channels();
  if (how == Reduction::sum || how == Reduction::mean) {
    double sum = 0.0;
    each_run([&](Index n, T const* run) MIRNET_INLINE_LAMBDA { sum += sum_of_run(run, n); }, from);
    return how == Reduction::sum ? sum : sum / static_cast<double>(count);  // NaN for no numbers
  }
  if (count == 0) return std::numeric_limits<double>::quiet_NaN();
  bool const max = how == Reduction::max;
  Accumulator<T> best = max ? -infinity<T> : infinity<T>;
  each_run(
      [&](Index n, T const* run) MIRNET_INLINE_LAMBDA {
        best = max ? extreme_of_run(Larger{}, run, n, best) : extreme_of_run(Smaller{}, run, n, best);
      },
      from);
  return static_cast<double>(best);
}

/// Reduces each channel over the pixels; there are at most reduced_channels channels.
template <class T>
void reduce_pixels(View<T const> from, Reduction how, double* result) noexcept {
  switch (how) {
    case Reduction::max: return extreme_of_pixels(Larger{}, from, -infinity<T>, result);
    case Reduction::min: return extreme_of_pixels(Smaller{}, from, infinity<T>, result);
    case Reduction::sum: return sum_pixels(from, result);
    case Reduction::mean: break;
  }
  sum_pixels(from, result);
  for (Index c = 0; c < from.channels(); ++c) result[c] /= static_cast<double>(from.pixels());
}

}  // namespace ops_detail

/// Reduces all numbers of a map of float, double or bfloat16 to one. The mean, min or max of no numbers is NaN.
///
/// Sums are accurate however large the map is: at most 32 numbers are added in float, everything else in double.
template <class T>
double reduce(View<T> from, Reduction how) noexcept {
  using Number = std::remove_const_t<T>;
  ops_detail::check_arithmetic<Number>();
  return ops_detail::reduce_all(View<Number const>(from), how);
}

/// The destination's shape says what is reduced: a map of HxWxC is reduced to 1x1xC over the pixels, to HxWx1 over the
/// channels, or to 1x1x1 over both. Sums are as above. Errors: invalid_argument, for any other destination, and for a
/// mean, min or max of no numbers.
template <class From, class To>
Result<void> reduce(View<From> from, View<To> to, Reduction how) noexcept {
  ops_detail::check_types<To, From>();
  ops_detail::check_arithmetic<std::remove_const_t<To>>();
  View<To const> const source = from;
  Shape const shape = from.shape(), wanted = to.shape();
  bool const pixels = wanted.height == 1 && wanted.width == 1, channels = wanted.channels == 1;
  if ((!pixels && (wanted.height != shape.height || wanted.width != shape.width)) ||
      (!channels && wanted.channels != shape.channels) || (!pixels && !channels)) {
    return ops_detail::mismatch("reduce", "source", shape, "destination", wanted, "1x1 pixels, 1 channel or both");
  }
  bool const empty = (pixels && shape.pixels() == 0) || (channels && shape.channels == 0);
  if (empty && how != Reduction::sum && wanted.pixels() * wanted.channels > 0) {
    return ops_detail::mismatch("reduce", "source", shape, "destination", wanted, "numbers in the source");
  }
  if (pixels && channels) {
    to(0, 0, 0) = static_cast<To>(ops_detail::reduce_all(source, how));
  } else if (channels) {
    for (Index y = 0; y < shape.height; ++y) {
      for (Index x = 0; x < shape.width; ++x) {
        to(y, x, 0) = static_cast<To>(ops_detail::reduce_all(crop(source, y, x, 1, 1), how));
      }
    }
  } else {
    for (Index first = 0; first < shape.channels; first += ops_detail::reduced_channels) {
      double result[ops_detail::reduced_channels];
      Index const count = (std::min)(ops_detail::reduced_channels, shape.channels - first);
      ops_detail::reduce_pixels(ops_detail::channels_of(source, first, count), how, result);
      for (Index c = 0; c < count; ++c) to(0, 0, first + c) = static_cast<To>(result[c]);
    }
  }
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

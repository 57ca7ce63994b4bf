// Compares two maps within a tolerance, and says where they differ. Made for tests: numbers are compared one by one, in
// double.
#pragma once

#include <limits>

#include <mirnet/ops/operands.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// a is close to b where |a - b| <= absolute + relative * |b|.
struct Tolerance {
  double absolute = 1e-8;
  double relative = 1e-5;
};

/// A place where two maps differ, and what they have there.
struct Difference {
  Index y = 0, x = 0, c = 0;
  double a = 0.0, b = 0.0;
};

/// What compare finds.
struct Comparison {
  Index numbers = 0;  ///< of each map
  Index outside = 0;  ///< of these, not close
  Difference first;   ///< the first one that is not close
  Difference worst;   ///< of those not close, the one with the largest |a - b|; a NaN before all others
  bool close() const noexcept { return outside == 0; }
};

/// Compares two maps, whose types may differ; integers are not scaled. Equal infinities are close; NaN is not close to
/// anything, not even to another NaN. Errors: invalid_argument, where the shapes differ.
template <class A, class B>
Result<Comparison> compare(View<A> a, View<B> b, Tolerance tolerance = {}) noexcept {
  if (a.shape() != b.shape()) {
    return ops_detail::mismatch("compare", "first map", a.shape(), "second", b.shape(), "the same").error();
  }
  Comparison result;
  result.numbers = a.pixels() * a.channels();
  double worst = -1.0;
  for (Index y = 0; y < a.height(); ++y) {
    for (Index x = 0; x < a.width(); ++x) {
      for (Index c = 0; c < a.channels(); ++c) {
        double const p = static_cast<double>(a(y, x, c)), q = static_cast<double>(b(y, x, c));
        double const magnitude = q < 0.0 ? -q : q;
        double const distance = p < q ? q - p : p - q;
        // The distance of equal infinities is NaN, and an infinite bound accepts finite distances only.
        if (p == q || (distance <= tolerance.absolute + tolerance.relative * magnitude &&
                       distance <= (std::numeric_limits<double>::max)())) {
          continue;
        }
        Difference const here{y, x, c, p, q};
        if (result.outside++ == 0) result.first = here;
        if (worst == worst && !(distance <= worst)) {  // once it is NaN, it stays
          worst = distance;
          result.worst = here;
        }
      }
    }
  }
  return result;
}

/// The same, reported as an error in one sentence with the first and the worst place. Errors: invalid_argument, where
/// the shapes differ; unmet, where not all numbers are close.
template <class A, class B>
Result<void> all_close(View<A> a, View<B> b, Tolerance tolerance = {}) noexcept {
  auto const compared = compare(a, b, tolerance);
  if (!compared) return compared.error();
  if (compared->close()) return {};
  auto const number = [](Index value) { return static_cast<long long>(value); };
  Difference const &first = compared->first, &worst = compared->worst;
  return Error(ErrorCode::unmet,
               "%lld of %lld numbers differ: first at (%lld, %lld, %lld), %.9g and %.9g; worst at (%lld, %lld, %lld), "
               "%.9g and %.9g; expected |a - b| <= %.3g + %.3g*|b|",
               number(compared->outside), number(compared->numbers), number(first.y), number(first.x), number(first.c),
               first.a, first.b, number(worst.y), number(worst.x), number(worst.c), worst.a, worst.b,
               tolerance.absolute, tolerance.relative);
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

// Matrices: maps of 1xRxC, that is R rows (pixels) and C columns (channels).
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <mirnet/ops/operands.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace ops_detail {

#if !MIRNET_NO_SIMD
/// body(0), body(1), ..., as constants.
template <class Body, std::size_t... i>
MIRNET_ALWAYS_INLINE void repeat(std::index_sequence<i...>, Body&& body) noexcept {
  (body(std::integral_constant<std::size_t, i>()), ...);
}

/// Computes `rows` rows and `packs` registers of columns of a product, with all sums in registers.
template <std::size_t rows, std::size_t packs, class T>
MIRNET_ALWAYS_INLINE void multiply_tile(View<T const> a, View<T const> b, View<T> to, Index row,
                                        Index column) noexcept {
  using namespace simd;
  constexpr auto over_rows = std::make_index_sequence<rows>();
  constexpr auto over_packs = std::make_index_sequence<packs>();
  T const* const from = a.pixel(0, row);
  T const* line = b.data() + column;
  Pack sum[rows][packs];
  repeat(over_rows, [&](auto r) MIRNET_INLINE_LAMBDA {
    repeat(over_packs, [&](auto p) MIRNET_INLINE_LAMBDA { sum[r][p] = broadcast(0.0f); });
  });
  for (Index k = 0; k < a.channels(); ++k, line += b.pitch()) {
    Pack values[packs];
    repeat(over_packs, [&](auto p) MIRNET_INLINE_LAMBDA { values[p] = load(line + static_cast<Index>(p) * lanes); });
    repeat(over_rows, [&](auto r) MIRNET_INLINE_LAMBDA {
      Pack const factor = broadcast(static_cast<float>(from[static_cast<Index>(r) * a.pitch() + k]));
      repeat(over_packs, [&](auto p) MIRNET_INLINE_LAMBDA { sum[r][p] = fma(factor, values[p], sum[r][p]); });
    });
  }
  repeat(over_rows, [&](auto r) MIRNET_INLINE_LAMBDA {
    T* const into = to.pixel(0, row + static_cast<Index>(r)) + column;
    repeat(over_packs, [&](auto p) MIRNET_INLINE_LAMBDA { store(into + static_cast<Index>(p) * lanes, sum[r][p]); });
  });
}

template <std::size_t packs, class T>
void multiply_columns(View<T const> a, View<T const> b, View<T> to, Index column) noexcept {
  Index row = 0;
  for (; row + 4 <= to.width(); row += 4) multiply_tile<4, packs>(a, b, to, row, column);
  for (; row < to.width(); ++row) multiply_tile<1, packs>(a, b, to, row, column);
}
#endif

/// Columns [first, last) of a product, at most 16, one number at a time.
template <class T>
void multiply_numbers(View<T const> a, View<T const> b, View<T> to, Index first, Index last) noexcept {
  using Number = Accumulator<T>;
  Index const count = last - first;
  for (Index row = 0; row < to.width(); ++row) {
    Number sum[16] = {};
    T const* const from = a.pixel(0, row);
    for (Index k = 0; k < a.channels(); ++k) {
      Number const factor = static_cast<Number>(from[k]);
      T const* const line = b.pixel(0, k) + first;
      for (Index c = 0; c < count; ++c) sum[c] += factor * static_cast<Number>(line[c]);
    }
    for (Index c = 0; c < count; ++c) to.pixel(0, row)[first + c] = static_cast<T>(sum[c]);
  }
}

}  // namespace ops_detail

/// The product of 1xRxK and 1xKxC, which is 1xRxC. Sums run in the order of k, in float for bfloat16 and otherwise in
/// the maps' type. SIMD code fuses multiply-adds if the instruction set can. Errors: invalid_argument, where the shapes
/// do not fit.
template <class A, class B, class To>
Result<void> matmul(View<A> a, View<B> b, View<To> to) noexcept {
  ops_detail::check_types<To, A, B>();
  ops_detail::check_arithmetic<std::remove_const_t<To>>();
  if (a.height() != 1 || b.height() != 1 || a.channels() != b.width()) {
    return ops_detail::mismatch("matmul", "first factor", a.shape(), "second", b.shape(),
                                "1xRxK and 1xKxC (R pixels of K channels)");
  }
  if (Shape const product{1, a.width(), b.channels()}; product != to.shape()) {
    return ops_detail::mismatch("matmul", "product", product, "destination", to.shape(), "the same");
  }
  View<To const> const first = a, second = b;
  if (second.width() == 0) {  // sums of nothing, and perhaps no memory
    for (Index row = 0; row < to.width(); ++row) std::fill_n(to.pixel(0, row), to.channels(), To(0));
    return {};
  }
  Index column = 0;
#if !MIRNET_NO_SIMD
  if constexpr (ops_detail::has_packs<To>) {
    for (; column + 2 * simd::lanes <= to.channels(); column += 2 * simd::lanes) {
      ops_detail::multiply_columns<2>(first, second, to, column);
    }
    if (column + simd::lanes <= to.channels()) {
      ops_detail::multiply_columns<1>(first, second, to, column);
      column += simd::lanes;
    }
  }
#endif
  for (; column < to.channels(); column += 16) {
    ops_detail::multiply_numbers(first, second, to, column, (std::min)(column + 16, to.channels()));
  }
  return {};
}

/// Transposes 1xRxC to 1xCxR, for any type. Errors: invalid_argument, where the shapes do not fit.
template <class From, class To>
Result<void> transpose(View<From> from, View<To> to) noexcept {
  ops_detail::check_types<To, From>();
  Shape const transposed{1, from.channels(), from.width()};
  if (from.height() != 1 || to.shape() != transposed) {
    return ops_detail::mismatch("transpose", "source", from.shape(), "destination", to.shape(), "1xRxC and 1xCxR");
  }
  constexpr Index side = 16;  // of squares that stay in the first-level cache
  for (Index first = 0; first < to.width(); first += side) {
    for (Index row = 0; row < from.width(); row += side) {
      for (Index x = first; x < (std::min)(first + side, to.width()); ++x) {
        To* const into = to.pixel(0, x);
        for (Index c = row; c < (std::min)(row + side, from.width()); ++c) into[c] = from.pixel(0, c)[x];
      }
    }
  }
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

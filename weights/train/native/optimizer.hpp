// One step of Muon and AdamW for all parameters: ../optimizer.py says what it computes and is its reference.
//
// A matrix goes through in a transposed form, with its longer side as rows ("pixels" of gemm.hpp) and its shorter side,
// filled up with zeros to whole blocks of 16, as columns: the Gram matrix is then a weight gradient and the last
// product a 1x1 convolution. The five polynomials of Newton and Schulz only involve the small Gram matrix and commute,
// so all products between them are symmetric, and what is below their diagonal is copied.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "gemm.hpp"
#include "memory.hpp"

namespace mirnet_train {

/// In double precision, as PyTorch has them: 1 - 0.99 loses a digit in float.
struct StepOptions {
  double rate, momentum, beta1, beta2, epsilon, decay;
  double correction1, correction2;  // 1 - beta^steps
  double average;                   // share of the way to the parameters that their moving average goes
};

struct State {
  float *parameters, *first, *second, *average;
  const float* gradient;
};

class Optimizer {
 public:
  struct Matrix {
    std::int64_t offset;
    int rows, columns;
    float scale;  // of the orthogonalized momentum

    int small() const { return (std::min(rows, columns) + tile_lanes - 1) / tile_lanes * tile_lanes; }
    int large() const { return std::max(rows, columns); }
    double cost() const { return double(small()) * small() * (2.0 * large() + 12.0 * small()); }
  };

  /// Parameters outside of the matrices are AdamW's; `second` has their second moments only, in their order.
  Optimizer(std::vector<Matrix> matrices, std::int64_t count, int threads)
      : matrices_(std::move(matrices)), threads_(threads) {
    std::int64_t end = 0, second = 0;
    for (const Matrix& m : matrices_) {
      if (m.offset > end) plain_.push_back({end, m.offset, std::exchange(second, second + m.offset - end)});
      end = m.offset + std::int64_t(m.rows) * m.columns;
    }
    if (count > end) plain_.push_back({end, count, second});
    std::stable_sort(matrices_.begin(), matrices_.end(),
                     [](const Matrix& a, const Matrix& b) { return a.cost() > b.cost(); });
    std::size_t tall = 0, square = 0;
    for (const Matrix& m : matrices_) {
      tall = std::max(tall, std::size_t(m.large()) * m.small());
      square = std::max(square, std::size_t(m.small()) * m.small());
    }
    for (int i = 0; i < threads; ++i) scratch_.emplace_back(tall, square);
  }

  /// The largest matrices first: whoever is done takes the next one. What is computed does not depend on who does it.
  void step(const State& state, const StepOptions& options) {
    std::atomic<std::size_t> next{0};
    in_threads(threads_, [&](int thread) {
      for (std::size_t i; (i = next++) < matrices_.size();) {
        matrix_step(matrices_[i], scratch_[thread], state, options);
      }
      for (std::size_t i = thread; i < plain_.size(); i += threads_) plain_step(plain_[i], state, options);
    });
  }

 private:
  struct Range {
    std::int64_t begin, end, second;
  };
  struct Scratch {
    Scratch(std::size_t tall_floats, std::size_t square_floats)
        : tall(tall_floats),
          product(tall_floats),
          packed(square_floats),
          gram(square_floats),
          square(square_floats),
          factor(square_floats),
          polynomial(square_floats) {}
    Buffer tall, product, packed, gram, square, factor, polynomial;
  };

  std::vector<Matrix> matrices_;
  std::vector<Range> plain_;
  std::vector<Scratch> scratch_;
  int threads_;

  /// visit(place in the matrix, place in the tall form), a few rows of the matrix at a time for the caches' sake.
  template <class Visit, class T>
  static void transposed(const Matrix& m, Visit&& visit, T* tall) {
    const int small = m.small();
    if (m.rows > m.columns) {
      for (int row = 0; row < m.rows; ++row)
        for (int column = 0; column < m.columns; ++column)
          visit(std::int64_t(row) * m.columns + column, tall + std::size_t(row) * small + column);
      return;
    }
    for (int first = 0; first < m.columns; first += tile_lanes) {
      const int last = std::min(first + tile_lanes, m.columns);
      for (int row = 0; row < m.rows; ++row)
        for (int column = first; column < last; ++column)
          visit(std::int64_t(row) * m.columns + column, tall + std::size_t(column) * small + row);
    }
  }

  static void pack(float* packed, const float* matrix, int n) {
    for (int block = 0; block < n; block += tile_lanes)
      for (int row = 0; row < n; ++row, packed += tile_lanes)
        std::memcpy(packed, matrix + std::size_t(row) * n + block, tile_lanes * sizeof(float));
  }

  /// c = a b of matrices whose product is symmetric; `b` is packed.
  static void symmetric_product(float* c, const float* a, const float* b, int n) {
    const Term term{a, b, n};
    grouped_blocks(n / tile_lanes, [&]<int B>(int block) {
      const int rows = (block + B) * tile_lanes;
      balanced_tiles(
          rows, [&]<int P>(int begin, int tiles) __attribute__((always_inline)) {
            for (int tile = 0; tile < tiles; ++tile, begin += P) {
              convolve_tile<P, B, Store::plain>(&term, 1, std::size_t(begin) * n, n, block, {c},
                                                std::size_t(begin) * n + block * tile_lanes, n);
            }
          });
      for (int row = 0; row < block * tile_lanes; ++row)
        for (int column = block * tile_lanes; column < rows; ++column)
          c[std::size_t(column) * n + row] = c[std::size_t(row) * n + column];
    });
  }

  /// Of the matrix in scratch.tall, in its tall form. scratch.tall is destroyed.
  static const float* orthogonalized(const Matrix& m, Scratch& s) {
    constexpr float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    const int n = m.small(), large = m.large();
    float *tall = s.tall.data(), *gram = s.gram.data(), *square = s.square.data(), *factor = s.factor.data(),
          *polynomial = s.polynomial.data(), *packed = s.packed.data();
    const std::size_t tall_floats = std::size_t(large) * n, floats = std::size_t(n) * n;
    double norm = 0;
    for (int row = 0; row < large; ++row) {
      v8 total{};
      for (int k = 0; k < n; k += 8)
        total += load(tall + std::size_t(row) * n + k) * load(tall + std::size_t(row) * n + k);
      norm += sum(total);
    }
    const float inverse = 1 / (float(std::sqrt(norm)) + 1e-7f);
    for (std::size_t i = 0; i < tall_floats; ++i) tall[i] *= inverse;

    std::fill(packed, packed + floats, 0.0f);
    const GradientTerm term{tall, packed, n};
    weight_gradient(&term, 1, {1, large, 0, std::size_t(n), 0, std::size_t(n)}, n / tile_lanes, tall);
    for (int block = 0, at = 0; block < n; block += tile_lanes)
      for (int row = 0; row < n; ++row, at += tile_lanes)
        std::memcpy(gram + std::size_t(row) * n + block, packed + at, tile_lanes * sizeof(float));

    constexpr int iterations = 5;
    for (int iteration = 0; iteration < iterations; ++iteration) {
      symmetric_product(square, gram, packed, n);
      for (std::size_t i = 0; i < floats; ++i) factor[i] = b * gram[i] + c * square[i];
      for (int i = 0; i < n; ++i) factor[std::size_t(i) * n + i] += a;
      pack(packed, factor, n);
      if (iteration == 0) {
        std::memcpy(polynomial, factor, floats * sizeof(float));
      } else {
        symmetric_product(square, polynomial, packed, n);
        std::swap(square, polynomial);
      }
      if (iteration + 1 == iterations) break;
      symmetric_product(factor, gram, packed, n);
      symmetric_product(gram, factor, packed, n);
      pack(packed, gram, n);
    }
    pack(packed, polynomial, n);
    const Term last{tall, packed, n};
    convolve<Store::plain>(&last, 1, {1, large, 0, std::size_t(n), 0, std::size_t(n)}, n / tile_lanes,
                           {s.product.data()});
    return s.product.data();
  }

  static void matrix_step(const Matrix& m, Scratch& scratch, const State& state, const StepOptions& o) {
    const std::size_t tall_floats = std::size_t(m.large()) * m.small();
    if (std::min(m.rows, m.columns) != m.small()) {
      std::fill(scratch.tall.data(), scratch.tall.data() + tall_floats, 0.0f);
    }
    float* first = state.first + m.offset;
    const float* gradient = state.gradient + m.offset;
    const float momentum = float(o.momentum);
    // Momentum that looks one gradient ahead (Nesterov).
    transposed(
        m,
        [&](std::int64_t at, float* x) __attribute__((always_inline)) {
          const float g = gradient[at];
          first[at] = momentum * first[at] + g;
          *x = g + momentum * first[at];
        },
        scratch.tall.data());
    const float* product = orthogonalized(m, scratch);
    float *parameters = state.parameters + m.offset, *average = state.average + m.offset;
    const float keep = float(1 - o.rate * o.decay), step = float(o.rate * m.scale), share = float(o.average);
    transposed(
        m,
        [&](std::int64_t at, const float* x) __attribute__((always_inline)) {
          parameters[at] = keep * parameters[at] - step * *x;
          average[at] += share * (parameters[at] - average[at]);
        },
        product);
  }

  static void plain_step(const Range& range, const State& state, const StepOptions& o) {
    const float one = float(o.beta1), two = float(o.beta2), one_rest = float(1 - o.beta1),
                two_rest = float(1 - o.beta2);
    const float epsilon = float(o.epsilon);
    const float correction1 = float(1 / o.correction1), correction2 = float(1 / o.correction2);
    const float keep = float(1 - o.rate * o.decay), rate = float(o.rate), share = float(o.average);
    float *parameters = state.parameters, *average = state.average, *first = state.first;
    float* second = state.second + range.second;
    for (std::int64_t i = range.begin; i < range.end; ++i, ++second) {
      const float g = state.gradient[i];
      first[i] = one * first[i] + one_rest * g;
      *second = two * *second + two_rest * g * g;
      const float update = first[i] * correction1 / (std::sqrt(*second * correction2) + epsilon);
      parameters[i] = keep * parameters[i] - rate * update;
      average[i] += share * (parameters[i] - average[i]);
    }
  }
};

}  // namespace mirnet_train

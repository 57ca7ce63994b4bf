// Matrix multiplication on registers: C[rows x columns] = A[rows x depth] * B, with B packed in lines of 16 columns
// so that the inner loop reads it from front to back. A's rows are pixels or patches, B's columns output channels.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pairs.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// Element (r, k) of A is at a[r*a_pitch + k]; element (k, n) of B at b[n/16*b_line_stride + k*16 + n%16].
/// `lines` of 16 columns are computed. Each element of C is one chain of fused multiply-adds over k, whatever the
/// blocking. Nothing is read or written beyond what is named here.
/// T is what finished results are stored as; the elements of A and B are floats, or pairs of bfloat16, of which each
/// counts as one of the depth.
template <class T, class Element = float>
struct Gemm {
  Element const* a;
  Index a_pitch, rows, depth;
  Element const* b;
  Index b_line_stride, lines;

  // A dense matrix: C where it is not finished, and what to start from if a part of the depth is there already.
  float* sum;
  Index sum_pitch;
  bool accumulate = false;
  T const* bias = nullptr;  // null or, for each column, what its sums start from if they do not accumulate

  // With `finish`, prelu(C, slope) * scale + residual is written; row r of C starts at c + c_offsets[r], and row r of
  // the residual at residual + c_offsets[r]. The rest is as in Convolution.
  bool finish = false;
  T* c = nullptr;
  Index const* c_offsets = nullptr;
  T const* residual = nullptr;  // null: nothing is added
  bool subtracts = false;
  float slope = 1.0f;
  T const* slopes = nullptr;
  T const* scales = nullptr;

  // If not null, the product of second_a, with A's pitch and depth, and second_b, with B's stride, is added. Before
  // that, row r of the first product is multiplied with row_scales[r], unless that is null.
  Element const* second_a = nullptr;
  Element const* second_b = nullptr;
  T const* row_scales = nullptr;

  // Lines of 64 bytes that the caller will read next.
  std::byte const* ahead = nullptr;
  Index ahead_lines = 0;
};

namespace gemm_detail {

inline constexpr Index line = channels_per_line<float>;

// A tile of C lives in registers: rows x vectors accumulators, and of a column of A and a row of B the shorter one
// whole and one register of the other.
//
//   registers of 16 (AVX-512)     12*2 + 2 + 1, and 12*1 + 1 + 1 where the depth is short. 12x1 takes elements of A
//   from
//                                 memory and broadcasts them at no cost, so a core with one product a cycle (Zen 4)
//                                 comes closest to its peak: at depths of 16, 32 and 64 to 0.96, 0.98 and 0.99, with
//                                 12x2 to 0.87, 0.93 and 0.96. But 12x1 loads once a product: a core with two products
//                                 and two loads a cycle stops at 12/13. (There, 12x2 takes 6 % less for 80 channels by
//                                 Winograd on Zen 5, and 10 % less for 32 channels on Emerald Rapids.)
//   16 registers                  3*4 + 3 + 1. For each 12 accumulators, 3x4 loads seven registers and 6x2 eight, and
//                                 3x4 goes through A half as often.
//   32 registers of 4 (AArch64)   4*4 + 4 + 1, and some to load early: the instruction multiplies by a lane, so four
//                                 columns of A are one load a row. Of 6x4, GCC 12 keeps some in memory.
//   8 registers (32-bit x86)      1*4 + 1 + 1. SSE overwrites a factor with the product: 2x2 takes 16 instructions for
//                                 four products, 1x4 takes 14. (GCC 12 has one accumulator in memory and touches it
//                                 every fourth column of A.)
//
// Instructions count even where the multipliers are what limits: a core may be shared with another thread.
// A line of columns that fills half a tile has tiles of half the width.
struct TileShape {
  int rows, vectors, narrow_rows;

  /// The registers that a tile needs.
  constexpr int registers() const noexcept {
    int const whole = rows * vectors + (std::min)(rows, vectors) + 1;
    int const narrow = narrow_rows * (vectors / 2) + (std::min)(narrow_rows, vectors / 2) + 1;
    return (std::max)(whole, narrow);
  }
};

constexpr TileShape tile_shape(InstructionSet const& set) noexcept {
  if (set.lane_products && set.registers >= 32) return {4, 4, 4};
  if (set.registers >= 32) return {12, 2, 12};
  if (set.registers >= 16) return {3, 4, 6};
  return {1, set.lanes > 8 ? 2 : 4, 2};
}

/// Tiles of less depth have half the width.
inline constexpr Index shortest_wide_depth = own_set.lanes == 16 && own_set.registers >= 32 ? 32 : 0;

inline constexpr int tile_rows = tile_shape(own_set).rows, tile_vectors = tile_shape(own_set).vectors,
                     narrow_tile_rows = tile_shape(own_set).narrow_rows;
static_assert(tile_shape(own_set).registers() <= own_set.registers, "a tile of C lives in registers");
static_assert(tile_vectors % 2 == 0 || tile_vectors * simd::lanes == line,
              "narrow tiles have half the width, and nothing is narrower than a line");
static_assert(tile_vectors * simd::lanes <= 2 * line, "what is left of the columns fills half a tile");
static_assert(tile_vectors * simd::lanes % line == 0, "a tile is whole lines wide");
static_assert(sizeof(simd::Pair) == sizeof(float), "an element of the depth has the size of a lane");

/// B is read from front to back, and hardware stops to fetch ahead at each page of memory: rows of B ahead of the
/// product.
inline constexpr Index steps_ahead = 32;

// Of 32-bit ARM's 16 registers, GCC 12 keeps three accumulators in memory where it may load several columns of A early.
#if defined(__arm__)
inline constexpr bool four_at_a_time = false;
#else
inline constexpr bool four_at_a_time = true;
#endif

/// sum += A * B for Rows rows of A and Vectors registers of columns of B, over the whole depth. B's columns are whole
/// lines, or a part of one.
template <int Rows, int Vectors, class Element>
MIRNET_ALWAYS_INLINE void multiply(Element const* a, Index a_pitch, Element const* b, Index b_line_stride, Index depth,
                                   simd::Pack (&sum)[Rows][Vectors]) noexcept {
  using namespace simd;
  constexpr int vectors_per_line = static_cast<int>(line / lanes);
  constexpr int lines = (std::max)(1, Vectors / vectors_per_line);
  // One address for three rows: instructions add one pitch or two to it, and of an address for each row there would be
  // more than there are registers.
  constexpr int rows_an_address = 3, addresses = (Rows + rows_an_address - 1) / rows_an_address;

  Element const* rows[addresses];
  MIRNET_UNROLL for (int i = 0; i < addresses; ++i) rows[i] = a + i * rows_an_address * a_pitch;
  auto const element = [&](int r, Index k) MIRNET_INLINE_LAMBDA {
    return rows[r / rows_an_address] + r % rows_an_address * a_pitch + k;
  };
  Element const* columns[lines];
  MIRNET_UNROLL for (int i = 0; i < lines; ++i) columns[i] = b + i * b_line_stride;
  auto const weight = [&](Index k, int v) MIRNET_INLINE_LAMBDA {
    return load(columns[v / vectors_per_line] + k * line + v % vectors_per_line * lanes);
  };
  auto const multiply_one = [&](Index k) MIRNET_INLINE_LAMBDA {
    MIRNET_UNROLL for (int i = 0; i < lines; ++i) prefetch(columns[i] + (k + steps_ahead) * line);
    if constexpr (Rows < Vectors) {
      decltype(broadcast(Element())) values[Rows];
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) values[r] = broadcast_from(element(r, k));
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
        auto const one = weight(k, v);
        MIRNET_UNROLL for (int r = 0; r < Rows; ++r) accumulate(sum[r][v], values[r], one);
      }
    } else if constexpr (Vectors == 1) {
      auto const one = weight(k, 0);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) accumulate(sum[r][0], element(r, k), one);
    } else {
      decltype(weight(0, 0)) weights[Vectors];
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) weights[v] = weight(k, v);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
        auto const one = broadcast_from(element(r, k));
        MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) accumulate(sum[r][v], one, weights[v]);
      }
    }
  };
  auto const multiply_four = [&]() MIRNET_INLINE_LAMBDA {
    if constexpr (has_lane_products && std::is_same_v<Element, float>) {
      Pack values[Rows];
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) values[r] = load(element(r, 0));
      auto const one_of_four = [&]<int k>(std::integral_constant<int, k>) MIRNET_INLINE_LAMBDA {
        MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
          Pack const one = weight(k, v);
          MIRNET_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = fma_lane<k>(one, values[r], sum[r][v]);
        }
      };
      one_of_four(std::integral_constant<int, 0>{}), one_of_four(std::integral_constant<int, 1>{});
      one_of_four(std::integral_constant<int, 2>{}), one_of_four(std::integral_constant<int, 3>{});
    } else {
      multiply_one(0), multiply_one(1), multiply_one(2), multiply_one(3);
    }
  };
  auto const step = [&](Index count) MIRNET_INLINE_LAMBDA {
    MIRNET_UNROLL for (int i = 0; i < addresses; ++i) rows[i] += count;
    MIRNET_UNROLL for (int i = 0; i < lines; ++i) columns[i] += count * line;
#if defined(__GNUC__)
    asm("" : "+r"(a_pitch));  // or GCC keeps a sum of pitch and position in a register for each step
#endif
  };
  Index k = 0;
  if constexpr (four_at_a_time) {
    for (; k + 4 <= depth; k += 4, step(4)) multiply_four();
  }
  for (; k < depth; ++k, step(1)) multiply_one(0);
}

/// Rows [row, row + Rows) and Vectors registers of columns from `column` on. Whole lines, or a part of one.
template <int Rows, int Vectors, class T, class Element>
void tile(Gemm<T, Element> const& work, Index row, Index column) noexcept {
  using namespace simd;
  auto const unfinished = [&](int r, int v) MIRNET_INLINE_LAMBDA {  // where there is one
    return work.sum + (row + r) * work.sum_pitch + column + v * lanes;
  };

  Pack sum[Rows][Vectors];
  if (work.accumulate) {
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = load(unfinished(r, v));
    }
  } else if (work.bias != nullptr) {
    MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
      Pack const start = load(work.bias + column + v * lanes);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = start;
    }
  } else {
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast(0.0f);
    }
  }
  // The lines of the results, and of what is added to them, arrive while the products are computed.
  for (int g = 0; g * line < Vectors * lanes; ++g) {
    if (!work.finish) {
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) prefetch_to_write(unfinished(r, 0) + g * line);
      continue;
    }
    Index const* const offset = work.c_offsets + row;
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) prefetch_to_write(work.c + offset[r] + column + g * line);
    if (work.residual == nullptr || work.residual == work.c) continue;
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) prefetch(work.residual + offset[r] + column + g * line);
  }

  Index const at_b = column / line * work.b_line_stride + column % line;
  multiply<Rows, Vectors>(work.a + row * work.a_pitch, work.a_pitch, work.b + at_b, work.b_line_stride, work.depth,
                          sum);
  if (work.second_b != nullptr) {
    if (work.row_scales != nullptr) {
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
        Pack const scale = broadcast(static_cast<float>(work.row_scales[row + r]));
        MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = sum[r][v] * scale;
      }
    }
    multiply<Rows, Vectors>(work.second_a + row * work.a_pitch, work.a_pitch, work.second_b + at_b, work.b_line_stride,
                            work.depth, sum);
  }

  if (!work.finish) {
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) store(unfinished(r, v), sum[r][v]);
    }
    return;
  }
  T* const c = work.c + column;
  Index const* const offset = work.c_offsets + row;
  if (work.slopes != nullptr) {
    MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
      Pack const slope = load(work.slopes + column + v * lanes);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = prelu(sum[r][v], slope);
    }
  } else if (work.slope != 1.0f) {
    Pack const slope = broadcast(work.slope);
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = prelu(sum[r][v], slope);
    }
  }
  if (work.scales != nullptr) {
    MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
      Pack const scale = load(work.scales + column + v * lanes);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = sum[r][v] * scale;
    }
  }
  if (work.residual != nullptr) {
    T const* const residual = work.residual + column;
    if (work.subtracts) {
      Pack const zero = broadcast(-0.0f);
      MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
        MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = zero - sum[r][v];
      }
    }
    MIRNET_UNROLL for (int r = 0; r < Rows; ++r) {
      MIRNET_UNROLL for (int v = 0; v < Vectors; ++v) {
        sum[r][v] = sum[r][v] + load(residual + offset[r] + v * lanes);
      }
    }
  }
  constexpr int count = Rows * Vectors;
  auto const place = [&](int i) MIRNET_INLINE_LAMBDA { return c + offset[i / Vectors] + i % Vectors * lanes; };
  MIRNET_UNROLL for (int i = 0; i + 1 < count; i += 2) {
    store_two(place(i), sum[i / Vectors][i % Vectors], place(i + 1), sum[(i + 1) / Vectors][(i + 1) % Vectors]);
  }
  if constexpr (count % 2 != 0) store(place(count - 1), sum[Rows - 1][Vectors - 1]);
}

template <class T, class Element>
using Tile = void (*)(Gemm<T, Element> const&, Index, Index) noexcept;

/// tile<1>, tile<2>, ..., tile<most_rows>
template <int most_rows, int Vectors, class T, class Element>
inline constexpr auto tiles = []<int... Rows>(std::integer_sequence<int, Rows...>) {
  return std::array<Tile<T, Element>, sizeof...(Rows)>{tile<Rows + 1, Vectors, T, Element>...};
}
(std::make_integer_sequence<int, most_rows>{});

/// A part of the lines ahead, while the tile's arithmetic leaves the memory idle.
template <class T, class Element>
MIRNET_ALWAYS_INLINE void prefetch_part(Gemm<T, Element> const& work, Index tile, Index tiles) noexcept {
  Index const first = work.ahead_lines * tile / tiles, last = work.ahead_lines * (tile + 1) / tiles;
  for (Index l = first; l < last; ++l) simd::prefetch_far(work.ahead + l * alignment_bytes);
}

/// All rows of Vectors registers of columns; B's part stays in the first-level cache meanwhile.
template <int Rows, int Vectors, class T, class Element>
MIRNET_ALWAYS_INLINE void column_of_tiles(Gemm<T, Element> const& work, Index column) noexcept {
  Index row = 0;
  for (; row + Rows <= work.rows; row += Rows) {
    if (column == 0 && work.ahead_lines > 0) prefetch_part(work, row / Rows, work.rows / Rows);
    tile<Rows, Vectors>(work, row, column);
  }
  if (row == work.rows) return;
  auto const left = static_cast<std::size_t>(work.rows - row - 1);
  // What is left of the rows of a large tile takes half the code in narrow tiles.
  if constexpr (Vectors > 1 && Rows > 6 && Rows <= narrow_tile_rows) {
    constexpr int half = Vectors / 2;
    tiles<narrow_tile_rows, half, T, Element>[left](work, row, column);
    tiles<narrow_tile_rows, half, T, Element>[left](work, row, column + half * simd::lanes);
  } else {
    tiles<Rows, Vectors, T, Element>[left](work, row, column);
  }
}

}  // namespace gemm_detail

template <class T, class Element>
void gemm(Gemm<T, Element> const& work) noexcept {
  using namespace gemm_detail;
  constexpr Index tile_columns = tile_vectors * simd::lanes;
  Index const columns = work.lines * line;
  Index column = 0;
  if (work.depth >= shortest_wide_depth) {
    for (; column + tile_columns <= columns; column += tile_columns)
      column_of_tiles<tile_rows, tile_vectors>(work, column);
  }
  if constexpr (tile_columns > line) {
    // Tiles of half the width: for the last of an odd number of lines, or for all of a short depth.
    for (; column < columns; column += line) column_of_tiles<narrow_tile_rows, tile_vectors / 2>(work, column);
  }
}

/// As B has them, rows [first, first + depth) of packed weights of a depth of `packed_depth`, each multiplied with its
/// scale unless `scales` is null. Lines of 16 columns lie `line_stride` operands apart.
template <class T>
void prepare_matrix(T const* weights, Index packed_depth, Index first, Index depth, Index columns, T const* scales,
                    Operand<T>* to, Index line_stride) noexcept {
  using namespace simd;
  constexpr Index line = channels_per_line<float>;
  for (Index column = 0; column < columns; column += lanes) {
    auto const row = [&](Index k) {
      if (k >= depth) return broadcast(0.0f);
      Pack const numbers = load(weights + packed_position<T>(packed_depth, column, first + k));
      return scales == nullptr ? numbers : numbers * broadcast(static_cast<float>(scales[k]));
    };
    Operand<T>* at = to + column / line * line_stride + column % line;
    for (Index k = 0; k < depth; k += numbers_an_operand<T>, at += line) store_row(at, row(k), row(k + 1));
  }
}

/// Elements of packed weights as B has them; 0: those of float are that already.
template <class T>
constexpr Index weight_operands(Index depth, Index columns) noexcept {
  return std::is_same_v<T, float> ? 0 : operands<T>(depth) * columns;
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

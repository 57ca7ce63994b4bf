// The two kernels behind every convolution of the training engine, in GCC's vector extensions.
//
//  - convolve: out[p][co] = sum over terms and k of in[p][k] * weights[k][co], for forward and data gradient;
//  - weight_gradient: dw[k][co] += sum over pixels of in[p][k] * out_gradient[p][co].
//
// A term is a run of k floats that lie next to each other at a fixed distance from the pixel: one pixel's channels, or
// for a 3x3 kernel those of the three pixels of one row. Both keep their results in registers: 6 pixels (or values of
// k) x 16 channels in 12 registers of AVX2's size, 12 x 32 in 24 of AVX-512's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace mirnet_train {

using v8 = float __attribute__((vector_size(32), may_alias));
using i8 = int __attribute__((vector_size(32), may_alias));

inline constexpr int tile_lanes = 16;  // output channels of a block of packed weights

#if defined(__AVX512F__)
using vector = float __attribute__((vector_size(64), may_alias));
inline constexpr int most_blocks = 2;   // blocks of 16 channels that a tile computes together
inline constexpr int tile_pixels = 12;  // pixels, or values of k, of a tile
#else
using vector = v8;
inline constexpr int most_blocks = 1;
inline constexpr int tile_pixels = 6;
#endif
inline constexpr int vector_lanes = sizeof(vector) / sizeof(float);
inline constexpr int block_vectors = tile_lanes / vector_lanes;

inline v8 load(const float* p) { return *reinterpret_cast<const v8*>(p); }
inline void store(float* p, v8 v) { *reinterpret_cast<v8*>(p) = v; }
inline v8 splat(float x) { return v8{x, x, x, x, x, x, x, x}; }
inline float sum(v8 v) {
  float total = 0;
  for (int i = 0; i < 8; ++i) total += v[i];
  return total;
}
inline vector load_vector(const float* p) { return *reinterpret_cast<const vector*>(p); }
inline void store_vector(float* p, vector v) { *reinterpret_cast<vector*>(p) = v; }

/// Pixels to visit: `rows` runs of `pixels`, with the distances between rows and pixels on either side.
struct Walk {
  int rows, pixels;
  std::size_t in_row, in_pixel, out_row, out_pixel;
};

/// One run of k inputs. Weights are [block of 16 output channels][k][16].
struct Term {
  const float* in;
  const float* weights;
  int k;
};

enum class Store { plain, activate, mask };

struct Target {
  float* out;
  const float* base = nullptr;  // added to the result; may be `out`
  // Store::activate: PReLU of the result goes to `out`, and the result to `raw` if that is not null.
  float* raw = nullptr;
  // Store::mask: the result is the gradient of a PReLU's output; what is stored is that of its input `pre`.
  const float* pre = nullptr;
  float slope = 0;
  float* slope_gradient = nullptr;  // 16 partial sums
};

/// visit.template operator()<size>(begin, tiles): runs of tiles, with sizes as equal as possible and none above
/// tile_pixels, so that no tile is left with too few accumulators.
template <class Visit>
inline __attribute__((always_inline)) void balanced_tiles(int count, Visit&& visit) {
  const int tiles = (count + tile_pixels - 1) / tile_pixels, size = count / tiles, larger = count % tiles;
  auto run = [&]<int N>(auto&& self, int begin, int run_size, int run_tiles) __attribute__((always_inline)) {
    if (run_size == N) {
      visit.template operator()<N>(begin, run_tiles);
    } else if constexpr (N > 1) {
      self.template operator()<N - 1>(self, begin, run_size, run_tiles);
    }
  };
  if (larger > 0) run.template operator()<tile_pixels>(run, 0, size + 1, larger);
  run.template operator()<tile_pixels>(run, larger * (size + 1), size, tiles - larger);
}

/// visit.template operator()<blocks>(first): all blocks of 16 channels, as many at a time as a tile computes.
template <class Visit>
inline __attribute__((always_inline)) void grouped_blocks(int blocks, Visit&& visit) {
  int block = 0;
  for (; block + most_blocks <= blocks; block += most_blocks) visit.template operator()<most_blocks>(block);
  for (; block < blocks; ++block) visit.template operator()<1>(block);
}

template <int P, int B, Store S>
inline __attribute__((always_inline)) void convolve_tile(const Term* terms, int count, std::size_t in_at,
                                                         std::size_t in_pixel, int block, const Target& target,
                                                         std::size_t out_at, std::size_t out_pixel) {
  constexpr int vectors = B * block_vectors;
  vector a[P][vectors];
  if (target.base) {
#pragma GCC unroll 12
    for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) a[i][v] = load_vector(target.base + out_at + i * out_pixel + v * vector_lanes);
    }
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) a[i][v] = vector{};
    }
  }
  for (int t = 0; t < count; ++t) {
    const int k_count = terms[t].k;
    const float* in = terms[t].in + in_at;
    const float* w = terms[t].weights + std::size_t(block) * k_count * tile_lanes;
    const std::size_t next_block = std::size_t(k_count) * tile_lanes;
#pragma GCC unroll 2
    for (int k = 0; k < k_count; ++k) {
      vector weight[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        weight[v] = load_vector(w + k * tile_lanes + v / block_vectors * next_block + v % block_vectors * vector_lanes);
      }
#pragma GCC unroll 12
      for (int i = 0; i < P; ++i) {
        const float x = in[i * in_pixel + k];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) a[i][v] += x * weight[v];
      }
    }
  }
  vector slope_gradient{};
#pragma GCC unroll 12
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const std::size_t at = out_at + i * out_pixel + v * vector_lanes;
      vector y = a[i][v];
      if constexpr (S == Store::activate) {
        if (target.raw) store_vector(target.raw + at, y);
        y = y > 0 ? y : y * target.slope;
      }
      if constexpr (S == Store::mask) {
        const vector x = load_vector(target.pre + at);
        slope_gradient += x > 0 ? vector{} : x * y;
        y = x > 0 ? y : y * target.slope;
      }
      store_vector(target.out + at, y);
    }
  }
  if constexpr (S == Store::mask) {
    store_vector(target.slope_gradient, load_vector(target.slope_gradient) + slope_gradient);
  }
}

template <Store S>
__attribute__((noinline)) void convolve_pass(const Term* terms, int count, const Walk& walk, int blocks,
                                             const Target& target) {
  grouped_blocks(
      blocks, [&]<int B>(int block) __attribute__((always_inline)) {
        for (int row = 0; row < walk.rows; ++row) {
          balanced_tiles(
              walk.pixels, [&]<int P>(int begin, int tiles) __attribute__((always_inline)) {
                std::size_t in_at = row * walk.in_row + begin * walk.in_pixel;
                std::size_t out_at = row * walk.out_row + begin * walk.out_pixel + std::size_t(block) * tile_lanes;
                for (int t = 0; t < tiles; ++t, in_at += P * walk.in_pixel, out_at += P * walk.out_pixel) {
                  convolve_tile<P, B, S>(terms, count, in_at, walk.in_pixel, block, target, out_at, walk.out_pixel);
                }
              });
        }
      });
}

template <Store S>
inline void convolve(const Term* terms, int count, const Walk& walk, int blocks, Target target) {
  // Weights of one pass should stay in the first-level cache beside the pixels. Wide tiles read them so seldom that the
  // second level serves as well.
  constexpr int most_per_pass = most_blocks > 1 ? 4000 : 400;
  while (count > 0) {
    int now = 0;
    for (int k = 0; now < count && (now == 0 || k + terms[now].k <= most_per_pass); ++now) k += terms[now].k;
    if (now == count) {
      convolve_pass<S>(terms, now, walk, blocks, target);
    } else {
      convolve_pass<Store::plain>(terms, now, walk, blocks, target);
      target.base = target.out;
    }
    terms += now;
    count -= now;
  }
}

struct GradientTerm {
  const float* in;
  float* gradient;  // [block of 16 output channels][k][16]
  int k;
};

template <int R, int B>
inline __attribute__((always_inline)) void gradient_tile(const float* in, const float* out, const Walk& walk, int rows,
                                                         int pixels, float* gradient, std::size_t next_block) {
  constexpr int vectors = B * block_vectors;
  vector a[R][vectors];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) a[r][v] = vector{};
  }
  for (int row = 0; row < rows; ++row) {
    const float* x = in + row * walk.in_row;
    const float* y = out + row * walk.out_row;
    for (int p = 0; p < pixels; ++p, x += walk.in_pixel, y += walk.out_pixel) {
      vector out_gradient[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) out_gradient[v] = load_vector(y + v * vector_lanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) a[r][v] += x[r] * out_gradient[v];
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {  // added only now: a sum of sums has smaller rounding errors
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      float* to = gradient + r * tile_lanes + v / block_vectors * next_block + v % block_vectors * vector_lanes;
      store_vector(to, load_vector(to) + a[r][v]);
    }
  }
}

/// `out` is the gradient of the results, `blocks` x 16 channels wide.
__attribute__((noinline)) inline void weight_gradient(const GradientTerm* terms, int count, const Walk& walk,
                                                      int blocks, const float* out) {
  // Pixels of one visit: few enough for inputs and outputs to stay in the nearest caches for all taps, many enough for
  // what it costs to start and end a tile.
  constexpr int most = 144;
  const int row_step = std::max(1, most / walk.pixels);
  const int pixel_pieces = (walk.pixels + most - 1) / most;
  for (int row = 0; row < walk.rows; row += row_step) {
    const int rows = std::min(row_step, walk.rows - row);
    for (int piece = 0; piece < pixel_pieces; ++piece) {
      const int begin = int(long(walk.pixels) * piece / pixel_pieces);
      const int pixels = int(long(walk.pixels) * (piece + 1) / pixel_pieces) - begin;
      for (int t = 0; t < count; ++t) {
        const float* in = terms[t].in + row * walk.in_row + begin * walk.in_pixel;
        const std::size_t next_block = std::size_t(terms[t].k) * tile_lanes;
        grouped_blocks(
            blocks, [&]<int B>(int block) __attribute__((always_inline)) {
              const float* y = out + row * walk.out_row + begin * walk.out_pixel + std::size_t(block) * tile_lanes;
              float* gradient = terms[t].gradient + block * next_block;
              balanced_tiles(
                  terms[t].k, [&]<int R>(int k, int tiles) __attribute__((always_inline)) {
                    for (int tile = 0; tile < tiles; ++tile, k += R) {
                      gradient_tile<R, B>(in + k, y, walk, rows, pixels, gradient + std::size_t(k) * tile_lanes,
                                          next_block);
                    }
                  });
            });
      }
    }
  }
}

}  // namespace mirnet_train

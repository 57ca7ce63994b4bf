// The two kernels behind every convolution of the training engine, in GCC's vector extensions.
//
//  - convolve: out[p][co] = sum over terms and k of in[p][k] * weights[k][co], for forward and data gradient;
//  - weight_gradient: dw[k][co] += sum over pixels of in[p][k] * out_gradient[p][co].
//
// A term is a run of k floats that lie next to each other at a fixed distance from the pixel: one pixel's channels, or
// for a 3x3 kernel those of the three pixels of one row. Both keep 6 x 16 results in 12 vector registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace mirnet_train {

using v8 = float __attribute__((vector_size(32), may_alias));
using i8 = int __attribute__((vector_size(32), may_alias));

inline constexpr int tile_lanes = 16;  // output channels of a tile
inline constexpr int tile_pixels = 6;  // pixels, or values of k, of a tile

inline v8 load(const float* p) { return *reinterpret_cast<const v8*>(p); }
inline void store(float* p, v8 v) { *reinterpret_cast<v8*>(p) = v; }
inline v8 splat(float x) { return v8{x, x, x, x, x, x, x, x}; }
inline float sum(v8 v) {
  float total = 0;
  for (int i = 0; i < 8; ++i) total += v[i];
  return total;
}

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
  float* slope_gradient = nullptr;  // 8 partial sums
};

/// visit.template operator()<size>(begin, tiles): runs of tiles, with sizes as equal as possible and none above
/// tile_pixels, so that no tile is left with too few accumulators.
template <class Visit>
inline __attribute__((always_inline)) void balanced_tiles(int count, Visit&& visit) {
  const int tiles = (count + tile_pixels - 1) / tile_pixels, size = count / tiles, larger = count % tiles;
  auto run = [&](int begin, int run_size, int run_tiles) __attribute__((always_inline)) {
    switch (run_size) {
      case 6: visit.template operator()<6>(begin, run_tiles); break;
      case 5: visit.template operator()<5>(begin, run_tiles); break;
      case 4: visit.template operator()<4>(begin, run_tiles); break;
      case 3: visit.template operator()<3>(begin, run_tiles); break;
      case 2: visit.template operator()<2>(begin, run_tiles); break;
      default: visit.template operator()<1>(begin, run_tiles); break;
    }
  };
  if (larger > 0) run(0, size + 1, larger);
  run(larger * (size + 1), size, tiles - larger);
}

template <int P, Store S>
inline __attribute__((always_inline)) void convolve_tile(const Term* terms, int count, std::size_t in_at,
                                                         std::size_t in_pixel, int block, const Target& target,
                                                         std::size_t out_at, std::size_t out_pixel) {
  v8 a[P][2];
  if (target.base) {
#pragma GCC unroll 6
    for (int i = 0; i < P; ++i) {
      const float* base = target.base + out_at + i * out_pixel;
      a[i][0] = load(base);
      a[i][1] = load(base + 8);
    }
  } else {
#pragma GCC unroll 6
    for (int i = 0; i < P; ++i) a[i][0] = a[i][1] = v8{};
  }
  for (int t = 0; t < count; ++t) {
    const int k_count = terms[t].k;
    const float* in = terms[t].in + in_at;
    const float* w = terms[t].weights + std::size_t(block) * k_count * tile_lanes;
#pragma GCC unroll 4
    for (int k = 0; k < k_count; ++k) {
      const v8 w0 = load(w + k * tile_lanes), w1 = load(w + k * tile_lanes + 8);
#pragma GCC unroll 6
      for (int i = 0; i < P; ++i) {
        const v8 x = splat(in[i * in_pixel + k]);
        a[i][0] += x * w0;
        a[i][1] += x * w1;
      }
    }
  }
  v8 slope_gradient{};
  const v8 slope = splat(target.slope);
#pragma GCC unroll 6
  for (int i = 0; i < P; ++i) {
    const std::size_t at = out_at + i * out_pixel;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      v8 y = a[i][half];
      if constexpr (S == Store::activate) {
        if (target.raw) store(target.raw + at + 8 * half, y);
        y = y > 0 ? y : y * slope;
      }
      if constexpr (S == Store::mask) {
        const v8 x = load(target.pre + at + 8 * half);
        slope_gradient += x > 0 ? v8{} : x * y;
        y = x > 0 ? y : y * slope;
      }
      store(target.out + at + 8 * half, y);
    }
  }
  if constexpr (S == Store::mask) store(target.slope_gradient, load(target.slope_gradient) + slope_gradient);
}

template <Store S>
__attribute__((noinline)) void convolve_pass(const Term* terms, int count, const Walk& walk, int blocks,
                                             const Target& target) {
  for (int block = 0; block < blocks; ++block) {
    for (int row = 0; row < walk.rows; ++row) {
      balanced_tiles(
          walk.pixels, [&]<int P>(int begin, int tiles) __attribute__((always_inline)) {
            std::size_t in_at = row * walk.in_row + begin * walk.in_pixel;
            std::size_t out_at = row * walk.out_row + begin * walk.out_pixel + std::size_t(block) * tile_lanes;
            for (int t = 0; t < tiles; ++t, in_at += P * walk.in_pixel, out_at += P * walk.out_pixel) {
              convolve_tile<P, S>(terms, count, in_at, walk.in_pixel, block, target, out_at, walk.out_pixel);
            }
          });
    }
  }
}

template <Store S>
inline void convolve(const Term* terms, int count, const Walk& walk, int blocks, Target target) {
  // Weights of one pass should stay in the first-level cache beside the pixels.
  constexpr int most_per_pass = 400;
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

template <int R>
inline __attribute__((always_inline)) void gradient_tile(const float* in, const float* out, const Walk& walk, int rows,
                                                         int pixels, float* gradient) {
  v8 a[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) a[r][0] = a[r][1] = v8{};
  for (int row = 0; row < rows; ++row) {
    const float* x = in + row * walk.in_row;
    const float* y = out + row * walk.out_row;
    for (int p = 0; p < pixels; ++p, x += walk.in_pixel, y += walk.out_pixel) {
      const v8 y0 = load(y), y1 = load(y + 8);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const v8 b = splat(x[r]);
        a[r][0] += b * y0;
        a[r][1] += b * y1;
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {  // added only now: a sum of sums has smaller rounding errors
    float* to = gradient + r * tile_lanes;
    store(to, load(to) + a[r][0]);
    store(to + 8, load(to + 8) + a[r][1]);
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
        for (int block = 0; block < blocks; ++block) {
          const float* y = out + row * walk.out_row + begin * walk.out_pixel + std::size_t(block) * tile_lanes;
          float* gradient = terms[t].gradient + std::size_t(block) * terms[t].k * tile_lanes;
          balanced_tiles(
              terms[t].k, [&]<int R>(int k, int tiles) __attribute__((always_inline)) {
                for (int tile = 0; tile < tiles; ++tile, k += R) {
                  gradient_tile<R>(in + k, y, walk, rows, pixels, gradient + std::size_t(k) * tile_lanes);
                }
              });
        }
      }
    }
  }
}

}  // namespace mirnet_train

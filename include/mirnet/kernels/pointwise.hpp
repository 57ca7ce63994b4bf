// Element-wise operations. Counts and pitches are whole lines, so there are no tails.
#pragma once

#include <algorithm>
#include <cstring>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

template <class T>
void prelu(T* x, Index count, T slope) noexcept {
  using namespace simd;
  Pack const slopes = broadcast(slope);
  for (Index i = 0; i < count; i += lanes) store(x + i, simd::prelu(load(x + i), slopes));
}

template <class T>
void channel_prelu(T* x, Index pixels, Index pitch, Index count, T const* slopes) noexcept {
  using namespace simd;
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < count; c += lanes) store(x + c, simd::prelu(load(x + c), load(slopes + c)));
  }
}

template <class T>
void sigmoid(T* x, Index count) noexcept {
  using namespace simd;
  for (Index i = 0; i < count; i += lanes) store(x + i, simd::sigmoid(load(x + i)));
}

template <class T>
void softmax(T* x, Index vectors, Index count, Index step) noexcept {
  using namespace simd;
  for (Index i = 0; i < count; i += lanes) {
    // Without the largest value in the exponent, a large logit would overflow.
    Pack largest = load(x + i), sum = broadcast(0.0f);
    for (Index v = 1; v < vectors; ++v) largest = larger(load(x + v * step + i), largest);
    for (Index v = 0; v < vectors; ++v) sum = sum + simd::exp(load(x + v * step + i) - largest);
    for (Index v = 0; v < vectors; ++v)
      store(x + v * step + i, divide(simd::exp(load(x + v * step + i) - largest), sum));
  }
}

template <class T>
void weighted_sum(WeightedSum<T> const& work, Index first_pixel, Index last_pixel) noexcept {
  using namespace simd;
  for (Index pixel = first_pixel; pixel < last_pixel; ++pixel) {
    constexpr int packs = static_cast<int>(channels_per_line<T> / lanes);
    for (Index c = 0; c < work.pitch; c += channels_per_line<T>) {
      Index const at = pixel * work.pitch + c;
      Pack sum[packs];
      for (int v = 0; v < packs; ++v)
        sum[v] = load(work.weights[0] + c + v * lanes) * load(work.inputs[0] + at + v * lanes);
      for (Index i = 1; i < work.count; ++i) {
        for (int v = 0; v < packs; ++v) {
          sum[v] = fma(load(work.weights[i] + c + v * lanes), load(work.inputs[i] + at + v * lanes), sum[v]);
        }
      }
      store_all<packs>(work.output + at, sum);
    }
  }
}

template <class T>
void spatial_gate(SpatialGate<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  float taps[2][25];
  for (Index i = 0; i < 50; ++i) taps[i / 25][i % 25] = work.weights[i];
  for (Index y = first_row; y < last_row; ++y) {
    T* const gate = work.gate + y * work.width;
    for (Index x = 0; x < work.width; x += lanes) {
      Pack sum = broadcast(0.0f);
      for (Index plane = 0; plane < 2; ++plane) {
        Accumulator<T> const* const in = (plane == 0 ? work.maximum : work.mean) + y * work.plane_pitch + x;
        for (Index ky = 0; ky < 5; ++ky) {
          for (Index kx = 0; kx < 5; ++kx) {
            sum = fma(load(in + ky * work.plane_pitch + kx), broadcast(taps[plane][ky * 5 + kx]), sum);
          }
        }
      }
      sum = simd::sigmoid(sum);
      if (x + lanes <= work.width) {
        store(gate + x, sum);
      } else {
        T last[lanes];
        store(last, sum);
        std::memcpy(gate + x, last, static_cast<std::size_t>(work.width - x) * sizeof(T));
      }
    }
  }
}

template <class T>
void activated_sum(ActivatedSum<T> const& work, Index first, Index last, Accumulator<T>* sums) noexcept {
  using namespace simd;
  constexpr Index line = channels_per_line<T>, most_pixels = 16;
  constexpr int packs = static_cast<int>(line / lanes);
  Pack const slope = broadcast(work.slope);
  if (sums != nullptr) std::fill_n(sums, work.pitch, 0.0f);
  // Of a few pixels, which stay in the first-level cache, a line of channels at a time, whose sums stay in registers.
  for (Index begin = first; begin < last; begin += most_pixels) {
    Index const end = (std::min)(begin + most_pixels, last);
    for (Index c = 0; c < work.pitch; c += line) {
      Pack sum[packs], added[packs];
      for (int v = 0; v < packs; ++v) {
        sum[v] = broadcast(0.0f);
        added[v] = load(work.vector + c + v * lanes);
      }
      for (Index at = begin * work.pitch + c; at < end * work.pitch; at += work.pitch) {
        Pack value[packs];
        for (int v = 0; v < packs; ++v) {
          Pack const activated = simd::prelu(load(work.input + at + v * lanes) + added[v], slope);
          value[v] = activated + load(work.residual + at + v * lanes);
          sum[v] = sum[v] + value[v];
        }
        store_all<packs>(work.output + at, value);
      }
      for (int v = 0; sums != nullptr && v < packs; ++v) {
        store(sums + c + v * lanes, load(sums + c + v * lanes) + sum[v]);
      }
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

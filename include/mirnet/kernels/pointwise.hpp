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

/// Zeros in the padding of a pixel's last line.
template <class T>
MIRNET_ALWAYS_INLINE void clear_padding(T* pixel, Index channels) noexcept {
  for (Index c = channels; c % channels_per_line<T> != 0; ++c) pixel[c] = T(0);
}

/// body(function) with the function of registers that f names.
template <class Body>
void with_function(PointFunction const& f, Body&& body) noexcept {
  using namespace simd;
  Pack const half = broadcast(0.5f), one = broadcast(1.0f);
  auto const hard = [](Pack x) MIRNET_INLINE_LAMBDA {
    return clamp(x + broadcast(3.0f), broadcast(0.0f), broadcast(6.0f)) * broadcast(1.0f / 6.0f);
  };
  switch (f.function) {
    case Function::none: return;
    case Function::clamp: {
      Pack const low = broadcast(static_cast<float>(f.low)), high = broadcast(static_cast<float>(f.high));
      return body([=](Pack x) MIRNET_INLINE_LAMBDA { return clamp(x, low, high); });
    }
    case Function::sigmoid: return body([](Pack x) MIRNET_INLINE_LAMBDA { return simd::sigmoid(x); });
    case Function::tanh: return body([](Pack x) MIRNET_INLINE_LAMBDA { return simd::tanh(x); });
    case Function::gelu:
      return body([=](Pack x) MIRNET_INLINE_LAMBDA {
        return half * x * (one + simd::erf(x * broadcast(0.70710678118654752440f)));
      });
    case Function::gelu_tanh:
      return body([=](Pack x) MIRNET_INLINE_LAMBDA {
        Pack const cube = broadcast(0.044715f) * x * x;
        return half * x * (one + simd::tanh(broadcast(0.79788456080286535588f) * fma(cube, x, x)));
      });
    case Function::silu: return body([](Pack x) MIRNET_INLINE_LAMBDA { return x * simd::sigmoid(x); });
    case Function::hard_sigmoid: return body([=](Pack x) MIRNET_INLINE_LAMBDA { return hard(x); });
    case Function::hard_swish: return body([=](Pack x) MIRNET_INLINE_LAMBDA { return x * hard(x); });
  }
}

template <class T>
void apply_function(FunctionOf<T> const& work, Index first, Index last) noexcept {
  with_function(work.function, [&](auto const& function) {
    using namespace simd;
    T const* in = work.input + first * work.input_pitch;
    T* out = work.output + first * work.output_pitch;
    for (Index pixel = first; pixel < last; ++pixel, in += work.input_pitch, out += work.output_pitch) {
      for (Index c = 0; c < work.channels; c += lanes) store(out + c, function(load(in + c)));
      clear_padding(out, work.channels);
    }
  });
}

/// combine() by one operation on registers.
template <class T, class Operate>
MIRNET_ALWAYS_INLINE void combine_by(Combination<T> const& work, Index first, Index last, Operate operate) noexcept {
  using namespace simd;
  T const* left = work.left + first * work.left_pitch;
  T const* right = work.right + first * work.right_pitch;
  T const* added = work.added + first * work.added_pitch;
  T* out = work.output + first * work.output_pitch;
  Index const whole_lines = pixel_pitch<T>(work.channels);
  for (Index pixel = first; pixel < last; ++pixel) {
    auto const value = [&](Index c) MIRNET_INLINE_LAMBDA {
      Pack const other = work.spreads ? broadcast(*right) : load(right + c);
      Pack const result = operate(load(left + c), other);
      return work.added != nullptr ? load(added + c) + result : result;
    };
    for (Index c = 0; c < whole_lines; c += lanes) store(out + c, value(c));
    if (work.spreads) clear_padding(out, work.channels);
    left += work.left_pitch;
    right += work.right_pitch;
    added += work.added_pitch;
    out += work.output_pitch;
  }
}

template <class T>
void combine(Combination<T> const& work, Index first, Index last) noexcept {
  using simd::Pack;
  switch (work.operation) {
    case Operation::add:
      return combine_by(work, first, last, [](Pack x, Pack y) MIRNET_INLINE_LAMBDA { return x + y; });
    case Operation::subtract:
      return combine_by(work, first, last, [](Pack x, Pack y) MIRNET_INLINE_LAMBDA { return x - y; });
    case Operation::multiply:
      return combine_by(work, first, last, [](Pack x, Pack y) MIRNET_INLINE_LAMBDA { return x * y; });
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

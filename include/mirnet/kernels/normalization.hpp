// Normalizations and the softmax: over the channels of a pixel, or over the pixels of a channel.
#pragma once

#include <algorithm>

#include <mirnet/kernels/pointwise.hpp>
#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

template <class T>
void scale_and_shift(Scaling<T> const& work, Index first, Index last) noexcept {
  using namespace simd;
  T const* in = work.input + first * work.input_pitch;
  T* out = work.output + first * work.output_pitch;
  for (Index pixel = first; pixel < last; ++pixel, in += work.input_pitch, out += work.output_pitch) {
    for (Index c = 0; c < work.channels; c += lanes) {
      store(out + c, fma(load(in + c) - load(work.centre + c), load(work.scale + c), load(work.shift + c)));
    }
    clear_padding(out, work.channels);
  }
}

/// As many pixels at a time as a register has lanes, so that each of these gets the sums of one. The last ones of a
/// range are computed again in the place of those that do not exist.
template <class T>
void normalize(Normalization<T> const& work, Index first, Index last) noexcept {
  using namespace simd;
  constexpr Index line = channels_per_line<T>;
  Index const channels = work.channels, whole = channels / line * line;
  float last_line[line] = {};
  std::fill_n(last_line, channels % line, 1.0f);
  Pack const count = broadcast(static_cast<float>(channels)), one = broadcast(1.0f);
  Pack const epsilon = broadcast(static_cast<float>(work.epsilon));
  for (Index pixel = first; pixel < last; pixel += lanes) {
    T const* in[lanes];
    for (Index p = 0; p < lanes; ++p) in[p] = work.input + (std::min)(pixel + p, last - 1) * work.input_pitch;
    Pack sums[lanes];
    MIRNET_UNROLL for (Index p = 0; p < lanes; ++p) sums[p] = broadcast(0.0f);
    for (Index c = 0; c < channels; c += lanes) {
      MIRNET_UNROLL for (Index p = 0; p < lanes; ++p) sums[p] = sums[p] + load(in[p] + c);
    }
    float means[lanes], inverses[lanes];
    store(means, divide(sums_of_lanes(sums), count));
    MIRNET_UNROLL for (Index p = 0; p < lanes; ++p) sums[p] = broadcast(0.0f);
    for (Index c = 0; c < channels; c += lanes) {
      Pack const keep = c >= whole ? load(last_line + (c - whole)) : one;  // padding differs from the mean
      MIRNET_UNROLL for (Index p = 0; p < lanes; ++p) {
        Pack const difference = (load(in[p] + c) - broadcast_from(means + p)) * keep;
        sums[p] = fma(difference, difference, sums[p]);
      }
    }
    store(inverses, divide(one, simd::sqrt(divide(sums_of_lanes(sums), count) + epsilon)));
    Index const pixels = (std::min)(lanes, last - pixel);
    T* const out = work.output + pixel * work.output_pitch;
    for (Index c = 0; c < channels; c += lanes) {
      Pack const scale = work.scale != nullptr ? load(work.scale + c) : one;
      Pack const shift = work.shift != nullptr ? load(work.shift + c) : broadcast(0.0f);
      for (Index p = 0; p < pixels; ++p) {
        Pack const value = (load(in[p] + c) - broadcast_from(means + p)) * broadcast_from(inverses + p);
        store(out + p * work.output_pitch + c, fma(value, scale, shift));
      }
    }
    for (Index p = 0; channels != whole && p < pixels; ++p) clear_padding(out + p * work.output_pitch, channels);
  }
}

template <class T>
void softmax_of_channels(T* x, Index pixels, Index channels, Index pitch) noexcept {
  using namespace simd;
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    float largest = x[0], sum = 0.0f;
    for (Index c = 1; c < channels; ++c) largest = (std::max)(largest, static_cast<float>(x[c]));
    Index const end = round_up(channels, lanes);
    auto const exponential = [&](Index c) { return simd::exp(load(x + c) - broadcast(largest)); };
    for (Index c = 0; c < end; c += lanes) {
      float part[lanes];
      store(part, exponential(c));
      for (Index i = 0; i < (std::min)(lanes, channels - c); ++i) sum += part[i];
    }
    Pack const divisor = broadcast(sum);
    for (Index c = 0; c < end; c += lanes) store(x + c, divide(exponential(c), divisor));
    clear_padding(x, channels);
  }
}

template <class T>
void channel_squares(T const* x, Index pixels, Index pitch, Index count, Accumulator<T> const* centre,
                     Accumulator<T>* sums) noexcept {
  using namespace simd;
  for (Index c = 0; c < count; c += lanes) {
    Pack const mean = load(centre + c);
    Pack sum = broadcast(0.0f);
    for (Index pixel = 0; pixel < pixels; ++pixel) {
      Pack const difference = load(x + pixel * pitch + c) - mean;
      sum = fma(difference, difference, sum);
    }
    store(sums + c, sum);
  }
}

template <class T>
void channel_exponentials(T* x, Index pixels, Index pitch, Index count, Accumulator<T> const* largest,
                          Accumulator<T>* sums) noexcept {
  using namespace simd;
  for (Index c = 0; c < count; c += lanes) {
    Pack const most = load(largest + c);
    Pack sum = broadcast(0.0f);
    for (Index pixel = 0; pixel < pixels; ++pixel) {
      Pack const value = simd::exp(load(x + pixel * pitch + c) - most);
      store(x + pixel * pitch + c, value);
      sum = sum + value;
    }
    store(sums + c, sum);
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

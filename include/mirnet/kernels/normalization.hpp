// Normalizations and the softmax: over the channels of a pixel, or over the pixels of a channel.
#pragma once

#include <algorithm>
#include <cmath>

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

namespace normalization_detail {

/// The sums over the channels of a few pixels, which are added one behind the other: each waits for the one before.
inline constexpr int pixels_at_a_time = 4;

/// One or a few pixels.
template <int pixels, class T>
MIRNET_ALWAYS_INLINE void normalize_pixels(Normalization<T> const& work, T const* in, T* out,
                                           float const* last_line) noexcept {
  using namespace simd;
  constexpr Index line = channels_per_line<T>;
  Index const channels = work.channels, whole = channels / line * line;
  float const count = static_cast<float>(channels);
  Pack sum[pixels], mean[pixels], inverse[pixels];
  for (int p = 0; p < pixels; ++p) sum[p] = broadcast(0.0f);
  for (Index c = 0; c < channels; c += lanes) {
    for (int p = 0; p < pixels; ++p) sum[p] = sum[p] + load(in + p * work.input_pitch + c);
  }
  for (int p = 0; p < pixels; ++p) {
    mean[p] = broadcast(sum_of_lanes(sum[p]) / count);
    sum[p] = broadcast(0.0f);
  }
  for (Index c = 0; c < channels; c += lanes) {
    for (int p = 0; p < pixels; ++p) {
      Pack difference = load(in + p * work.input_pitch + c) - mean[p];
      if (c >= whole) difference = difference * load(last_line + (c - whole));  // padding differs from the mean
      sum[p] = fma(difference, difference, sum[p]);
    }
  }
  for (int p = 0; p < pixels; ++p) {
    float const variance = sum_of_lanes(sum[p]) / count;
    inverse[p] = broadcast(1.0f / std::sqrt(variance + static_cast<float>(work.epsilon)));
  }
  for (Index c = 0; c < channels; c += lanes) {
    Pack const scale = work.scale != nullptr ? load(work.scale + c) : broadcast(1.0f);
    Pack const shift = work.shift != nullptr ? load(work.shift + c) : broadcast(0.0f);
    for (int p = 0; p < pixels; ++p) {
      Pack const value = (load(in + p * work.input_pitch + c) - mean[p]) * inverse[p];
      store(out + p * work.output_pitch + c, fma(value, scale, shift));
    }
  }
  for (int p = 0; p < pixels; ++p) clear_padding(out + p * work.output_pitch, channels);
}

}  // namespace normalization_detail

template <class T>
void normalize(Normalization<T> const& work, Index first, Index last) noexcept {
  using namespace normalization_detail;
  float last_line[channels_per_line<T>] = {};
  std::fill_n(last_line, work.channels % channels_per_line<T>, 1.0f);
  T const* in = work.input + first * work.input_pitch;
  T* out = work.output + first * work.output_pitch;
  Index pixel = first;
  for (; pixel + pixels_at_a_time <= last; pixel += pixels_at_a_time) {
    normalize_pixels<pixels_at_a_time>(work, in, out, last_line);
    in += pixels_at_a_time * work.input_pitch;
    out += pixels_at_a_time * work.output_pitch;
  }
  for (; pixel < last; ++pixel, in += work.input_pitch, out += work.output_pitch) {
    normalize_pixels<1>(work, in, out, last_line);
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

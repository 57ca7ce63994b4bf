// Sums over pixels and over channels, which the attention units pool their maps with.
#pragma once

#include <algorithm>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

template <class T>
void channel_sums(T const* x, Index pixels, Index pitch, Accumulator<T>* sums) noexcept {
  using namespace simd;
  for (Index c = 0; c < pitch; c += lanes) store(sums + c, broadcast(0.0f));
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < pitch; c += lanes) store(sums + c, load(sums + c) + load(x + c));
  }
}

template <class T>
void channel_max_mean(T const* x, Index pixels, Index channels, Index pitch, Accumulator<T>* maximum,
                      Accumulator<T>* mean) noexcept {
  using namespace simd;
  Index const whole = channels / lanes * lanes;
  float const scale = 1.0f / static_cast<float>(channels);
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    float largest = x[0], sum = 0.0f;
    if (whole > 0) {
      Pack largest_lanes = load(x), sums = load(x);
      for (Index c = lanes; c < whole; c += lanes) {
        Pack const value = load(x + c);
        largest_lanes = larger(value, largest_lanes);
        sums = sums + value;
      }
      largest = largest_lane(largest_lanes);
      sum = sum_of_lanes(sums);
    }
    for (Index c = whole; c < channels; ++c) {
      float const value = x[c];
      largest = (std::max)(largest, value);
      sum += value;
    }
    maximum[pixel] = largest;
    mean[pixel] = sum * scale;
  }
}

/// Sets the channel sums of a work tile to zero.
template <class T>
void start_statistics(Convolution<T> const& work, Index work_tile) noexcept {
  Index const columns = work.output_lines * channels_per_line<T>;
  if (work.statistics.channel_sums != nullptr)
    std::fill_n(work.statistics.channel_sums + work_tile * columns, columns, 0.0f);
}

/// Adds `lines` lines of channels of these pixels to sums.
template <Index lines, class T>
MIRNET_ALWAYS_INLINE void add_lines(T const* in, Index pixel_step, Index pixels, float* sums) noexcept {
  using namespace simd;
  constexpr Index registers = lines * channels_per_line<float> / lanes;
  Pack sum[registers];
  for (Index v = 0; v < registers; ++v) sum[v] = load(sums + v * lanes);
  for (Index pixel = 0; pixel < pixels; ++pixel, in += pixel_step) {
    for (Index v = 0; v < registers; ++v) sum[v] = sum[v] + load(in + v * lanes);
  }
  for (Index v = 0; v < registers; ++v) store(sums + v * lanes, sum[v]);
}

/// Adds output pixels [x, x + pixels) of row y of a convolution to the statistics of a work tile.
template <class T>
void add_statistics(Convolution<T> const& work, Index work_tile, Index y, Index x, Index pixels) noexcept {
  Statistics<T> const& statistics = work.statistics;
  T const* const first = work.output + y * work.output_row_step + x * work.output_pixel_step;
  if (statistics.channel_sums != nullptr) {
    Index const columns = work.output_lines * channels_per_line<T>;
    float* const sums = statistics.channel_sums + work_tile * columns;
    Index c = 0;
    // Two lines at a time: each sum waits for the one before.
    for (; c + 2 * channels_per_line<float> <= columns; c += 2 * channels_per_line<float>) {
      add_lines<2>(first + c, work.output_pixel_step, pixels, sums + c);
    }
    if (c < columns) add_lines<1>(first + c, work.output_pixel_step, pixels, sums + c);
  }
  if (statistics.maximum != nullptr) {
    Index const at = y * statistics.plane_pitch + x;
    channel_max_mean(first, pixels, statistics.channels, work.output_pixel_step, statistics.maximum + at,
                     statistics.mean + at);
  }
}

/// Adds weights[i] times pixel i to sums, `registers` registers of channels at a time.
template <Index registers, class T>
MIRNET_ALWAYS_INLINE void add_weighted(T const* in, Index pitch, float const* weights, Index pixels,
                                       float* sums) noexcept {
  using namespace simd;
  Pack sum[registers];
  for (Index v = 0; v < registers; ++v) sum[v] = broadcast(0.0f);
  for (Index pixel = 0; pixel < pixels; ++pixel, in += pitch) {
    Pack const weight = broadcast_from(weights + pixel);
    for (Index v = 0; v < registers; ++v) sum[v] = fma(weight, load(in + v * lanes), sum[v]);
  }
  for (Index v = 0; v < registers; ++v) store(sums + v * lanes, sum[v]);
}

template <class T>
void attention_pool(AttentionPool<T> const& work, Index first, Index last, Accumulator<T>* part) noexcept {
  using namespace simd;
  constexpr Index most = AttentionPool<T>::most_pixels;
  MIRNET_ASSERT(first < last && last - first <= most);
  Index const pixels = last - first, pitch = work.pitch;
  T const* const in = work.input + first * pitch;
  float scores[most];
  for (Index pixel = 0; pixel < pixels; ++pixel) {
    Pack sum = broadcast(0.0f);
    for (Index c = 0; c < pitch; c += lanes) sum = fma(load(in + pixel * pitch + c), load(work.score + c), sum);
    scores[pixel] = sum_of_lanes(sum);
  }
  float const largest = *std::max_element(scores, scores + pixels);
  std::fill(scores + pixels, scores + round_up(pixels, lanes), largest);
  float total = 0;
  for (Index pixel = 0; pixel < pixels; pixel += lanes) {
    store(scores + pixel, simd::exp(load(scores + pixel) - broadcast(largest)));
    for (Index i = pixel; i < (std::min)(pixel + lanes, pixels); ++i) total += scores[i];
  }
  std::fill_n(part, work.sums, 0.0f);
  part[0] = largest;
  part[1] = total;
  Index c = 0;
  for (; c + 4 * lanes <= pitch; c += 4 * lanes) add_weighted<4>(in + c, pitch, scores, pixels, part + work.sums + c);
  for (; c < pitch; c += lanes) add_weighted<1>(in + c, pitch, scores, pixels, part + work.sums + c);
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

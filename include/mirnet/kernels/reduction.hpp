// Sums over pixels and over channels, which the attention units pool their maps with.
#pragma once

#include <algorithm>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline v0::inline MIRNET_ISA {

inline void channel_sums(float const* x, Index pixels, Index pitch, float* sums) noexcept {
  using namespace simd;
  for (Index c = 0; c < pitch; c += lanes) store(sums + c, broadcast(0.0f));
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < pitch; c += lanes) store(sums + c, load(sums + c) + load(x + c));
  }
}

inline void channel_max_mean(float const* x, Index pixels, Index channels, Index pitch, float* maximum,
                             float* mean) noexcept {
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
      largest = std::max(largest, x[c]);
      sum += x[c];
    }
    maximum[pixel] = largest;
    mean[pixel] = sum * scale;
  }
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA

// Halving and doubling the resolution, a register of channels at a time.
#pragma once

#include <algorithm>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// Pixels [first, last) of one output row, one behind the other, whole pitches.
template <class T, class To>
void blur_pool_pixels(Resampling<T> const& work, Index y, Index first, Index last, To* out) noexcept {
  using namespace simd;
  Pack const two = broadcast(2.0f), sixteenth = broadcast(1.0f / 16.0f);
  Index const pitch = work.pitch;
  T const* const middle = work.input + (2 * y - work.input_first_row) * work.width * pitch;
  T const* const below = middle + work.width * pitch;
  T const* const above = y == 0 ? below : middle - work.width * pitch;
  // A few outputs at a time: the column to the right of one is to the left of the next.
  constexpr Index most = 4;
  for (Index x = first; x < last; x += most, out += most * pitch) {
    Index const count = (std::min)(most, last - x), from = 2 * x * pitch;
    for (Index c = 0; c < pitch; c += lanes) {
      auto const column = [&](Index at) { return fma(two, load(middle + at), load(above + at) + load(below + at)); };
      Pack left = column((x == 0 ? pitch : from - pitch) + c);
      for (Index i = 0; i < count; ++i) {
        Index const centre = from + 2 * i * pitch + c;
        Pack const right = column(centre + pitch);
        store(out + i * pitch + c, fma(two, column(centre), left + right) * sixteenth);
        left = right;
      }
    }
  }
}

template <class T>
void blur_pool(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  Index const width = work.width / 2;
  for (Index row = first_row; row < last_row; ++row) {
    blur_pool_pixels(work, work.first_row + row, 0, width, work.output + row * width * work.pitch);
  }
}

template <class T>
void bilinear_double(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  Pack const quarter = broadcast(0.25f), three_quarters = broadcast(0.75f);
  Index const pitch = work.pitch;
  for (Index row = first_row; row < last_row; ++row) {
    Index const y = work.first_row + row;
    // The nearer row and column have three quarters of the weight.
    Index const near_y = y / 2, far_y = std::clamp<Index>(near_y + (y % 2 == 0 ? -1 : 1), 0, work.height - 1);
    T const* const near_row = work.input + (near_y - work.input_first_row) * work.width * pitch;
    T const* const far_row = work.input + (far_y - work.input_first_row) * work.width * pitch;
    T* const out = work.output + row * 2 * work.width * pitch;
    // A few pixels at a time, whose lines stay in the first-level cache while their channels are computed.
    constexpr Index some = 32;
    for (Index first = 0; first < work.width; first += some) {
      Index const last = (std::min)(first + some, work.width);
      for (Index c = 0; c < pitch; c += lanes) {
        auto const column = [&](Index x) {
          Index const at = std::clamp<Index>(x, 0, work.width - 1) * pitch + c;
          return fma(three_quarters, load(near_row + at), quarter * load(far_row + at));
        };
        Pack left = column(first - 1), centre = column(first);
        T* to = out + 2 * first * pitch + c;
        for (Index x = first; x < last; ++x, to += 2 * pitch) {
          Pack const right = column(x + 1), own = three_quarters * centre;
          store_two(to, fma(quarter, left, own), to + pitch, fma(quarter, right, own));
          left = centre;
          centre = right;
        }
      }
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

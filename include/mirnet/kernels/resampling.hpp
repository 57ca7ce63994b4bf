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
    // A line of channels at a time: each column is computed once.
    constexpr int packs = static_cast<int>(channels_per_line<T> / lanes);
    for (Index c = 0; c < pitch; c += channels_per_line<T>) {
      auto const column = [&](Index x, Pack* to) {
        Index const at = x * pitch + c;
        for (int v = 0; v < packs; ++v) {
          to[v] = fma(three_quarters, load(near_row + at + v * lanes), quarter * load(far_row + at + v * lanes));
        }
      };
      Pack left[packs], centre[packs], right[packs];
      column(0, left);
      column(0, centre);
      T* to = out + c;
      for (Index x = 0; x < work.width; ++x, to += 2 * pitch) {
        column((std::min)(x + 1, work.width - 1), right);
        for (int v = 0; v < packs; ++v) {
          Pack const own = three_quarters * centre[v];
          store_two(to + v * lanes, fma(quarter, left[v], own), to + pitch + v * lanes, fma(quarter, right[v], own));
          left[v] = centre[v];
          centre[v] = right[v];
        }
      }
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

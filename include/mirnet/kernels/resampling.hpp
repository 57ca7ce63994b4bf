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
void average_halve(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  Pack const quarter = broadcast(0.25f);
  Index const pitch = work.pitch, row_step = work.width * pitch;
  for (Index row = first_row; row < last_row; ++row) {
    T const* in = work.input + (2 * (work.first_row + row) - work.input_first_row) * row_step;
    T* out = work.output + row * (work.width / 2) * pitch;
    for (Index x = 0; x < work.width / 2; ++x, in += 2 * pitch, out += pitch) {
      for (Index c = 0; c < pitch; c += lanes) {
        Pack const above = load(in + c) + load(in + pitch + c);
        Pack const below = load(in + row_step + c) + load(in + row_step + pitch + c);
        store(out + c, (above + below) * quarter);
      }
    }
  }
}

/// Rows of a doubled map, a line of channels at a time: write(element, c, left, right) takes the registers of the line
/// from channel c on of two pixels, of which the left one begins at that element of the output.
template <class T, class Write>
MIRNET_ALWAYS_INLINE void each_doubled_line(Resampling<T> const& work, Index first_row, Index last_row,
                                            Write&& write) noexcept {
  using namespace simd;
  Pack const quarter = broadcast(0.25f), three_quarters = broadcast(0.75f);
  Index const pitch = work.pitch;
  for (Index row = first_row; row < last_row; ++row) {
    Index const y = work.first_row + row;
    // The nearer row and column have three quarters of the weight.
    Index const near_y = y / 2, far_y = std::clamp<Index>(near_y + (y % 2 == 0 ? -1 : 1), 0, work.height - 1);
    T const* const near_row = work.input + (near_y - work.input_first_row) * work.width * pitch;
    T const* const far_row = work.input + (far_y - work.input_first_row) * work.width * pitch;
    Index const out = row * 2 * work.width * pitch;
    // Of a few pixels, which stay in the first-level cache, a line of channels at a time: each column is computed once.
    constexpr int packs = static_cast<int>(channels_per_line<T> / lanes);
    constexpr Index most_pixels = 16;
    for (Index begin = 0; begin < work.width; begin += most_pixels) {
      Index const end = (std::min)(begin + most_pixels, work.width);
      for (Index c = 0; c < pitch; c += channels_per_line<T>) {
        auto const column = [&](Index x, Pack* to) {
          Index const at = x * pitch + c;
          for (int v = 0; v < packs; ++v) {
            to[v] = fma(three_quarters, load(near_row + at + v * lanes), quarter * load(far_row + at + v * lanes));
          }
        };
        Pack left[packs], centre[packs], right[packs];
        column(std::max<Index>(begin - 1, 0), left);
        column(begin, centre);
        for (Index x = begin; x < end; ++x) {
          column((std::min)(x + 1, work.width - 1), right);
          Pack even[packs], odd[packs];
          for (int v = 0; v < packs; ++v) {
            Pack const own = three_quarters * centre[v];
            even[v] = fma(quarter, left[v], own);
            odd[v] = fma(quarter, right[v], own);
            left[v] = centre[v];
            centre[v] = right[v];
          }
          write(out + 2 * x * pitch + c, c, even, odd);
        }
      }
    }
  }
}

template <class T>
void bilinear_double(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  constexpr int packs = static_cast<int>(channels_per_line<T> / lanes);
  each_doubled_line(work, first_row, last_row,
                    [&](Index at, Index, Pack const* even, Pack const* odd) MIRNET_INLINE_LAMBDA {
                      T* const to = work.output + at;
                      for (int v = 0; v < packs; ++v)
                        store_two(to + v * lanes, even[v], to + work.pitch + v * lanes, odd[v]);
                    });
}

template <class T>
void bilinear_double_sum(DoubledSum<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  constexpr int packs = static_cast<int>(channels_per_line<T> / lanes);
  Index const pitch = work.doubled.pitch;
  each_doubled_line(
      work.doubled, first_row, last_row,
      [&](Index at, Index c, Pack const* even, Pack const* odd) MIRNET_INLINE_LAMBDA {
        for (int v = 0; v < packs; ++v) {
          Index const place = at + v * lanes;
          Pack const own = load(work.weights[0] + c + v * lanes), other = load(work.weights[1] + c + v * lanes);
          store_two(work.doubled.output + place, fma(other, even[v], own * load(work.other + place)),
                    work.doubled.output + place + pitch, fma(other, odd[v], own * load(work.other + place + pitch)));
        }
      });
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

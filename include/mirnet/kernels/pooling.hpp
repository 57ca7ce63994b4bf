// Windows of a map: their largest and mean values, and interpolation between their pixels.
#pragma once

#include <algorithm>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

template <class T>
void pool(Pooling<T> const& work, Index first_row, Index last_row) noexcept {
  using namespace simd;
  Index const row_step = work.width * work.input_pitch, whole_lines = pixel_pitch<T>(work.channels);
  for (Index y = first_row; y < last_row; ++y) {
    Index const top = y * work.stride - work.padding, bottom = top + work.window_height;
    Index const from_y = std::max<Index>(top, 0), to_y = (std::min)(bottom, work.height);
    for (Index x = 0; x < work.output_width; ++x) {
      Index const left = x * work.stride - work.padding, right = left + work.window_width;
      Index const from_x = std::max<Index>(left, 0), to_x = (std::min)(right, work.width);
      T* const out = work.output + (y * work.output_width + x) * work.output_pitch;
      T const* const in = work.input + from_y * row_step;
      Index const padded_height = (std::min)(bottom, work.height + work.padding) - top;
      Index const padded_width = (std::min)(right, work.width + work.padding) - left;
      Index const count = work.counts_padding ? padded_height * padded_width : (to_y - from_y) * (to_x - from_x);
      Pack const share = broadcast(1.0f / static_cast<float>(count));
      for (Index c = 0; c < whole_lines; c += lanes) {
        T const* row = in + c;
        Pack result = work.largest ? load(row + from_x * work.input_pitch) : broadcast(0.0f);
        for (Index iy = from_y; iy < to_y; ++iy, row += row_step) {
          for (Index ix = from_x; ix < to_x; ++ix) {
            Pack const value = load(row + ix * work.input_pitch);
            if (work.largest) {
              result = where_nan(value, value, where_greater(value, result, value, result));
            } else {
              result = result + value;
            }
          }
        }
        store(out + c, work.largest ? result : result * share);
      }
    }
  }
}

template <class T>
void interpolate(Interpolated<T> const& work, Index first_row, Index last_row, Accumulator<T>* scratch) noexcept {
  using namespace simd;
  constexpr Index most_taps = 4;
  Index const lines = pixel_pitch<T>(work.channels), taps = work.taps;
  MIRNET_ASSERT(taps <= most_taps);
  for (Index y = first_row; y < last_row; ++y) {
    T const* rows[most_taps];
    for (Index i = 0; i < taps; ++i) rows[i] = work.input + work.rows[y * taps + i] * work.width * work.input_pitch;
    T* out = work.output + y * work.output_width * work.output_pitch;
    if (taps == 1) {
      for (Index x = 0; x < work.output_width; ++x, out += work.output_pitch) {
        T const* const in = rows[0] + work.columns[x] * work.input_pitch;
        for (Index c = 0; c < lines; c += lanes) store(out + c, load(in + c));
      }
      continue;
    }
    // First between the rows, then between the columns.
    for (Index x = 0; x < work.width; ++x) {
      for (Index c = 0; c < lines; c += lanes) {
        Pack sum = broadcast(0.0f);
        for (Index i = 0; i < taps; ++i) {
          sum = fma(broadcast(work.row_weights[y * taps + i]), load(rows[i] + x * work.input_pitch + c), sum);
        }
        store(scratch + x * lines + c, sum);
      }
    }
    for (Index x = 0; x < work.output_width; ++x, out += work.output_pitch) {
      for (Index c = 0; c < lines; c += lanes) {
        Pack sum = broadcast(0.0f);
        for (Index j = x * taps; j < (x + 1) * taps; ++j) {
          sum = fma(broadcast(work.column_weights[j]), load(scratch + work.columns[j] * lines + c), sum);
        }
        store(out + c, sum);
      }
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

// Gathers the patches under a convolution's kernel into the rows of a matrix, a cache-sized work tile at a time.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <mirnet/config.hpp>
#include <mirnet/kernels/table.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace im2col_detail {

/// `channels` elements, rounded up to whole pieces: copies of a fixed size become register moves.
template <Index Piece, class To, class From>
MIRNET_ALWAYS_INLINE void copy_pieces(To* to, From const* from, Index channels) noexcept {
  for (Index c = 0; c < channels; c += Piece) {
    if constexpr (std::is_same_v<To, From>) {
      std::memcpy(to + c, from + c, static_cast<std::size_t>(Piece) * sizeof(To));
    } else {
      for (Index i = 0; i < Piece; ++i) to[c + i] = static_cast<To>(from[c + i]);
    }
  }
}

template <Index Piece, class T>
MIRNET_ALWAYS_INLINE void zero_pieces(T* to, Index channels) noexcept {
  for (Index c = 0; c < channels; c += Piece) std::fill_n(to + c, Piece, T(0));
}

/// As im2col below.
template <Index Piece, class T, class Patch>
void gather(Convolution<T> const& work, Index first_pixel, Index last_pixel, Index first_tap, Index last_tap,
            Patch* out, Index padding) noexcept {
  Index const channels = work.channels, row_step = work.width * work.input_pitch;
  Index y = work.first_row + first_pixel / work.output_width, x = first_pixel % work.output_width;
  for (Index pixel = first_pixel; pixel < last_pixel; ++pixel) {
    Index const top = y * work.stride - work.pad_top, left = x * work.stride - work.pad_left;
    bool const whole = left >= 0 && left + (work.kernel_width - 1) * work.dilation < work.width;
    for (Index tap = first_tap; tap < last_tap;) {
      Index const ky = tap / work.kernel_width, kx = tap % work.kernel_width;
      Index const taps = (std::min)(work.kernel_width - kx, last_tap - tap);
      Index const iy = padded_index(work.padding_mode, top + ky * work.dilation, work.height);
      tap += taps;
      if (iy < 0) {
        for (Index t = 0; t < taps; ++t, out += channels) zero_pieces<Piece>(out, channels);
        continue;
      }
      T const* const row = work.input + (iy - work.input_first_row) * row_step;
      Index ix = left + kx * work.dilation;
      for (Index t = 0; t < taps; ++t, ix += work.dilation, out += channels) {
        Index const from = whole ? ix : padded_index(work.padding_mode, ix, work.width);
        if (from >= 0) {
          copy_pieces<Piece>(out, row + from * work.input_pitch, channels);
        } else {
          zero_pieces<Piece>(out, channels);
        }
      }
    }
    for (Index i = 0; i < padding; ++i) *out++ = Patch(0);
    if (++x == work.output_width) x = 0, ++y;
  }
}

}  // namespace im2col_detail

/// Row i of `patches` becomes taps [first_tap, last_tap) of the patch of output pixel first_pixel + i of the part,
/// channels without padding, and a zero in each of `padding` elements behind them; a tap is ky*kernel_width + kx. Rows
/// are dense. Whole lines are written in order, so up to a line is overwritten behind the last row: patches has room
/// for it. `exact`: the channels are some of a map's, and nothing behind them may be read.
template <class T, class Patch>
void im2col(Convolution<T> const& work, Index first_pixel, Index last_pixel, Index first_tap, Index last_tap,
            Patch* patches, Index padding = 0, bool exact = false) noexcept {
  using namespace im2col_detail;
  constexpr Index line = channels_per_line<Patch>, few = line / 4;
  if (exact && work.channels % few != 0) {
    return gather<1>(work, first_pixel, last_pixel, first_tap, last_tap, patches, padding);
  }
  if (exact) return gather<few>(work, first_pixel, last_pixel, first_tap, last_tap, patches, padding);
  if (work.channels <= few) return gather<few>(work, first_pixel, last_pixel, first_tap, last_tap, patches, padding);
  gather<line>(work, first_pixel, last_pixel, first_tap, last_tap, patches, padding);
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

// Gathers the patches under a convolution's kernel into the rows of a matrix, a cache-sized block at a time.
#pragma once

#include <cstring>

#include <mirnet/config.hpp>
#include <mirnet/kernels/table.hpp>

namespace mirnet::inline v0::inline MIRNET_ISA {

namespace im2col_detail {

/// Copies `channels` elements rounded up to whole 64-byte lines: loops of a fixed size become register moves.
template <class T>
MIRNET_ALWAYS_INLINE void copy_lines(T* to, T const* from, Index channels) noexcept {
  for (Index c = 0; c < channels; c += channel_group<T>) std::memcpy(to + c, from + c, alignment_bytes);
}

/// The same, widened: lines of the wider type.
template <class To, class From>
MIRNET_ALWAYS_INLINE void copy_lines(To* to, From const* from, Index channels) noexcept {
  for (Index c = 0; c < channels; c += channel_group<To>) {
    for (Index i = 0; i < channel_group<To>; ++i) to[c + i] = static_cast<To>(from[c + i]);
  }
}

template <class T>
MIRNET_ALWAYS_INLINE void zero_lines(T* to, Index channels) noexcept {
  for (Index c = 0; c < channels; c += channel_group<T>) std::memset(to + c, 0, alignment_bytes);
}

}  // namespace im2col_detail

/// Row i of `patches` becomes taps [first_tap, last_tap) of the patch of output pixel first_pixel + i of the part,
/// channels without padding; a tap is ky*kernel_width + kx. Rows are dense. Whole lines are written in order, so up to
/// a line is overwritten behind the last row: patches has room for it.
template <class T, class Patch>
void im2col(Convolution<T> const& work, Index first_pixel, Index last_pixel, Index first_tap, Index last_tap,
            Patch* patches) noexcept {
  using namespace im2col_detail;
  Patch* out = patches;
  Index y = work.first_row + first_pixel / work.output_width, x = first_pixel % work.output_width;
  for (Index pixel = first_pixel; pixel < last_pixel; ++pixel) {
    Index const top = y * work.stride - work.pad_top, left = x * work.stride - work.pad_left;
    Index ky = first_tap / work.kernel_width, kx = first_tap % work.kernel_width;
    for (Index tap = first_tap; tap < last_tap; ++tap) {
      Index const iy = top + ky, ix = left + kx;
      bool const inside = iy >= 0 && iy < work.height && ix >= 0 && ix < work.width;
      if (inside) {
        copy_lines(out, work.input + ((iy - work.input_first_row) * work.width + ix) * work.input_pitch, work.channels);
      } else {
        zero_lines(out, work.channels);
      }
      out += work.channels;
      if (++kx == work.kernel_width) kx = 0, ++ky;
    }
    if (++x == work.output_width) x = 0, ++y;
  }
}

}  // namespace mirnet::inline v0::inline MIRNET_ISA

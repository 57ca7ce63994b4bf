// What crosses from the architecture-independent code to the kernels of one instruction set: a struct of function
// pointers and the plain structs that describe a piece of work. Every function computes a range of its output and
// nothing else, so that threads can share the work and the bits do not depend on how.
#pragma once

#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline v0 {

/// Where the weight of output channel o and patch element k lies in the packed weights of a product of `depth`.
template <class T>
constexpr Index packed_position(Index depth, Index o, Index k) noexcept {
  constexpr Index group = channel_group<T>;
  return (o / group * depth + k) * group + o % group;
}

/// A dense 2-d convolution (a cross-correlation, as everywhere in this field), optionally with
/// output = prelu(convolution, slope) and output += residual.
///
/// Input pixel (y, x) is at input + (y*width + x)*input_pitch, readable to the end of the last channel's 64-byte line;
/// input pixels outside the map are zero.
/// Output pixel (y, x) is at output + y*output_row_step + x*output_pixel_step, residual likewise, and all
/// `output_groups * channel_group<T>` channels are written: the padding with zeros, as its weights are zero.
/// Weights are packed: the weight of output channel o and patch element k = (ky*kernel_width + kx)*channels + c is at
/// weights[packed_position<T>(depth, o, k)], depth = kernel_height*kernel_width*channels.
/// The residual may be the output itself where the kernel is 1x1.
template <class T>
struct Convolution {
  T const* input;
  Index height, width, channels, input_pitch;

  T const* weights;
  Index kernel_height, kernel_width, stride, pad_top, pad_left;

  T* output;
  Index output_height, output_width, output_groups, output_row_step, output_pixel_step;

  T const* residual;  // null: nothing is added
  T slope;            // of the negative side; 1 leaves the result as it is, 0 is ReLU
};

/// A 1x1 convolution over [pixel_gate * r ; channel_gate * r] (section 3.2 of the paper, "dual attention unit"), whose
/// concatenation of 2*channels is never stored: only blocks of it exist. Weights as in Convolution, depth 2*channels.
/// The output may be the residual.
template <class T>
struct GatedProjection {
  T const* input;
  Index pixels, channels, pitch;
  T const* pixel_gate;    // one value a pixel
  T const* channel_gate;  // one value a channel, readable up to the pitch
  T const* weights;
  T* output;  // input and output have the same pitch
  T const* residual;
};

/// Input and output of a resampling by two; maps are dense, with equal channels and pitch.
template <class T>
struct Resampling {
  T const* input;
  Index height, width, pitch;  // of the input
  T* output;
};

/// The convolution of the two pooled planes of the spatial attention: gate = sigmoid(W * [maximum ; mean]), 5x5.
/// Both planes have a border of two zeros above, below and to the left, and `plane_pitch` elements from row to row,
/// at least width + 4 rounded up to channel_group<T>, plus channel_group<T>, zero behind the pixels.
template <class T>
struct SpatialGate {
  T const* maximum;
  T const* mean;
  Index plane_pitch, width;
  T const* weights;  // 2 x 5 x 5, the maximum's first
  T* gate;           // dense, `width` elements from row to row
};

/// sum over i of weights[i][c] * inputs[i][pixel][c]; the output may be one of the inputs.
template <class T>
struct WeightedSum {
  static constexpr Index most = 4;
  Index count;
  T const* inputs[most];
  T const* weights[most];  // readable up to the pitch
  Index pitch;
  T* output;
};

/// The kernels of one instruction set, for one scalar type.
template <class T>
struct KernelTable {
  char const* isa;

  /// How many output pixels a call of the two GEMM-based kernels should cover, and how many elements of scratch
  /// memory the caller provides for it.
  Index block_pixels;
  Index (*convolution_scratch)(Convolution<T> const& work) noexcept;
  Index (*gated_projection_scratch)(GatedProjection<T> const& work) noexcept;

  /// Output pixels [first, last) in row-major order; at most block_pixels of them.
  void (*convolution)(Convolution<T> const& work, Index first, Index last, T* scratch) noexcept;
  void (*gated_projection)(GatedProjection<T> const& work, Index first, Index last, T* scratch) noexcept;

  /// Blur-pool: [1 2 1] x [1 2 1] / 16 with a reflected border, every second pixel. Even input sizes. Output rows.
  void (*blur_pool)(Resampling<T> const& work, Index first_row, Index last_row) noexcept;
  /// Bilinear doubling, align_corners=False. Output rows.
  void (*bilinear_double)(Resampling<T> const& work, Index first_row, Index last_row) noexcept;

  /// sums[c] = sum of x[pixel][c], all of the pitch.
  void (*channel_sums)(T const* x, Index pixels, Index pitch, T* sums) noexcept;
  /// The largest and the mean value of each pixel's channels.
  void (*channel_max_mean)(T const* x, Index pixels, Index channels, Index pitch, T* maximum, T* mean) noexcept;
  void (*spatial_gate)(SpatialGate<T> const& work, Index first_row, Index last_row) noexcept;

  void (*prelu)(T* x, Index count, T slope) noexcept;
  void (*sigmoid)(T* x, Index count) noexcept;
  /// In place, over `vectors` vectors of `count` elements that lie `step` elements apart: for each element the
  /// softmax of its values in all vectors.
  void (*softmax)(T* x, Index vectors, Index count, Index step) noexcept;
  void (*weighted_sum)(WeightedSum<T> const& work, Index first_pixel, Index last_pixel) noexcept;
};

}  // namespace mirnet::inline v0

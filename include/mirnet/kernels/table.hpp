// What crosses from the architecture-independent code to the kernels of one instruction set: a struct of function
// pointers and the plain structs that describe a piece of work. Every function computes a range of its output and
// nothing else, so that threads can share the work and the bits do not depend on how.
#pragma once

#include <cstddef>

#include <mirnet/base/half.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Where the weight of output channel o and patch element k lies in the packed weights of a product of `depth`.
template <class T>
MIRNET_ALWAYS_INLINE constexpr Index packed_position(Index depth, Index o, Index k) noexcept {
  constexpr Index line = packed_line<T>;
  return (o / line * depth + k) * line + o % line;
}

/// What the convolutions of a network may use.
enum class Algorithm {
  automatic,  // the fastest for each shape
  direct,     // no fast algorithm (Winograd, Toom-Cook): every product of the definition
  precise,    // fast algorithms, but where they round what they multiply (to bfloat16): a network's last layers
};

/// The values outside a convolution's input: PyTorch's padding_mode.
enum class PaddingMode : unsigned char {
  zeros,
  reflect,    ///< mirrored at the edge, without repeating it; the padding is less than the height and the width
  replicate,  ///< the edge, repeated
};

/// The row or column that padding puts in the place of `i`, in a map of `size` of them; -1: a zero.
MIRNET_ALWAYS_INLINE constexpr Index padded_index(PaddingMode mode, Index i, Index size) noexcept {
  if (i >= 0 && i < size) return i;
  if (mode == PaddingMode::zeros) return -1;
  if (mode == PaddingMode::replicate) return i < 0 ? 0 : size - 1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

/// Where a kernel puts what the attention units want to know of the map that it writes.
template <class T>
struct Statistics {
  Accumulator<T>* channel_sums =
      nullptr;  // a line of sums for each work tile, `output_lines * channels_per_line<T>` apart; null: none
  Accumulator<T>* maximum = nullptr;  // of each pixel's channels; null: none. Pixel (y, x) is at y*plane_pitch + x
  Accumulator<T>* mean = nullptr;
  Index plane_pitch = 0, channels = 0;

  MIRNET_ALWAYS_INLINE constexpr bool wanted() const noexcept { return channel_sums != nullptr || maximum != nullptr; }
};

/// PyTorch's functions of one number that are no PReLU.
enum class Function : unsigned char {
  none,
  clamp,    ///< between two bounds
  sigmoid,  ///< 1 / (1 + exp(-x))
  tanh,
  gelu,          ///< x/2 (1 + erf(x / sqrt(2)))
  gelu_tanh,     ///< GELU's approximation='tanh': x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  silu,          ///< x sigmoid(x)
  hard_sigmoid,  ///< clamp(x + 3, 0, 6) / 6
  hard_swish,    ///< x hard_sigmoid(x)
};

/// A function with the bounds of a clamp.
struct PointFunction {
  Function function = Function::none;
  double low = 0, high = 0;

  MIRNET_ALWAYS_INLINE constexpr bool wanted() const noexcept { return function != Function::none; }
};

/// output = function(input), pixel by pixel. The padding of each pixel's last line becomes zero. The output may be the
/// input.
template <class T>
struct FunctionOf {
  T const* input;
  Index input_pitch;
  T* output;
  Index output_pitch, channels;
  PointFunction function;
};

/// A dense 2-d convolution (a cross-correlation, as everywhere in this field), optionally with
/// output = prelu(convolution + bias, slope), output *= scale and output += residual; or some rows of one.
///
/// The input map has height x width pixels; padding_mode gives the values outside it. Its pixel (y, x) is at
/// input + ((y - input_first_row)*width + x)*input_pitch, readable to the end of the last channel's line; of
/// its rows only those are read that lie under the kernel at some output row.
/// The output rows are [first_row, first_row + output_height); pixel (y, x) is at
/// output + (y - first_row)*output_row_step + x*output_pixel_step, residual and statistics likewise, and all
/// `output_lines * channels_per_line<T>` channels are written: the padding with zeros, as its weights are zero.
/// Weights are packed: the weight of output channel o and patch element k = (ky*kernel_width + kx)*channels + c is at
/// weights[packed_position<T>(depth, o, k)], depth = kernel_height*kernel_width*channels. Bias, slopes and
/// scales have a number for each channel that is written; for the padding, the bias is zero and the others arbitrary.
/// The residual may be the output itself. With several groups, output channel o sees the `channels / groups` input
/// channels of its group, o / (output_channels / groups); c and depth count only these, and no statistics are gathered.
template <class T>
struct Convolution {
  T const* input;
  Index height, width, channels, input_pitch;
  Index input_first_row = 0;

  T const* weights;
  T const* bias = nullptr;  // null: there is none
  Index kernel_height, kernel_width, stride, pad_top, pad_left;
  Index dilation = 1;  // pixels from one tap to the next
  PaddingMode padding_mode = PaddingMode::zeros;
  Index groups = 1, output_channels = 0;  // output_channels: only used with several groups

  T* output;
  Index first_row = 0;
  Index output_height, output_width, output_lines, output_row_step, output_pixel_step;

  T const* residual = nullptr;  // null: nothing is added
  bool subtracts = false;       // from the residual, instead of adding it
  T slope = T(1);               // of the negative side; 1 leaves the result as it is, 0 is ReLU
  T const* slopes = nullptr;    // null, or one for each channel instead
  T const* scales = nullptr;    // null, or the factor of each channel
  PointFunction function{};     // of the result, instead of a slope; then nothing is scaled or added
  // The output has half of the channels, whole lines: the products of the results of its first and its second half. Of
  // 1x1 and depthwise convolutions, which are not scaled and to which nothing is added. output_lines counts the lines
  // of the results.
  bool gates = false;
  Statistics<T> statistics{};

  /// Input channels that an output channel sees, and the products that it is a sum of.
  MIRNET_ALWAYS_INLINE constexpr Index group_channels() const noexcept {
    return groups == 1 ? channels : channels / groups;
  }
  /// The first of the input channels that output channel o sees; padding sees those of the last group.
  MIRNET_ALWAYS_INLINE constexpr Index first_input(Index o) const noexcept {
    if (groups == 1) return 0;
    Index const group = o / (output_channels / groups);
    return (group < groups ? group : groups - 1) * group_channels();
  }
  MIRNET_ALWAYS_INLINE constexpr Index depth() const noexcept {
    return kernel_height * kernel_width * group_channels();
  }
};

/// How a table computes a convolution: chosen once for a whole map, then good for any rows of it.
struct ConvolutionPlan {
  int method = 0;           // the table's own number
  Index groups = 1;         // that are computed one by one, as convolutions of their own
  Index weights_bytes = 0;  // of the weights as the method wants them; 0: as they are
  Index weights_items = 0;  // pieces that they are made in
  Index scratch_bytes = 0;  // of one worker
  char const* name = "";    // of the method, for people
  // The method computes a tile of output pixels by tile_products products, padding of channels and groups included; 0:
  // by the definition's.
  Index tile_height = 1, tile_width = 1, tile_products = 0;
};

/// The memory of a projection: the weights as the kernel wants them, which all workers share, and one worker's scratch.
struct ProjectionPlan {
  Index weights_bytes = 0, scratch_bytes = 0;
};

/// A 1x1 convolution over [pixel_gate * r ; channel_gate * r] (section 3.2 of the paper, "dual attention unit"), whose
/// concatenation of 2*channels is never stored: with the halves Wp and Wc of the weights, it is
/// pixel_gate * (Wp r) + (Wc diag(channel_gate)) r. Weights as in Convolution, depth 2*channels. The output may be the
/// residual.
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
  Index input_first_row = 0, first_row = 0;  // the rows of their maps that input and output begin with
};

/// The end of a downsampler, both branches in one product: sum over i of weights[i] * blur_pool(inputs[i]), each
/// 1x1 from `channels` to `output_lines` lines. Blurred pixels exist in work tiles only.
template <class T>
struct BlurredProjection {
  static constexpr int branches = 2;
  Resampling<T> blur[branches];  // their outputs are not used; equal sizes and rows
  Index channels;
  T const* weights[branches];  // packed as in Convolution
  T* output;                   // of the first row
  Index output_lines;
};

/// The convolution of the two pooled planes of the spatial attention: gate = sigmoid(W * [maximum ; mean]), 5x5.
/// Both planes have a border of two zeros above, below and to the left, and `plane_pitch` elements from row to row,
/// at least width + 4 rounded up to channels_per_line<T>, plus channels_per_line<T>, zero behind the pixels.
template <class T>
struct SpatialGate {
  Accumulator<T> const* maximum;
  Accumulator<T> const* mean;
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

/// A doubled map in a sum: weights[0][c] * other[pixel][c] + weights[1][c] * bilinear_double(doubled)[pixel][c]. The
/// output may be `other`.
template <class T>
struct DoubledSum {
  Resampling<T> doubled;
  T const* other;       // begins with the row that the output begins with
  T const* weights[2];  // readable up to the pitch
};

/// The parts of a mean over pixels in which pixel i counts exp(score(i)), score(i) = sum over c of
/// score[c] * input[i][c]: what a softmax over the whole map averages with.
template <class T>
struct AttentionPool {
  static constexpr Index most_pixels = 256;  // of a part
  T const* input;
  Index pitch;
  T const* score;  // readable up to the pitch

  /// A part: the largest score m of its pixels, the sum of exp(score - m), and from `sums` on, for each channel, the
  /// sum of exp(score - m) * input.
  static constexpr Index sums = channels_per_line<Accumulator<T>>;
  constexpr Index part_elements() const noexcept { return sums + pitch; }
};

/// output[pixel][c] = residual[pixel][c] + prelu(input[pixel][c] + vector[c], slope). The output may be either map.
template <class T>
struct ActivatedSum {
  T const* input;
  T const* residual;
  T const* vector;  // readable up to the pitch
  T slope;
  Index pitch;
  T* output;
};

/// output = added + (left operation right), pixel by pixel, with zeros in the padding of each pixel's last line. A
/// right_pitch of 0 takes one vector for all pixels; `spreads` takes the first channel of the right map for all
/// channels. The output may be any of the maps.
enum class Operation : unsigned char { add, subtract, multiply };
template <class T>
struct Combination {
  T const* left;
  Index left_pitch;
  T const* right;
  Index right_pitch;
  bool spreads;
  T* output;
  Index output_pitch, channels;
  Operation operation;
  T const* added = nullptr;  // null: nothing is added
  Index added_pitch = 0;
};

/// output = (input - centre) * scale + shift, with numbers for each channel, readable up to the end of the last line.
/// The output may be the input.
template <class T>
struct Scaling {
  T const* input;
  Index input_pitch;
  T* output;
  Index output_pitch, channels;
  Accumulator<T> const* centre;
  Accumulator<T> const* scale;
  Accumulator<T> const* shift;
};

/// The channels of each pixel, normalized to mean 0 and variance 1 (plus epsilon), then scaled and shifted by numbers
/// for each channel, unless these are null. The output may be the input.
template <class T>
struct Normalization {
  T const* input;
  Index input_pitch;
  T* output;
  Index output_pitch, channels;
  T const* scale;
  T const* shift;
  double epsilon;
};

/// The largest or the mean value of each channel in windows of the input, `stride` pixels apart, of which the first
/// begins `padding` pixels above and left of the map. Values outside of the map count for nothing; those within
/// `padding` pixels of the map count as pixels of a mean if counts_padding is set. Each window has a pixel of the map.
template <class T>
struct Pooling {
  T const* input;
  Index height, width, input_pitch, channels;
  Index window_height, window_width, stride, padding;
  bool largest, counts_padding;
  T* output;
  Index output_width, output_pitch;
};

/// Interpolation by separate weights for rows and columns: output pixel (y, x) is the sum over i and j of
/// row_weights[y*taps + i] * column_weights[x*taps + j] * input(rows[y*taps + i], columns[x*taps + j]).
template <class T>
struct Interpolated {
  T const* input;
  Index width, input_pitch, channels;
  Index taps;
  Index const* rows;
  Index const* columns;
  Accumulator<T> const* row_weights;
  Accumulator<T> const* column_weights;
  T* output;
  Index output_width, output_pitch;

  /// Of the scratch memory: a row of the input.
  constexpr Index scratch_elements() const noexcept { return taps > 1 ? width * pixel_pitch<T>(channels) : 0; }
};

/// The kernels of one instruction set, for one scalar type.
template <class T>
struct KernelTable {
  char const* isa;  ///< the set that they are compiled for, and that is reported where they run

  /// How to compute a convolution; `work` describes the whole map.
  ConvolutionPlan (*plan_convolution)(Convolution<T> const& work, Algorithm algorithm) noexcept;
  /// Piece `item` of the plan's weights, from those of `work`, into the plan's weights_bytes.
  void (*prepare_weights)(Convolution<T> const& work, ConvolutionPlan const& plan, Index item,
                          std::byte* prepared) noexcept;
  /// The number of independent work tiles in which the output rows of `work` are computed; `convolution` computes one
  /// of them.
  Index (*convolution_work_tiles)(Convolution<T> const& work, ConvolutionPlan const& plan) noexcept;
  void (*convolution)(Convolution<T> const& work, ConvolutionPlan const& plan, std::byte const* prepared,
                      Index work_tile, std::byte* scratch) noexcept;

  /// The pixels of a work tile of gated_projection and blurred_projection.
  Index work_tile_pixels;
  ProjectionPlan (*plan_gated_projection)(GatedProjection<T> const& work) noexcept;
  /// Makes the plan's weights of those of `work` and of its channel gate.
  void (*prepare_gated_projection)(GatedProjection<T> const& work, std::byte* prepared) noexcept;
  /// Output pixels [first, last) in row-major order; at most work_tile_pixels of them.
  void (*gated_projection)(GatedProjection<T> const& work, std::byte const* prepared, Index first, Index last,
                           std::byte* scratch) noexcept;

  ProjectionPlan (*plan_blurred_projection)(BlurredProjection<T> const& work) noexcept;
  void (*prepare_blurred_projection)(BlurredProjection<T> const& work, std::byte* prepared) noexcept;
  /// Output pixels [first, last) from the first row on; at most work_tile_pixels of them.
  void (*blurred_projection)(BlurredProjection<T> const& work, std::byte const* prepared, Index first, Index last,
                             std::byte* scratch) noexcept;

  /// Blur-pool: [1 2 1] x [1 2 1] / 16 with a reflected border, every second pixel. Even input sizes. Output rows,
  /// counted from the first.
  void (*blur_pool)(Resampling<T> const& work, Index first_row, Index last_row) noexcept;
  /// Bilinear doubling, align_corners=False. Output rows.
  void (*bilinear_double)(Resampling<T> const& work, Index first_row, Index last_row) noexcept;

  /// Means of 2x2 pixels. Even input sizes. Output rows, counted from the first.
  void (*average_halve)(Resampling<T> const& work, Index first_row, Index last_row) noexcept;
  /// Output rows.
  void (*bilinear_double_sum)(DoubledSum<T> const& work, Index first_row, Index last_row) noexcept;

  /// sums[c] = sum of x[pixel][c], all of the pitch.
  void (*channel_sums)(T const* x, Index pixels, Index pitch, Accumulator<T>* sums) noexcept;
  /// The largest and the mean value of each pixel's channels.
  void (*channel_max_mean)(T const* x, Index pixels, Index channels, Index pitch, Accumulator<T>* maximum,
                           Accumulator<T>* mean) noexcept;
  void (*spatial_gate)(SpatialGate<T> const& work, Index first_row, Index last_row) noexcept;
  /// One part, of at most AttentionPool::most_pixels pixels from `first` on.
  void (*attention_pool)(AttentionPool<T> const& work, Index first, Index last, Accumulator<T>* part) noexcept;
  /// Pixels [first, last), and the sums of their outputs' channels, all of the pitch, unless `sums` is null.
  void (*activated_sum)(ActivatedSum<T> const& work, Index first, Index last, Accumulator<T>* sums) noexcept;

  void (*prelu)(T* x, Index count, T slope) noexcept;
  /// PReLU of the first `count` channels of each pixel (whole lines), with a slope for each channel.
  void (*channel_prelu)(T* x, Index pixels, Index pitch, Index count, T const* slopes) noexcept;
  void (*sigmoid)(T* x, Index count) noexcept;
  /// In place, over `vectors` vectors of `count` elements that lie `step` elements apart: for each element the
  /// softmax of its values in all vectors.
  void (*softmax)(T* x, Index vectors, Index count, Index step) noexcept;
  void (*weighted_sum)(WeightedSum<T> const& work, Index first_pixel, Index last_pixel) noexcept;

  void (*apply_function)(FunctionOf<T> const& work, Index first_pixel, Index last_pixel) noexcept;
  void (*combine)(Combination<T> const& work, Index first_pixel, Index last_pixel) noexcept;
  void (*scale_and_shift)(Scaling<T> const& work, Index first_pixel, Index last_pixel) noexcept;
  void (*normalize)(Normalization<T> const& work, Index first_pixel, Index last_pixel) noexcept;
  /// In place: the softmax of the first `channels` channels of each pixel.
  void (*softmax_of_channels)(T* x, Index pixels, Index channels, Index pitch) noexcept;
  /// sums[c] = sum of (x[pixel][c] - centre[c])^2, of `count` channels (whole lines).
  void (*channel_squares)(T const* x, Index pixels, Index pitch, Index count, Accumulator<T> const* centre,
                          Accumulator<T>* sums) noexcept;
  /// x[pixel][c] = exp(x[pixel][c] - largest[c]), and sums[c] = the sum of these, of `count` channels (whole lines).
  void (*channel_exponentials)(T* x, Index pixels, Index pitch, Index count, Accumulator<T> const* largest,
                               Accumulator<T>* sums) noexcept;
  /// Output rows.
  void (*pool)(Pooling<T> const& work, Index first_row, Index last_row) noexcept;
  /// Output rows; one worker's scratch memory has Interpolated::scratch_elements() elements.
  void (*interpolate)(Interpolated<T> const& work, Index first_row, Index last_row, Accumulator<T>* scratch) noexcept;
};

}  // namespace mirnet::inline MIRNET_ABI

// Every kernel in plain loops, for any scalar type: the oracle of the tests, and the kernels of processors that have
// no SIMD instructions that xsimd knows.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <mirnet/config.hpp>
#include <mirnet/kernels/table.hpp>

namespace mirnet::inline MIRNET_ABI {
namespace reference {

template <class T>
T activated(T value, T slope) noexcept {
  return value > T(0) ? value : value * slope;
}

template <class T>
T logistic(T value) noexcept {
  return T(1) / (T(1) + std::exp(-value));
}

template <class T>
T function_of(PointFunction const& f, T x) noexcept {
  auto const within = [&](T low, T high) {
    T const raised = x < low ? low : x;
    return raised > high ? high : raised;
  };
  auto const hard = [&] { return x > T(-3) ? (x < T(3) ? (x + T(3)) / T(6) : T(1)) : std::isnan(x) ? x : T(0); };
  switch (f.function) {
    case Function::none: return x;
    case Function::clamp: return within(static_cast<T>(f.low), static_cast<T>(f.high));
    case Function::sigmoid: return logistic(x);
    case Function::tanh: return std::tanh(x);
    case Function::gelu: return x / T(2) * (T(1) + std::erf(x * static_cast<T>(0.70710678118654752440)));
    case Function::gelu_tanh: {
      T const inner = static_cast<T>(0.79788456080286535588) * (x + static_cast<T>(0.044715) * x * x * x);
      return x / T(2) * (T(1) + std::tanh(inner));
    }
    case Function::silu: return x * logistic(x);
    case Function::hard_sigmoid: return hard();
    case Function::hard_swish: return x * hard();
  }
  return x;
}

inline constexpr Index work_tile_pixels = 64;

/// The value to write to output channel o of the pixel at `at`.
template <class T>
T finished(Convolution<T> const& work, T sum, Index at, Index o) noexcept {
  if (work.function.wanted()) {
    bool const padding = work.output_channels > 0 && o >= work.output_channels;
    return padding ? T(0) : function_of(work.function, sum);
  }
  T value = activated(sum, work.slopes != nullptr ? work.slopes[o] : work.slope);
  if (work.scales != nullptr) value *= work.scales[o];
  if (work.residual == nullptr) return value;
  return work.subtracts ? work.residual[at + o] - value : value + work.residual[at + o];
}

template <class T>
void convolve(Convolution<T> const& work, Index pixel) noexcept {
  Index const channels = work.group_channels(), depth = work.depth();
  Index const row = pixel / work.output_width, x = pixel % work.output_width, y = work.first_row + row;
  Index const at = row * work.output_row_step + x * work.output_pixel_step;
  auto const result = [&](Index o) {
    T sum = work.bias != nullptr ? work.bias[o] : T(0);
    Index const first = work.first_input(o);
    for (Index ky = 0; ky < work.kernel_height; ++ky) {
      Index const iy =
          padded_index(work.padding_mode, y * work.stride - work.pad_top + ky * work.dilation, work.height);
      if (iy < 0) continue;
      for (Index kx = 0; kx < work.kernel_width; ++kx) {
        Index const ix =
            padded_index(work.padding_mode, x * work.stride - work.pad_left + kx * work.dilation, work.width);
        if (ix < 0) continue;
        T const* in = work.input + ((iy - work.input_first_row) * work.width + ix) * work.input_pitch + first;
        Index const k = (ky * work.kernel_width + kx) * channels;
        for (Index c = 0; c < channels; ++c) sum += in[c] * work.weights[packed_position<T>(depth, o, k + c)];
      }
    }
    return finished(work, sum, at, o);
  };
  Index const results = work.output_lines * channels_per_line<T>, half = results / 2;
  for (Index o = 0; o < (work.gates ? half : results); ++o) {
    work.output[at + o] = work.gates ? result(o) * result(half + o) : result(o);
  }
}

template <class T>
void channel_max_mean(T const* x, Index pixels, Index channels, Index pitch, Accumulator<T>* maximum,
                      Accumulator<T>* mean) noexcept {
  for (Index pixel = 0; pixel < pixels; ++pixel) {
    T const* in = x + pixel * pitch;
    T sum = 0;
    for (Index c = 0; c < channels; ++c) sum += in[c];
    maximum[pixel] = *std::max_element(in, in + channels);
    mean[pixel] = sum / static_cast<T>(channels);
  }
}

/// Gathers the statistics of a work tile from its output, which has been written.
template <class T>
void gather_statistics(Convolution<T> const& work, Index work_tile, Index first, Index last) noexcept {
  Statistics<T> const& statistics = work.statistics;
  Index const columns = work.output_lines * channels_per_line<T>;
  auto* const sums = statistics.channel_sums == nullptr ? nullptr : statistics.channel_sums + work_tile * columns;
  if (sums != nullptr) std::fill_n(sums, columns, T(0));
  for (Index pixel = first; pixel < last; ++pixel) {
    Index const y = pixel / work.output_width, x = pixel % work.output_width;
    T const* const out = work.output + y * work.output_row_step + x * work.output_pixel_step;
    for (Index c = 0; sums != nullptr && c < columns; ++c) sums[c] += out[c];
    if (statistics.maximum != nullptr) {
      Index const at = y * statistics.plane_pitch + x;
      channel_max_mean(out, 1, statistics.channels, work.output_pixel_step, statistics.maximum + at,
                       statistics.mean + at);
    }
  }
}

template <class T>
constexpr ConvolutionPlan plan_convolution(Convolution<T> const&, Algorithm) noexcept {
  return {.name = "plain loops"};
}

template <class T>
void prepare_weights(Convolution<T> const&, ConvolutionPlan const&, Index, std::byte*) noexcept {}

template <class T>
constexpr Index convolution_work_tiles(Convolution<T> const& work, ConvolutionPlan const&) noexcept {
  return divide_up(work.output_height * work.output_width, work_tile_pixels);
}

template <class T>
void convolution(Convolution<T> const& work, ConvolutionPlan const&, std::byte const*, Index work_tile,
                 std::byte*) noexcept {
  Index const first = work_tile * work_tile_pixels;
  Index const last = (std::min)(first + work_tile_pixels, work.output_height * work.output_width);
  for (Index pixel = first; pixel < last; ++pixel) convolve(work, pixel);
  gather_statistics(work, work_tile, first, last);
}

template <class T>
void gated_projection(GatedProjection<T> const& work, std::byte const*, Index first, Index last, std::byte*) noexcept {
  Index const depth = 2 * work.channels;
  for (Index pixel = first; pixel < last; ++pixel) {
    T const* in = work.input + pixel * work.pitch;
    for (Index o = 0; o < work.pitch; ++o) {
      T sum = 0;
      for (Index c = 0; c < work.channels; ++c) {
        sum += in[c] * work.pixel_gate[pixel] * work.weights[packed_position<T>(depth, o, c)];
        sum += in[c] * work.channel_gate[c] * work.weights[packed_position<T>(depth, o, work.channels + c)];
      }
      Index const at = pixel * work.pitch + o;
      work.output[at] = work.residual != nullptr ? sum + work.residual[at] : sum;
    }
  }
}

/// Channel c of output pixel (y, x).
template <class T>
T blurred(Resampling<T> const& work, Index y, Index x, Index c) noexcept {
  // Reflection without the edge: -1 is 1. The size is even, so the other end is never passed.
  auto const reflected = [](Index i) { return i < 0 ? -i : i; };
  T sum = 0;
  for (Index dy = -1; dy <= 1; ++dy) {
    for (Index dx = -1; dx <= 1; ++dx) {
      Index const at = (reflected(2 * y + dy) - work.input_first_row) * work.width + reflected(2 * x + dx);
      sum += T((dy == 0 ? 2 : 1) * (dx == 0 ? 2 : 1)) / T(16) * work.input[at * work.pitch + c];
    }
  }
  return sum;
}

template <class T>
void blur_pool(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  Index const width = work.width / 2;
  for (Index row = first_row; row < last_row; ++row) {
    for (Index x = 0; x < width; ++x) {
      for (Index c = 0; c < work.pitch; ++c) {
        work.output[(row * width + x) * work.pitch + c] = blurred(work, work.first_row + row, x, c);
      }
    }
  }
}

template <class T>
void blurred_projection(BlurredProjection<T> const& work, std::byte const*, Index first, Index last,
                        std::byte*) noexcept {
  Index const width = work.blur[0].width / 2, columns = work.output_lines * channels_per_line<T>;
  for (Index pixel = first; pixel < last; ++pixel) {
    T* const out = work.output + pixel * columns;
    std::fill_n(out, columns, T(0));
    for (int branch = 0; branch < work.branches; ++branch) {
      Resampling<T> const& blur = work.blur[branch];
      for (Index c = 0; c < work.channels; ++c) {
        T const value = blurred(blur, blur.first_row + pixel / width, pixel % width, c);
        for (Index o = 0; o < columns; ++o) {
          out[o] += value * work.weights[branch][packed_position<T>(work.channels, o, c)];
        }
      }
    }
  }
}

/// Channel c of pixel (y, x) of the doubled map.
template <class T>
T doubled(Resampling<T> const& work, Index y, Index x, Index c) noexcept {
  // The nearer of the two pixels on each axis has three quarters of the weight.
  Index const near_y = y / 2, near_x = x / 2;
  Index const far_y = std::clamp<Index>(near_y + (y % 2 == 0 ? -1 : 1), 0, work.height - 1);
  Index const far_x = std::clamp<Index>(near_x + (x % 2 == 0 ? -1 : 1), 0, work.width - 1);
  auto const in = [&](Index iy, Index ix) {
    return work.input[((iy - work.input_first_row) * work.width + ix) * work.pitch + c];
  };
  T const near_row = T(0.75) * in(near_y, near_x) + T(0.25) * in(near_y, far_x);
  T const far_row = T(0.75) * in(far_y, near_x) + T(0.25) * in(far_y, far_x);
  return T(0.75) * near_row + T(0.25) * far_row;
}

/// write(element, value) for the rows [first_row, last_row) of the doubled map.
template <class T, class Write>
void each_doubled_element(Resampling<T> const& work, Index first_row, Index last_row, Write&& write) noexcept {
  Index const row_elements = 2 * work.width * work.pitch;
  for (Index row = first_row; row < last_row; ++row) {
    for (Index i = 0; i < row_elements; ++i) {
      Index const c = i % work.pitch;
      write(row * row_elements + i, c, doubled(work, work.first_row + row, i / work.pitch, c));
    }
  }
}

template <class T>
void bilinear_double(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  each_doubled_element(work, first_row, last_row, [&](Index at, Index, T value) { work.output[at] = value; });
}

template <class T>
void bilinear_double_sum(DoubledSum<T> const& work, Index first_row, Index last_row) noexcept {
  each_doubled_element(work.doubled, first_row, last_row, [&](Index at, Index c, T value) {
    work.doubled.output[at] = work.weights[0][c] * work.other[at] + work.weights[1][c] * value;
  });
}

template <class T>
void average_halve(Resampling<T> const& work, Index first_row, Index last_row) noexcept {
  Index const width = work.width / 2;
  for (Index row = first_row; row < last_row; ++row) {
    for (Index i = 0; i < width * work.pitch; ++i) {
      Index const x = i / work.pitch, c = i % work.pitch;
      T sum = 0;
      for (Index tap = 0; tap < 4; ++tap) {
        Index const y = 2 * (work.first_row + row) - work.input_first_row + tap / 2;
        sum += work.input[(y * work.width + 2 * x + tap % 2) * work.pitch + c];
      }
      work.output[row * width * work.pitch + i] = sum / T(4);
    }
  }
}

template <class T>
void channel_sums(T const* x, Index pixels, Index pitch, T* sums) noexcept {
  std::fill_n(sums, pitch, T(0));
  for (Index pixel = 0; pixel < pixels; ++pixel) {
    for (Index c = 0; c < pitch; ++c) sums[c] += x[pixel * pitch + c];
  }
}

template <class T>
void spatial_gate(SpatialGate<T> const& work, Index first_row, Index last_row) noexcept {
  for (Index y = first_row; y < last_row; ++y) {
    for (Index x = 0; x < work.width; ++x) {
      T sum = 0;
      for (Index plane = 0; plane < 2; ++plane) {
        Accumulator<T> const* in = plane == 0 ? work.maximum : work.mean;
        for (Index ky = 0; ky < 5; ++ky) {
          for (Index kx = 0; kx < 5; ++kx) {
            sum += in[(y + ky) * work.plane_pitch + x + kx] * work.weights[(plane * 5 + ky) * 5 + kx];
          }
        }
      }
      work.gate[y * work.width + x] = logistic(sum);
    }
  }
}

template <class T>
void attention_pool(AttentionPool<T> const& work, Index first, Index last, T* part) noexcept {
  auto const score = [&](Index pixel) {
    T sum = 0;
    for (Index c = 0; c < work.pitch; ++c) sum += work.score[c] * work.input[pixel * work.pitch + c];
    return sum;
  };
  std::fill_n(part, work.part_elements(), T(0));
  part[0] = score(first);
  for (Index pixel = first + 1; pixel < last; ++pixel) part[0] = (std::max)(part[0], score(pixel));
  for (Index pixel = first; pixel < last; ++pixel) {
    T const weight = std::exp(score(pixel) - part[0]);
    part[1] += weight;
    for (Index c = 0; c < work.pitch; ++c) part[work.sums + c] += weight * work.input[pixel * work.pitch + c];
  }
}

template <class T>
void activated_sum(ActivatedSum<T> const& work, Index first, Index last, T* sums) noexcept {
  if (sums != nullptr) std::fill_n(sums, work.pitch, T(0));
  for (Index i = first * work.pitch; i < last * work.pitch; ++i) {
    Index const c = i % work.pitch;
    work.output[i] = work.residual[i] + activated(work.input[i] + work.vector[c], work.slope);
    if (sums != nullptr) sums[c] += work.output[i];
  }
}

template <class T>
void prelu(T* x, Index count, T slope) noexcept {
  for (Index i = 0; i < count; ++i) x[i] = activated(x[i], slope);
}

template <class T>
void channel_prelu(T* x, Index pixels, Index pitch, Index count, T const* slopes) noexcept {
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < count; ++c) x[c] = activated(x[c], slopes[c]);
  }
}

template <class T>
void sigmoid(T* x, Index count) noexcept {
  for (Index i = 0; i < count; ++i) x[i] = logistic(x[i]);
}

template <class T>
void softmax(T* x, Index vectors, Index count, Index step) noexcept {
  for (Index i = 0; i < count; ++i) {
    // Without the largest value in the exponent, a large logit would overflow.
    T largest = x[i], sum = 0;
    for (Index v = 1; v < vectors; ++v) largest = (std::max)(largest, x[v * step + i]);
    for (Index v = 0; v < vectors; ++v) sum += x[v * step + i] = std::exp(x[v * step + i] - largest);
    for (Index v = 0; v < vectors; ++v) x[v * step + i] /= sum;
  }
}

template <class T>
void weighted_sum(WeightedSum<T> const& work, Index first_pixel, Index last_pixel) noexcept {
  for (Index pixel = first_pixel; pixel < last_pixel; ++pixel) {
    for (Index c = 0; c < work.pitch; ++c) {
      T sum = 0;
      for (Index i = 0; i < work.count; ++i) sum += work.weights[i][c] * work.inputs[i][pixel * work.pitch + c];
      work.output[pixel * work.pitch + c] = sum;
    }
  }
}

/// body(input, output) for the first elements of the pixels [first, last) of two maps, then zeros in the output's
/// padding.
template <class Work, class Body>
void each_pixel(Work const& work, Index first, Index last, Body&& body) noexcept {
  for (Index pixel = first; pixel < last; ++pixel) {
    auto* const out = work.output + pixel * work.output_pitch;
    body(pixel, out);
    using T = std::remove_pointer_t<decltype(out)>;
    std::fill(out + work.channels, out + pixel_pitch<T>(work.channels), T(0));
  }
}

template <class T>
void apply_function(FunctionOf<T> const& work, Index first, Index last) noexcept {
  each_pixel(work, first, last, [&](Index pixel, T* out) {
    T const* const in = work.input + pixel * work.input_pitch;
    for (Index c = 0; c < work.channels; ++c) out[c] = function_of(work.function, in[c]);
  });
}

template <class T>
T combined(Operation operation, T left, T right) noexcept {
  switch (operation) {
    case Operation::add: return left + right;
    case Operation::subtract: return left - right;
    case Operation::multiply: return left * right;
  }
  return left;
}

template <class T>
void combine(Combination<T> const& work, Index first, Index last) noexcept {
  each_pixel(work, first, last, [&](Index pixel, T* out) {
    T const* const left = work.left + pixel * work.left_pitch;
    T const* const right = work.right + pixel * work.right_pitch;
    T const spread = right[0];
    for (Index c = 0; c < work.channels; ++c) {
      T const value = combined(work.operation, left[c], work.spreads ? spread : right[c]);
      out[c] = work.added != nullptr ? work.added[pixel * work.added_pitch + c] + value : value;
    }
  });
}

template <class T>
void scale_and_shift(Scaling<T> const& work, Index first, Index last) noexcept {
  each_pixel(work, first, last, [&](Index pixel, T* out) {
    T const* const in = work.input + pixel * work.input_pitch;
    for (Index c = 0; c < work.channels; ++c) out[c] = (in[c] - work.centre[c]) * work.scale[c] + work.shift[c];
  });
}

template <class T>
void normalize(Normalization<T> const& work, Index first, Index last) noexcept {
  each_pixel(work, first, last, [&](Index pixel, T* out) {
    T const* const in = work.input + pixel * work.input_pitch;
    T const count = static_cast<T>(work.channels);
    T sum = 0, squares = 0;
    for (Index c = 0; c < work.channels; ++c) sum += in[c];
    T const mean = sum / count;
    for (Index c = 0; c < work.channels; ++c) squares += (in[c] - mean) * (in[c] - mean);
    T const inverse = T(1) / std::sqrt(squares / count + static_cast<T>(work.epsilon));
    for (Index c = 0; c < work.channels; ++c) {
      T const value = (in[c] - mean) * inverse;
      out[c] = work.scale == nullptr ? value : value * work.scale[c] + work.shift[c];
    }
  });
}

template <class T>
void softmax_of_channels(T* x, Index pixels, Index channels, Index pitch) noexcept {
  for (Index pixel = 0; pixel < pixels; ++pixel) softmax(x + pixel * pitch, channels, 1, 1);
}

template <class T>
void channel_squares(T const* x, Index pixels, Index pitch, Index count, T const* centre, T* sums) noexcept {
  std::fill_n(sums, count, T(0));
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < count; ++c) sums[c] += (x[c] - centre[c]) * (x[c] - centre[c]);
  }
}

template <class T>
void channel_exponentials(T* x, Index pixels, Index pitch, Index count, T const* largest, T* sums) noexcept {
  std::fill_n(sums, count, T(0));
  for (Index pixel = 0; pixel < pixels; ++pixel, x += pitch) {
    for (Index c = 0; c < count; ++c) sums[c] += x[c] = std::exp(x[c] - largest[c]);
  }
}

template <class T>
void pool(Pooling<T> const& work, Index first_row, Index last_row) noexcept {
  Index const lines = pixel_pitch<T>(work.channels);
  for (Index y = first_row; y < last_row; ++y) {
    Index const top = y * work.stride - work.padding;
    for (Index x = 0; x < work.output_width; ++x) {
      Index const left = x * work.stride - work.padding;
      T* const out = work.output + (y * work.output_width + x) * work.output_pitch;
      for (Index c = 0; c < lines; ++c) {
        T result = 0;
        Index count = 0, padded = 0;
        for (Index iy = top; iy < top + work.window_height; ++iy) {
          for (Index ix = left; ix < left + work.window_width; ++ix) {
            padded += iy < work.height + work.padding && ix < work.width + work.padding;
            if (iy < 0 || iy >= work.height || ix < 0 || ix >= work.width) continue;
            T const value = work.input[(iy * work.width + ix) * work.input_pitch + c];
            result = !work.largest                                       ? result + value
                     : count == 0 || value > result || std::isnan(value) ? value
                                                                         : result;
            ++count;
          }
        }
        out[c] = work.largest ? result : result / static_cast<T>(work.counts_padding ? padded : count);
      }
    }
  }
}

template <class T>
void interpolate(Interpolated<T> const& work, Index first_row, Index last_row, T*) noexcept {
  Index const lines = pixel_pitch<T>(work.channels);
  for (Index y = first_row; y < last_row; ++y) {
    for (Index x = 0; x < work.output_width; ++x) {
      T* const out = work.output + (y * work.output_width + x) * work.output_pitch;
      for (Index c = 0; c < lines; ++c) {
        T sum = 0;
        for (Index i = y * work.taps; i < (y + 1) * work.taps; ++i) {
          for (Index j = x * work.taps; j < (x + 1) * work.taps; ++j) {
            T const value = work.input[(work.rows[i] * work.width + work.columns[j]) * work.input_pitch + c];
            sum += work.row_weights[i] * work.column_weights[j] * value;
          }
        }
        out[c] = sum;
      }
    }
  }
}

/// Projections take weights as they are, and no memory.
template <class Work>
constexpr ProjectionPlan plan_projection(Work const&) noexcept {
  return {};
}
template <class Work>
void prepare_projection(Work const&, std::byte*) noexcept {}

template <class T>
inline constexpr KernelTable<T> table{
    .isa = "scalar",
    .plan_convolution = plan_convolution<T>,
    .prepare_weights = prepare_weights<T>,
    .convolution_work_tiles = convolution_work_tiles<T>,
    .convolution = convolution<T>,
    .work_tile_pixels = work_tile_pixels,
    .plan_gated_projection = plan_projection<GatedProjection<T>>,
    .prepare_gated_projection = prepare_projection<GatedProjection<T>>,
    .gated_projection = gated_projection<T>,
    .plan_blurred_projection = plan_projection<BlurredProjection<T>>,
    .prepare_blurred_projection = prepare_projection<BlurredProjection<T>>,
    .blurred_projection = blurred_projection<T>,
    .blur_pool = blur_pool<T>,
    .bilinear_double = bilinear_double<T>,
    .average_halve = average_halve<T>,
    .bilinear_double_sum = bilinear_double_sum<T>,
    .channel_sums = channel_sums<T>,
    .channel_max_mean = channel_max_mean<T>,
    .spatial_gate = spatial_gate<T>,
    .attention_pool = attention_pool<T>,
    .activated_sum = activated_sum<T>,
    .prelu = prelu<T>,
    .channel_prelu = channel_prelu<T>,
    .sigmoid = sigmoid<T>,
    .softmax = softmax<T>,
    .weighted_sum = weighted_sum<T>,
    .apply_function = apply_function<T>,
    .combine = combine<T>,
    .scale_and_shift = scale_and_shift<T>,
    .normalize = normalize<T>,
    .softmax_of_channels = softmax_of_channels<T>,
    .channel_squares = channel_squares<T>,
    .channel_exponentials = channel_exponentials<T>,
    .pool = pool<T>,
    .interpolate = interpolate<T>,
};

}  // namespace reference

/// The plain kernels.
template <class T>
constexpr KernelTable<T> const& reference_kernels() noexcept {
  return reference::table<T>;
}

}  // namespace mirnet::inline MIRNET_ABI

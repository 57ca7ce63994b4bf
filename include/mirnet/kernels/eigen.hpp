// Kernels for scalar types other than float: the plain ones, with the convolutions as im2col and Eigen's GEMM. In
// double they are the oracle that whole networks are tested against. The only kernel header that includes Eigen,
// whose products may take memory from the heap. Eigen chooses its product by the number of rows, so here alone the bits
// depend on the size of the work tiles (which is fixed), though not on the number of threads.
#pragma once

#include <Eigen/Core>

#include <mirnet/kernels/im2col.hpp>
#include <mirnet/kernels/reference.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace eigen_detail {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// patches [pixels x depth] times packed weights, into the output pixels from `first` on.
template <class T>
void multiply(Convolution<T> const& work, Index first, Index last, T const* patches, Index depth) {
  constexpr Index line = channels_per_line<T>;
  static_assert(line == packed_line<T>, "a line of the output is one of the weights");
  Eigen::Map<Matrix<T> const> const a(patches, last - first, depth);
  Matrix<T> c(last - first, line);
  for (Index g = 0; g < work.output_lines; ++g) {
    c.noalias() = a * Eigen::Map<Matrix<T> const>(work.weights + g * depth * line, depth, line);
    for (Index pixel = first; pixel < last; ++pixel) {
      Index const y = pixel / work.output_width, x = pixel % work.output_width;
      Index const at = y * work.output_row_step + x * work.output_pixel_step;
      for (Index o = 0; o < line; ++o) {
        T const sum = work.bias != nullptr ? c(pixel - first, o) + work.bias[g * line + o] : c(pixel - first, o);
        work.output[at + g * line + o] = reference::finished(work, sum, at, g * line + o);
      }
    }
  }
}

template <class T>
constexpr ConvolutionPlan plan_convolution(Convolution<T> const& work, Algorithm algorithm) noexcept {
  if (work.groups > 1 || work.gates) return reference::plan_convolution(work, algorithm);
  Index const patches = reference::work_tile_pixels * work.kernel_height * work.kernel_width * work.channels;
  return {.scratch_bytes = (patches + channels_per_line<T>)*static_cast<Index>(sizeof(T)), .name = "im2col+eigen"};
}

template <class T>
void convolution(Convolution<T> const& work, ConvolutionPlan const& plan, std::byte const* prepared, Index work_tile,
                 std::byte* scratch) noexcept {
  if (work.groups > 1 || work.gates) return reference::convolution(work, plan, prepared, work_tile, scratch);
  Index const first = work_tile * reference::work_tile_pixels;
  Index const last = (std::min)(first + reference::work_tile_pixels, work.output_height * work.output_width);
  Index const taps = work.kernel_height * work.kernel_width;
  T* const patches = reinterpret_cast<T*>(scratch);
  im2col(work, first, last, 0, taps, patches);
  multiply(work, first, last, patches, taps * work.channels);
  reference::gather_statistics(work, work_tile, first, last);
}

template <class T>
inline constexpr KernelTable<T> table = [] {
  KernelTable<T> kernels = reference_kernels<T>();
  kernels.isa = "eigen";
  kernels.plan_convolution = plan_convolution<T>;
  kernels.convolution = convolution<T>;
  return kernels;
}();

}  // namespace eigen_detail

template <class T>
constexpr KernelTable<T> const& eigen_kernels() noexcept {
  return eigen_detail::table<T>;
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

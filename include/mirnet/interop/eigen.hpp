// Feature maps as Eigen matrices and the reverse, without a copy.
#pragma once

#include <type_traits>

#include <Eigen/Core>

#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A matrix of Eigen over a view's memory: a row for each pixel, row by row of the image, and a column for each
/// channel. Read-only for a View<T const>.
template <class T>
using EigenMap = Eigen::Map<
    std::conditional_t<std::is_const_v<T>,
                       Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> const,
                       Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>,
    Eigen::Unaligned, Eigen::OuterStride<>>;

/// The view as a matrix of pixels x channels without the padding: to_eigen(map.view()).colwise().mean() averages each
/// channel. Valid as long as the view's memory is. The view has rows without gaps (View::dense). For any other, the
/// assertion fails; where assertions are off, the matrix is empty. Convert each row, to_eigen(rows(map, y, 1)), or a
/// copy instead.
template <class T>
EigenMap<T> to_eigen(View<T> view) noexcept {
  MIRNET_ASSERT(view.dense() && "Eigen has no matrix of rows with gaps between them");
  Index const pixels = view.dense() ? view.pixels() : 0;
  return {view.data(), pixels, view.channels(), Eigen::OuterStride<>(view.pitch())};
}

/// An Eigen matrix as a map of 1xRxC: each row is a pixel, each column a channel; a row vector is one pixel. Takes
/// matrices, Eigen::Map and blocks of these if they are stored row by row (Eigen::RowMajor). The view is writable if
/// the matrix is, and valid as long as the matrix's memory is. It has no padding of zeros, which layers need:
/// mirnet::copy makes a map for them.
template <class Matrix>
auto from_eigen(Matrix&& matrix) noexcept {
  using Plain = std::remove_cvref_t<Matrix>;
  static_assert(std::is_lvalue_reference_v<Matrix> || !std::is_same_v<Plain, typename Plain::PlainObject>,
                "from_eigen: a temporary matrix would be gone before its view is used");
  static_assert((Plain::Flags & Eigen::DirectAccessBit) != 0, "from_eigen: an expression has no memory: evaluate it");
  static_assert(bool{Plain::IsRowMajor} && Plain::InnerStrideAtCompileTime == 1,
                "from_eigen: a map has the channels of a pixel side by side, as matrices of Eigen::RowMajor have rows");
  using T = std::remove_pointer_t<decltype(matrix.data())>;
  return View<T>(matrix.data(), {1, matrix.rows(), matrix.cols()}, matrix.outerStride());
}

}  // namespace mirnet::inline MIRNET_ABI

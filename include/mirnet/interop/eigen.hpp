// Feature maps as matrices of Eigen, without a copy.
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

/// The view as pixels x channels, its padding left out: to_eigen(map.view()).colwise().mean() averages each channel.
/// Valid as long as the view's memory is.
template <class T>
EigenMap<T> to_eigen(View<T> view) noexcept {
  return {view.data(), view.pixels(), view.channels(), Eigen::OuterStride<>(view.pitch())};
}

}  // namespace mirnet::inline MIRNET_ABI

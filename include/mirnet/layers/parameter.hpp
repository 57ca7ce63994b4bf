// What every layer with parameters offers to those who list, place and fill them:
//
//   ParameterShape shape() const              as the checkpoint stores it
//   Index packed_elements() const             memory for the kernels' arrangement of it, zeroed by the caller
//   void bind(T* memory)                      where that is
//   void pack(Index first, span<T const> v)   v[i] is element first + i of the checkpoint's arrangement
#pragma once

#include <algorithm>
#include <span>

#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Dimensions in PyTorch's order; those from `rank` on are 1.
struct ParameterShape {
  int rank = 1;
  Index dim[4] = {1, 1, 1, 1};

  constexpr Index elements() const noexcept { return dim[0] * dim[1] * dim[2] * dim[3]; }
  friend constexpr bool operator==(ParameterShape const&, ParameterShape const&) = default;
};

/// body(value, a, b, y, x) for the elements of a rank-4 parameter from `first` on.
template <class T, class Body>
void each_element(ParameterShape const& shape, Index first, std::span<T const> values, Body&& body) noexcept {
  Index x = first % shape.dim[3], y = first / shape.dim[3] % shape.dim[2];
  Index b = first / (shape.dim[3] * shape.dim[2]) % shape.dim[1];
  Index a = first / (shape.dim[3] * shape.dim[2] * shape.dim[1]);
  for (T const value : values) {
    body(value, a, b, y, x);
    if (++x < shape.dim[3]) continue;
    x = 0;
    if (++y < shape.dim[2]) continue;
    y = 0;
    if (++b < shape.dim[1]) continue;
    b = 0;
    ++a;
  }
}

/// Weights that kernels read as the checkpoint has them.
template <class T>
class PlainParameter {
 public:
  PlainParameter() = default;
  explicit PlainParameter(ParameterShape shape) noexcept : shape_(shape) {}

  ParameterShape shape() const noexcept { return shape_; }
  Index packed_elements() const noexcept { return shape_.elements(); }
  void bind(T* memory) noexcept { values_ = memory; }
  void pack(Index first, std::span<T const> values) noexcept {
    std::copy(values.begin(), values.end(), values_ + first);
  }

  T const* data() const noexcept { return values_; }

 private:
  ParameterShape shape_{};
  T* values_ = nullptr;
};

}  // namespace mirnet::inline MIRNET_ABI

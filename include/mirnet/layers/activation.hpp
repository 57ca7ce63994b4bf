// Activations.
#pragma once

#include <algorithm>

#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// A node of that name, which is its kernel's: body(first, count) for whole pixels of x, of which only the lines of its
/// channels are touched. Where nothing lies between the pixels, many are one call.
template <class T, class Body>
constexpr void each_element_in_place(Context<T>& context, char const* name, View<T> x, Body&& body) noexcept {
  if (!context.accepts(name, "map", x, x.shape())) return;
  Node node = context.new_node(name, x.shape(), x.shape());
  node.kernel = name;
  Piece const piece(context, node);
  context.each_range(x.pixels(), 4096, [&](Index first, Index last, Index) {
    Index const lines = pixel_pitch<T>(x.channels());
    if (x.pitch() == lines) return body(x.data() + first * lines, (last - first) * lines);
    for (Index i = first; i < last; ++i) body(x.data() + i * x.pitch(), lines);
  });
}

}  // namespace detail

/// max(x, 0) + slope * min(x, 0) with one learned slope. In the network it is always applied by the convolution before
/// it, which takes the slope.
template <class T>
class PRelu {
 public:
  static constexpr bool holds_its_numbers = true;

  constexpr ParameterShape shape() const noexcept { return {}; }
  constexpr Index packed_elements(Index = 0) const noexcept { return 0; }
  constexpr Index packed_from(Index, Index) const noexcept { return no_element; }
  void bind(T const*) noexcept {}
  void pack(T*, Index, std::span<T const> values) noexcept {
    if (!values.empty()) slope_ = values[0];
  }

  constexpr T slope() const noexcept { return slope_; }

  /// In place.
  constexpr void forward(Context<T>& context, View<T> x) const noexcept {
    detail::each_element_in_place(context, "prelu", x,
                                  [&](T* first, Index count) { context.kernels->prelu(first, count, slope_); });
  }

 private:
  T slope_ = T(1);
};

/// 1 / (1 + exp(-x)) in place; padding stays zero.
template <class T>
constexpr void sigmoid(Context<T>& context, ViewOf<T> x) noexcept {
  detail::each_element_in_place(context, "sigmoid", x, [&](T* first, Index count) {
    context.kernels->sigmoid(first, count);
    Index const lines = pixel_pitch<T>(x.channels());
    if (x.channels() == lines) return;
    for (T* pixel = first; pixel != first + count; pixel += lines) std::fill(pixel + x.channels(), pixel + lines, T(0));
  });
}

}  // namespace mirnet::inline MIRNET_ABI

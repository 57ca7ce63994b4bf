// Activations.
#pragma once

#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// max(x, 0) + slope * min(x, 0) with one learned slope. In the network it is always applied by the convolution before
/// it, which takes the slope.
template <class T>
class PRelu {
 public:
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
    Node node = context.new_node("prelu", x.shape(), x.shape());
    node.kernel = "prelu";
    Piece const piece(context, node);
    context.each_range(x.pixels(), 4096, [&](Index first, Index last, Index) {
      context.kernels->prelu(x.data() + first * x.pitch(), (last - first) * x.pitch(), slope_);
    });
  }

 private:
  T slope_ = T(1);
};

/// 1 / (1 + exp(-x)) in place, over the padding too.
template <class T>
constexpr void sigmoid(Context<T>& context, View<T> x) noexcept {
  Node node = context.new_node("sigmoid", x.shape(), x.shape());
  node.kernel = "sigmoid";
  Piece const piece(context, node);
  context.each_range(x.pixels(), 4096, [&](Index first, Index last, Index) {
    context.kernels->sigmoid(x.data() + first * x.pitch(), (last - first) * x.pitch());
  });
}

}  // namespace mirnet::inline MIRNET_ABI

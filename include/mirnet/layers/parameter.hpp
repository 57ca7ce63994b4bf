// What every layer with parameters offers to those who list, place and fill them:
//
//   ParameterShape shape() const                        as the checkpoint stores it
//   Index packed_elements(Index line) const             of its arrangement for kernels, in lines of `line` channels
//   Index packed_from(Index line, Index at) const       which of the checkpoint's elements is at `at` in that
//                                                       arrangement, or no_element: a zero
//   Index packed_at(Index line, Index element) const    the inverse: where the checkpoint's element is
//   void bind(T const* packed)                          where that is, for the kernels of T
//   void pack(T* packed, Index first, span<T const> v)  puts v there, of which v[i] is element first + i of the
//                                                       checkpoint's arrangement; the caller has zeroed the places
//                                                       of no_element
//
// In an arrangement of lines, elements that are side by side in a line are so in that of any other lines, as far as
// the shorter ones reach.
// That is the layer's weight. A layer whose has_bias() is true has a bias(), which offers the same of its own and lies
// right behind the weight, at the next multiple of 64 bytes. A slope lives in its layer and not in packed memory:
// packed_elements() is 0, and a member holds_its_numbers says so to the compiler. A layer that is a parameter itself
// has a member is_parameter: its tensor has the layer's name.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include <mirnet/config.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Dimensions in PyTorch's order; those from `rank` on are 1.
struct ParameterShape {
  int rank = 1;
  Index dim[4] = {1, 1, 1, 1};

  constexpr Index elements() const noexcept { return dim[0] * dim[1] * dim[2] * dim[3]; }
  friend constexpr bool operator==(ParameterShape const&, ParameterShape const&) = default;
};

/// Said of padding, which kernels read as zeros.
inline constexpr Index no_element = -1;

/// The inverse of packed_position, for lines of `line` channels: output channel and patch element of the weight at a
/// place in the packed weights of a product of `depth`. The channel may be one of padding.
struct PackedPlace {
  Index output, element;
};
constexpr PackedPlace packed_place(Index line, Index depth, Index at) noexcept {
  return {at / (line * depth) * line + at % line, at / line % depth};
}
constexpr Index packed_position(Index line, Index depth, Index output, Index element) noexcept {
  return (output / line * depth + element) * line + output % line;
}

/// The part of a line that `lanes` output channels have, whose elements are `step` apart in the checkpoint's
/// arrangement.
template <class T>
MIRNET_ALWAYS_INLINE void pack_line(T* part, T const* from, Index lanes, Index step) noexcept {
  auto const gather = [&](auto count) {
    for (Index lane = 0; lane < count; ++lane) part[lane] = from[lane * step];
  };
  if (lanes == packed_line<T>) {
    gather(std::integral_constant<Index, packed_line<T>>());
  } else {
    gather(lanes);
  }
}

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

/// visit(parameter, name) for the weight of a layer and, if it has one, for its bias; for a layer that is a parameter
/// of its own name (is_parameter), with that.
template <class Layer, class Path, class Visitor>
constexpr void each_parameter(Layer& layer, Path const& name, Visitor&& visit) {
  if constexpr (requires { Layer::is_parameter; }) {
    visit(layer, name);
  } else {
    visit(layer, name / "weight");
  }
  if constexpr (requires { layer.has_bias(); }) {
    if (layer.has_bias()) {
      auto bias = layer.bias();
      visit(bias, name / "bias");
    }
  }
}

/// Numbers that kernels read as the checkpoint has them; those of a vector up to the end of its last line, with zeros.
template <class T>
class PlainParameter {
 public:
  PlainParameter() = default;
  explicit constexpr PlainParameter(ParameterShape shape) noexcept : shape_(shape) {}

  constexpr ParameterShape shape() const noexcept { return shape_; }
  constexpr Index packed_elements(Index line = packed_line<T>) const noexcept {
    return shape_.rank == 1 ? round_up(shape_.elements(), line) : shape_.elements();
  }
  constexpr Index packed_from(Index, Index at) const noexcept { return at < shape_.elements() ? at : no_element; }
  constexpr Index packed_at(Index, Index element) const noexcept { return element; }
  void bind(T const* packed) noexcept { values_ = packed; }
  void pack(T* packed, Index first, std::span<T const> values) const noexcept {
    std::copy(values.begin(), values.end(), packed + first);
  }

  constexpr T const* data() const noexcept { return values_; }

 private:
  ParameterShape shape_{};
  T const* values_ = nullptr;
};

}  // namespace mirnet::inline MIRNET_ABI

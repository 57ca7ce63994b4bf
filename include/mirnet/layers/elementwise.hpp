// Sums, differences and products of two maps, element by element. The right map may be a vector for all pixels or a
// plane for all channels.
#pragma once

#include <type_traits>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A torch.nn.Parameter of shape (1, channels, 1, 1), under its own name: a number for each channel. Converts to a map
/// of one pixel.
template <class T>
class Constant {
 public:
  static constexpr bool is_parameter = true;

  Constant() = default;
  explicit constexpr Constant(Index channels) noexcept : values_({1, {channels, 1, 1, 1}}) {}

  constexpr ParameterShape shape() const noexcept { return {4, {1, channels(), 1, 1}}; }
  constexpr Index packed_elements(Index line = packed_line<T>) const noexcept { return values_.packed_elements(line); }
  constexpr Index packed_from(Index line, Index at) const noexcept { return values_.packed_from(line, at); }
  constexpr Index packed_at(Index line, Index element) const noexcept { return values_.packed_at(line, element); }
  void bind(T const* packed) noexcept { values_.bind(packed); }
  void pack(T* packed, Index first, std::span<T const> values) const noexcept { values_.pack(packed, first, values); }

  constexpr Index channels() const noexcept { return values_.shape().dim[0]; }
  constexpr operator View<T const>() const noexcept { return {values_.data(), {1, 1, channels()}}; }

 private:
  PlainParameter<T> values_;
};

namespace detail {

/// A node for `left operation right`.
template <class T>
constexpr void combine(AnyContext<T> const& where, char const* layer, Operation operation, View<T const> left,
                       View<T const> right, View<T> output, View<T const> added = {}) noexcept {
  Context<T>& context = where.context();
  Shape const shape = left.shape();
  bool const is_vector = shape.pixels() != 1 && right.shape() == Shape{1, 1, shape.channels};
  bool const spreads = shape.channels != 1 && right.shape() == Shape{shape.height, shape.width, 1};
  if (!context.accepts(layer, "left map", left, shape) ||
      !context.accepts(layer, "right map", right, is_vector || spreads ? right.shape() : shape) ||
      !context.accepts(layer, "output", output, shape) ||
      (added.channels() > 0 && !context.accepts(layer, "added map", added, shape)) ||
      !has_weights(context, layer, right.data())) {
    return;
  }
  Combination<T> const work{.left = left.data(),
                            .left_pitch = left.pitch(),
                            .right = right.data(),
                            .right_pitch = is_vector ? 0 : right.pitch(),
                            .spreads = spreads,
                            .output = output.data(),
                            .output_pitch = output.pitch(),
                            .channels = shape.channels,
                            .operation = operation,
                            .added = added.data(),
                            .added_pitch = added.pitch()};
  Node node = context.new_node(layer, shape, shape);
  node.kernel = "combine";
  node.bytes += context.bytes_of(right.shape()) + context.bytes_of(added.shape());
  node.residual = added.channels() > 0;
  Piece const piece(context, node);
  context.each_range(shape.pixels(), 256,
                     [&](Index first, Index last, Index) { context.kernels->combine(work, first, last); });
}

template <class T>
constexpr ArenaMap<T> combined(AnyContext<T> const& where, char const* layer, Operation operation, View<T const> left,
                               View<T const> right) noexcept {
  ArenaMap<T> output(where.context().arena, left.shape());
  combine<T>(where, layer, operation, left, right, output);
  return output;
}

}  // namespace detail

/// left + right. The right map has the left one's shape, or is 1 x 1 x channels (a number for each channel), or
/// height x width x 1 (a number for each pixel). The output has the left map's shape. It may be the left
/// map, or the right one if that is as large.
template <class T>
constexpr void add(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right,
                   ViewOf<T> output) noexcept {
  detail::combine<T>(context, "sum", Operation::add, left, right, output);
}
/// Into a new map of the context's arena.
template <class T>
constexpr ArenaMap<T> add(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right) noexcept {
  return detail::combined<T>(context, "sum", Operation::add, left, right);
}

/// left - right, for maps with the shapes of add().
template <class T>
constexpr void subtract(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right,
                        ViewOf<T> output) noexcept {
  detail::combine<T>(context, "difference", Operation::subtract, left, right, output);
}
template <class T>
constexpr ArenaMap<T> subtract(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right) noexcept {
  return detail::combined<T>(context, "difference", Operation::subtract, left, right);
}

/// left * right, for maps with the shapes of add().
template <class T>
constexpr void multiply(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right,
                        ViewOf<T> output) noexcept {
  detail::combine<T>(context, "product", Operation::multiply, left, right, output);
}
template <class T>
constexpr ArenaMap<T> multiply(AnyContext<T> const& context, ViewOf<T const> left, ViewOf<T const> right) noexcept {
  return detail::combined<T>(context, "product", Operation::multiply, left, right);
}

/// torch.addcmul: map + left * right, for maps with the shapes of add(); `map` has the left one's shape. The output may
/// be any of them.
template <class T>
constexpr void addcmul(AnyContext<T> const& context, ViewOf<T const> map, ViewOf<T const> left, ViewOf<T const> right,
                       ViewOf<T> output) noexcept {
  detail::combine<T>(context, "product + sum", Operation::multiply, left, right, output, map);
}

}  // namespace mirnet::inline MIRNET_ABI

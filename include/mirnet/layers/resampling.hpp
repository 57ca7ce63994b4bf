// Resampling by two.
#pragma once

#include <mirnet/layers/band.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// A map of half the height and width, by a kernel of this name; `layer` is what the layer is called.
template <class T, class Kernel>
constexpr void halve(Context<T>& context, char const* layer, char const* name, Kernel KernelTable<T>::*kernel,
                     View<T const> input, View<T> output) noexcept {
  Shape const doubled{2 * output.height(), 2 * output.width(), output.channels()};
  if (!context.accepts(layer, "input", input, doubled, Layout::dense) ||
      !context.accepts(layer, "output", output, output.shape(), Layout::dense) ||
      !context.differ(layer, input, output)) {
    return;
  }
  Resampling<T> const work{input.data(), input.height(), input.width(), input.pitch(), output.data()};
  Node node = context.new_node(layer, input.shape(), output.shape());
  node.kernel = name;
  Piece const piece(context, node);
  context.each_range(output.height(), rows_a_range,
                     [&](Index first, Index last, Index) { (context.kernels->*kernel)(work, first, last); });
}

}  // namespace detail

/// Anti-aliased downsampling by two (Zhang, ICML 2019): [1 2 1] x [1 2 1] / 16, borders reflected without the edge.
/// The input's height and width are even, and the output does not overlap it.
template <class T>
constexpr void blur_pool(Context<T>& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  detail::halve<T>(context, "blur-pool", "blur_pool", &KernelTable<T>::blur_pool, input, output);
}

/// torch.nn.AvgPool2d(2) of a map of even height and width. The output does not overlap the input.
template <class T>
constexpr void average_halve(Context<T>& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  detail::halve<T>(context, "average pool", "average_halve", &KernelTable<T>::average_halve, input, output);
}

/// The trace's node for bilinear_double_rows, for an input map of this shape.
template <class T>
constexpr Node bilinear_double_node(Context<T>& context, Shape input) noexcept {
  Node node = context.new_node("bilinear x2", input, {2 * input.height, 2 * input.width, input.channels});
  node.kernel = "bilinear_double";
  return node;
}

/// Some rows of what bilinear_double makes of a map; `input` has the rows that they are computed from.
template <class T>
constexpr void bilinear_double_rows(Context<T>& context, Node& node, Band<T const> input, Band<T> output) noexcept {
  Shape const doubled{output.rows.height(), 2 * input.rows.width(), input.rows.channels()};
  if (!context.accepts("bilinear x2", "input", input.rows, input.rows.shape(), Layout::dense) ||
      !context.accepts("bilinear x2", "output", output.rows, doubled, Layout::dense)) {
    return;
  }
  Resampling<T> const work{input.rows.data(),  input.map_height, input.rows.width(), input.rows.pitch(),
                           output.rows.data(), input.first_row,  output.first_row};
  Piece const piece(context, node);
  context.each_range(output.rows.height(), rows_a_range,
                     [&](Index first, Index last, Index) { context.kernels->bilinear_double(work, first, last); });
}

/// torch.nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False).
template <class T>
constexpr void bilinear_double(Context<T>& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  Shape const doubled{2 * input.height(), 2 * input.width(), input.channels()};
  if (!context.accepts("bilinear x2", "output", output, doubled, Layout::dense)) return;
  Node node = bilinear_double_node(context, input.shape());
  bilinear_double_rows<T>(context, node, input, output);
}

/// The trace's node for bilinear_double_sum_rows; `doubled` is the shape of the large map.
template <class T>
constexpr Node bilinear_double_sum_node(Context<T>& context, Shape doubled) noexcept {
  Node node = context.new_node("bilinear x2 + sum", {doubled.height / 2, doubled.width / 2, doubled.channels}, doubled);
  node.kernel = "bilinear_double_sum";
  node.bytes += context.bytes_of(doubled);
  return node;
}

/// Some rows of map = weights[0] * map + weights[1] * bilinear_double(small), with weights of 1 x 1 x channels, one
/// behind the other: the interpolated map is never stored.
template <class T>
constexpr void bilinear_double_sum_rows(Context<T>& context, Node& node, View<T const> small, T const* weights,
                                        Band<T> map) noexcept {
  Shape const doubled{map.rows.height(), 2 * small.width(), small.channels()};
  if (!context.accepts("bilinear x2", "input", small, small.shape(), Layout::dense) ||
      !context.accepts("bilinear x2", "map", map.rows, doubled, Layout::dense)) {
    return;
  }
  DoubledSum<T> const work{
      {small.data(), small.height(), small.width(), small.pitch(), map.rows.data(), 0, map.first_row},
      map.rows.data(),
      {weights, advance(weights, small.pitch())}};
  Piece const piece(context, node);
  context.each_range(map.rows.height(), rows_a_range,
                     [&](Index first, Index last, Index) { context.kernels->bilinear_double_sum(work, first, last); });
}

template <class T>
constexpr void blur_pool(ScopedContext<T> const& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  blur_pool<T>(static_cast<Context<T>&>(context), input, output);
}
template <class T>
constexpr void average_halve(ScopedContext<T> const& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  average_halve<T>(static_cast<Context<T>&>(context), input, output);
}
template <class T>
constexpr void bilinear_double(ScopedContext<T> const& context, ViewOf<T const> input, ViewOf<T> output) noexcept {
  bilinear_double<T>(static_cast<Context<T>&>(context), input, output);
}

}  // namespace mirnet::inline MIRNET_ABI

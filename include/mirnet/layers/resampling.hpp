// Resampling: by two, and by any factor.
#pragma once

#include <algorithm>

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
constexpr void blur_pool(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
  detail::halve<T>(context, "blur-pool", "blur_pool", &KernelTable<T>::blur_pool, input, output);
}

/// torch.nn.AvgPool2d(2) of a map of even height and width. The output does not overlap the input.
template <class T>
constexpr void average_halve(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
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
constexpr void bilinear_double(AnyContext<T> const& where, ViewOf<T const> input, ViewOf<T> output) noexcept {
  Context<T>& context = where.context();
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

enum class Interpolation : unsigned char {
  nearest,   ///< PyTorch's "nearest": the pixel that contains the output pixel's upper left corner
  bilinear,  ///< of the 2x2 pixels around, without anti-aliasing where the map becomes smaller
  bicubic,   ///< of the 4x4 pixels around, likewise
};

/// The options of resize, with PyTorch's names.
struct ResizeOptions {
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false;  ///< the centres of the corner pixels coincide, instead of the corners of the maps
  double cubic = -0.75;        ///< bicubic: Keys' coefficient a; -0.75 as in PyTorch, -0.5 as in Pillow
};

namespace detail {

/// Where the output's rows, or columns, come from: `taps` rows of the input each, with weights.
template <class Sum>
struct ResizeAxis {
  Index input, output;
  double step;  // pixels of the input from one output pixel to the next
  ResizeOptions options;

  static constexpr Index taps_of(Interpolation mode) noexcept {
    return mode == Interpolation::nearest ? 1 : mode == Interpolation::bilinear ? 2 : 4;
  }

  constexpr void write(Index* places, Sum* weights) const noexcept {
    Index const taps = taps_of(options.mode);
    for (Index i = 0; i < output; ++i, places += taps, weights += taps) {
      double at = static_cast<double>(i) * step;
      // Where this is a whole number but for rounding, PyTorch's rounding decides.
      if (options.mode == Interpolation::nearest) at = static_cast<float>(i) * static_cast<float>(step);
      if (options.mode != Interpolation::nearest && !options.align_corners) at += 0.5 * step - 0.5;
      if (options.mode == Interpolation::bilinear) at = (std::max)(at, 0.0);
      Index const whole = static_cast<Index>(at) - (at < static_cast<double>(static_cast<Index>(at)) ? 1 : 0);
      double const part = at - static_cast<double>(whole);
      Index const first = options.mode == Interpolation::bicubic ? whole - 1 : whole;
      for (Index tap = 0; tap < taps; ++tap) {
        places[tap] = std::clamp<Index>(first + tap, 0, input - 1);
        weights[tap] = static_cast<Sum>(weight(part, tap));
      }
    }
  }

  constexpr double weight(double part, Index tap) const noexcept {
    if (options.mode == Interpolation::nearest) return 1.0;
    if (options.mode == Interpolation::bilinear) return tap == 0 ? 1.0 - part : part;
    // Keys' kernel of the distance to the tap.
    double const a = options.cubic, difference = part + 1.0 - static_cast<double>(tap);
    double const x = difference < 0.0 ? -difference : difference;
    return x <= 1.0 ? ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 : ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  }
};

/// With `factor` the output's size over the input's, or 0 where the sizes say it.
template <class T>
constexpr void resize(Context<T>& context, View<T const> input, double factor, ResizeOptions const& options,
                      View<T> output) noexcept {
  using Sum = Accumulator<T>;
  Shape const shape{output.height(), output.width(), input.channels()};
  if (!context.accepts("resize", "input", input, input.shape()) ||
      !context.accepts("resize", "output", output, shape) || !context.differ("resize", input, output) ||
      !context.has_pixels("resize", input.shape()) || !context.has_pixels("resize", shape)) {
    return;
  }
  auto const axis = [&](Index from, Index to) {
    double step = factor > 0.0 ? 1.0 / factor : static_cast<double>(from) / static_cast<double>(to);
    if (options.align_corners && options.mode != Interpolation::nearest) {
      step = to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0.0;
    }
    return ResizeAxis<Sum>{from, to, step, options};
  };
  Index const taps = ResizeAxis<Sum>::taps_of(options.mode), steps = taps * (shape.height + shape.width);
  ArenaBlock<Index> const places(context.arena, steps);
  ArenaBlock<Sum> const weights(context.arena, steps);
  Index* const columns = advance(places.data(), taps * shape.height);
  Sum* const column_weights = advance(weights.data(), taps * shape.height);
  Interpolated<T> const work{input.data(),   input.width(), input.pitch(), input.channels(),
                             taps,           places.data(), columns,       weights.data(),
                             column_weights, output.data(), shape.width,   output.pitch()};
  auto const scratch = context.scratch(work.scratch_elements() * static_cast<Index>(sizeof(Sum)));
  Node node = context.new_node("resize", input.shape(), shape);
  node.kernel = options.mode == Interpolation::nearest ? "nearest" : taps == 2 ? "bilinear" : "bicubic";
  Piece const piece(context, node);
  context.once([&] {
    axis(input.height(), shape.height).write(places.data(), weights.data());
    axis(input.width(), shape.width).write(columns, column_weights);
  });
  context.each_range(shape.height, rows_a_range, [&](Index first, Index last, Index worker) {
    auto* const rows = reinterpret_cast<Sum*>(scratch.data()) + worker * work.scratch_elements();
    context.kernels->interpolate(work, first, last, rows);
  });
}

}  // namespace detail

/// torch.nn.functional.interpolate(size=...): the output's height and width say the size. The output does not overlap
/// the input.
template <class T>
constexpr void resize(AnyContext<T> const& context, ViewOf<T const> input, ResizeOptions const& options,
                      ViewOf<T> output) noexcept {
  detail::resize<T>(context.context(), input, 0.0, options, output);
}

/// torch.nn.functional.interpolate(scale_factor=factor), into a new map: height and width times a factor above 0 and up
/// to 65535, rounded down. The factor sets the positions of the samples even where the size is rounded.
template <class T>
constexpr ArenaMap<T> resize(AnyContext<T> const& context, ViewOf<T const> input, double factor,
                             ResizeOptions const& options = {}) noexcept {
  bool const is_factor = factor > 0.0 && factor <= 65535.0;
  if (!is_factor) {
    context.context().refuse({.layer = "resize", .reason = "the factor is not above 0 and at most 65535"});
  }
  auto const size = [&](Index n) { return is_factor ? static_cast<Index>(static_cast<double>(n) * factor) : 0; };
  ArenaMap<T> output(context.context().arena, {size(input.height()), size(input.width()), input.channels()});
  detail::resize<T>(context.context(), input, factor, options, output);
  return output;
}

}  // namespace mirnet::inline MIRNET_ABI

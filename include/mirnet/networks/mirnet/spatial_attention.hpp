// Spatial attention: which pixels matter, from the largest and the mean value of their channels (section 3.2).
#pragma once

#include <algorithm>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// gate = sigmoid(W * [max(r) ; mean(r)]), W 5x5 from two planes to one, one value a pixel. The caller multiplies.
template <class T>
class SpatialAttention {
 public:
  /// The two planes of r, with the border of zeros that the kernel wants.
  class Planes {
    using Number = Accumulator<T>;

   public:
    constexpr Planes(Context<T>& context, Shape r) noexcept
        : shape_(r),
          pitch_(round_up(r.width + 2 * border, channels_per_line<T>) + channels_per_line<T>),
          plane_((r.height + 2 * border) * pitch_),
          memory_(context.arena, 2 * plane_) {
      context.once([&] { std::fill_n(memory_.data(), 2 * plane_, Number(0)); });
    }

    /// For the layer that writes r, from this row on.
    constexpr Statistics<T> statistics(Index row) const noexcept {
      Number* const first = advance(memory_.data(), (row + border) * pitch_ + border);
      return {.maximum = first, .mean = advance(first, plane_), .plane_pitch = pitch_, .channels = shape_.channels};
    }

   private:
    friend SpatialAttention;
    Shape shape_;
    Index pitch_, plane_;
    ArenaBlock<Number> memory_;
  };

  SpatialAttention() = default;

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(convolution_, name / "spatial.conv");
  }

  /// `gate` has r's number of pixels, row by row without padding.
  constexpr void gate(Context<T>& context, Planes const& r, T* gate) const noexcept {
    Index const weights = convolution_.shape().elements();
    context.count(r.shape_.pixels(), weights);
    auto const inside = context.at("spatial.conv");
    Shape const plane{r.shape_.height, r.shape_.width, 1};
    Node node = context.new_node("spatial gate 5x5", {plane.height, plane.width, 2}, plane);
    node.kernel = "spatial_gate";
    node.macs = static_cast<std::uint64_t>(plane.pixels()) * static_cast<std::uint64_t>(weights);
    // Planes have no padded channels.
    node.bytes = 2 * plane.pixels() * static_cast<Index>(sizeof(Accumulator<T>)) +
                 (plane.pixels() + weights) * static_cast<Index>(sizeof(T));
    Piece const piece(context, node);
    context.each_range(r.shape_.height, rows_a_range, [&](Index first, Index last, Index) {
      Accumulator<T> const* const planes = r.memory_.data();
      SpatialGate<T> const work{planes, planes + r.plane_, r.pitch_, r.shape_.width, convolution_.data(), gate};
      context.kernels->spatial_gate(work, first, last);
    });
  }

 private:
  static constexpr Index border = 2;

  PlainParameter<T> convolution_{{4, {1, 2, 5, 5}}};
};

}  // namespace mirnet::inline MIRNET_ABI

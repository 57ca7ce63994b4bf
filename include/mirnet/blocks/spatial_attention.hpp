// Spatial attention: which pixels matter, from the largest and the mean value of their channels (section 3.2).
#pragma once

#include <algorithm>
#include <cstring>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline v0 {

/// gate = sigmoid(W * [max(r) ; mean(r)]), W 5x5 from two planes to one, one value a pixel. The caller multiplies.
template <class T>
class SpatialAttention {
 public:
  SpatialAttention() = default;

  template <class Visitor>
  void layers(Visitor&& visit, Name const& name) {
    visit(convolution_, name / "spatial.conv");
  }

  /// `gate` has r.pixels() elements, row by row without padding.
  void gate(Context<T>& context, View<T const> r, T* gate) const noexcept {
    // Each plane has the border of zeros that the kernel wants, and every row is written by one worker.
    Index const pitch = round_up(r.width() + 2 * border, channel_group<T>) + channel_group<T>;
    Index const plane = (r.height() + 2 * border) * pitch;
    ArenaBlock<T> const planes(context.arena, 2 * plane);
    context.each_range(r.height() + 2 * border, rows_a_range, [&](Index first, Index last, Index) {
      T* const maximum = planes.data();
      T* const mean = maximum + plane;
      std::size_t const bytes = static_cast<std::size_t>((last - first) * pitch) * sizeof(T);
      std::memset(maximum + first * pitch, 0, bytes);
      std::memset(mean + first * pitch, 0, bytes);
      for (Index row = std::max(first, border); row < std::min(last, r.height() + border); ++row) {
        Index const at = row * pitch + border;
        context.kernels->channel_max_mean(r.row(row - border), r.width(), r.channels(), r.pitch(), maximum + at,
                                          mean + at);
      }
    });
    context.count(r.pixels(), convolution_.shape().elements());
    context.each_range(r.height(), rows_a_range, [&](Index first, Index last, Index) {
      SpatialGate<T> const work{planes.data(), planes.data() + plane, pitch, r.width(), convolution_.data(), gate};
      context.kernels->spatial_gate(work, first, last);
    });
  }

 private:
  static constexpr Index border = 2;

  PlainParameter<T> convolution_{{4, {1, 2, 5, 5}}};
};

}  // namespace mirnet::inline v0

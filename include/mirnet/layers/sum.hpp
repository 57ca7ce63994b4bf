// Sums of maps.
#pragma once

#include <algorithm>
#include <type_traits>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// map = other + lrelu(map + vector), with a vector of 1 x 1 x channels. `sums`, unless null, are told the sums of the
/// map's channels.
template <class T>
constexpr void add_activated(AnyContext<T> const& where, ViewOf<T const> other, ViewOf<T const> vector,
                             LeakyRelu activation, ViewOf<T> map,
                             std::type_identity_t<ChannelSums<T>>* sums = nullptr) noexcept {
  Context<T>& context = where.context();
  constexpr Index pixels_a_line = ChannelSums<T>::pixels_a_line;
  if (!context.accepts("sum", "input", other, map.shape(), Layout::dense) ||
      !context.accepts("sum", "vector", vector, {1, 1, map.channels()}, Layout::dense) ||
      !context.accepts("sum", "map", map, map.shape(), Layout::dense) ||
      (sums != nullptr && !sums->take(context, "sum", map.channels()))) {
    return;
  }
  Node node = context.new_node("sum", map.shape(), map.shape());
  node.kernel = "activated_sum";
  node.bytes += context.bytes_of(other.shape());
  node.activation = activation.slope != 1;
  node.residual = true;
  node.statistics = sums != nullptr;
  Index const pitch = map.pitch(), lines = sums == nullptr ? 0 : divide_up(map.pixels(), pixels_a_line);
  ActivatedSum<T> const work{map.data(), other.data(), vector.data(), T(activation.slope), pitch, map.data()};
  ArenaBlock<Accumulator<T>> const partial(context.arena, lines * pitch);
  Piece const piece(context, node);
  context.each_range(map.pixels(), pixels_a_line, [&](Index first, Index last, Index) {
    context.kernels->activated_sum(work, first, last,
                                   sums == nullptr ? nullptr : partial.data() + first / pixels_a_line * pitch);
  });
  if (sums != nullptr) sums->add(context, partial.data(), lines, map.pixels());
}

}  // namespace mirnet::inline MIRNET_ABI

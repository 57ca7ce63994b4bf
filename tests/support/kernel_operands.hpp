// Random operands of kernels, the same numbers for tables of every type.
#pragma once

#include <mirnet/kernels/table.hpp>
#include <mirnet/tensor/view.hpp>

#include "support/buffer.hpp"
#include "support/random.hpp"

namespace test {

/// Weights in the arrangement of another type's kernels, whose lines may be longer.
template <class T>
Buffer<T> repacked(Buffer<float> const& weights, Index depth) {
  Index const outputs = weights.size() / depth;
  Buffer<T> result(depth * mirnet::round_up(outputs, mirnet::packed_line<T>));
  for (Index o = 0; o < outputs; ++o) {
    for (Index k = 0; k < depth; ++k) {
      result[mirnet::packed_position<T>(depth, o, k)] =
          static_cast<T>(weights[mirnet::packed_position<float>(depth, o, k)]);
    }
  }
  return result;
}

/// A map of `channels` random channels with its padding of zeros.
inline Buffer<float> random_map(Index pixels, Index channels, Random& random) {
  Buffer<float> map(pixels * mirnet::pixel_pitch<float>(channels));
  fill(mirnet::View<float>(map.data(), {1, pixels, channels}), random);
  return map;
}

}  // namespace test

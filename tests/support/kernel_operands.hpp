// Random operands of kernels, the same numbers for tables of every type.
#pragma once

#include <mirnet/kernels/table.hpp>
#include <mirnet/tensor/view.hpp>

#include "support/buffer.hpp"
#include "support/random.hpp"

namespace test {

/// Weights in the arrangement of another type's kernels.
template <class T>
Buffer<T> repacked(Buffer<float> const& weights, Index depth) {
  Buffer<T> result(weights.size());
  for (Index o = 0; o < weights.size() / depth; ++o) {
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

// How much of a network's change to an image is kept, separately for brightness and colour.
#pragma once

#include <cstddef>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The shares of the network's change that are applied to brightness and to colour: 0 leaves the image as it is, 1
/// applies the whole change. Photographers keep some of the grain in the brightness and none of the blotches of colour.
struct Strength {
  float brightness = 1.0f;
  float colour = 1.0f;
  bool operator==(Strength const&) const = default;
};

namespace detail {

/// Moves a row of restored pixels, of which the first is pixel (y, x) of the original image, back towards that image.
/// Brightness is that of ITU-R BT.601.
inline void soften(ImageView image, Index y, Index x, Strength strength, View<float> row) noexcept {
  if (strength == Strength{}) return;
  image.visit(
      [&](auto rows) {
        auto const* from = rows(y);
        float* to = row.data();
        for (Index i = 0; i < row.width(); ++i, from += image.channels(), to += row.pitch()) {
          auto const before = unit_colours(from, image.colours());
          float const change[] = {to[0] - before[0], to[1] - before[1], to[2] - before[2]};
          float const brightness = 0.299f * change[0] + 0.587f * change[1] + 0.114f * change[2];
          for (std::size_t c = 0; c < 3; ++c) {
            to[c] = before[c] + strength.colour * (change[c] - brightness) + strength.brightness * brightness;
          }
        }
      },
      x);
}

}  // namespace detail

}  // namespace mirnet::inline MIRNET_ABI

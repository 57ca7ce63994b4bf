// Pictures of something like the world, and noise to add to them.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <mirnet/image/image.hpp>

#include "support/random.hpp"

namespace test {

using mirnet::Image;
using mirnet::SampleType;

/// A level of 0 to 1 for each sample.
struct Scene {
  Index width, height, channels;
  std::vector<float> levels;

  Scene(Index w, Index h, Index c) : width(w), height(h), channels(c), levels(static_cast<std::size_t>(w * h * c)) {}

  float& at(Index y, Index x, Index c) { return levels[static_cast<std::size_t>((y * width + x) * channels + c)]; }

  /// As samples of a picture, rounded and clipped where its type does so.
  Image image(SampleType type) const {
    auto picture = Image::create(width, height, channels, type).value();
    picture.visit([&](auto samples) {
      using T = typename decltype(samples)::value_type;
      std::transform(levels.begin(), levels.end(), samples.begin(), mirnet::from_unit<T>);
    });
    return picture;
  }
};

/// A third of sky, dark to bright; a wall of bricks, and a lawn of random blades. Without noise.
inline Scene landscape(Index width, Index height, Index channels = 3) {
  Scene scene(width, height, channels);
  Random random(5);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      float const across = static_cast<float>(x) / static_cast<float>(width);
      float const down = static_cast<float>(y) / static_cast<float>(height);
      float level = 0.25f + 0.5f * across;
      if (down > 0.4f && across < 0.5f) {
        bool const joint = y % 9 == 0 || (x + y / 9 % 2 * 7) % 14 == 0;
        level = (joint ? 0.6f : 0.4f) + 0.05f * std::sin(static_cast<float>(x * x % 83 + y));
      } else if (down > 0.4f) {
        level = 0.45f + random.uniform(-0.2f, 0.2f) + 0.1f * std::sin(static_cast<float>(x) * 0.9f);
      }
      for (Index c = 0; c < channels; ++c) scene.at(y, x, c) = level * (1.0f - 0.06f * static_cast<float>(c));
    }
  }
  return scene;
}

/// Of mean 0 and deviation 1, nearly Gaussian.
inline float gaussian(Random& random) {
  float sum = 0;
  for (int i = 0; i < 12; ++i) sum += random.uniform(-0.5f, 0.5f);
  return sum;
}

/// Independent noise of deviation 1 for each sample; with `blur`, blurred by a Gaussian of so many pixels, and of
/// deviation 1 again.
inline Scene noise(Index width, Index height, Index channels, float blur = 0) {
  Scene white(width, height, channels);
  Random random(17);
  for (float& level : white.levels) level = gaussian(random);
  if (!(blur > 0)) return white;
  constexpr Index radius = 4;
  float window[2 * radius + 1], sum = 0, squares = 0;
  for (Index i = -radius; i <= radius; ++i) {
    window[i + radius] = std::exp(-0.5f * static_cast<float>(i * i) / (blur * blur));
    sum += window[i + radius];
  }
  for (float& weight : window) {
    weight /= sum;
    squares += weight * weight;
  }
  Scene across(width, height, channels), blurred(width, height, channels);
  auto const filter = [&](Scene& from, Scene& to, Index dy, Index dx) {
    for (Index y = 0; y < height; ++y) {
      for (Index x = 0; x < width; ++x) {
        for (Index c = 0; c < channels; ++c) {
          float total = 0;
          for (Index i = -radius; i <= radius; ++i) {
            total += window[i + radius] * from.at((y + i * dy + height) % height, (x + i * dx + width) % width, c);
          }
          to.at(y, x, c) = total;
        }
      }
    }
  };
  filter(white, across, 0, 1);
  filter(across, blurred, 1, 0);
  for (float& level : blurred.levels) level /= squares;
  return blurred;
}

/// A scene with noise of this deviation, of 255.
inline Scene with_noise(Scene scene, float deviation, float blur = 0) {
  auto const added = noise(scene.width, scene.height, scene.channels, blur);
  for (std::size_t i = 0; i < scene.levels.size(); ++i) scene.levels[i] += deviation / 255 * added.levels[i];
  return scene;
}

}  // namespace test

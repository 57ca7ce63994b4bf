// Sharpens a picture by an unsharp mask on its brightness, carefully enough for one that has just lost its noise: what
// is left of noise in flat parts is not raised, and edges get no bright and dark seams.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

struct Sharpening {
  float amount = 0.5f;  ///< how much of the detail is added: 0 leaves every bit as it is, 1 is the most
  float noise = 0.01f;  ///< detail below is taken for noise; white is 1. About the deviation of noise that is left
};

namespace detail {

/// The weights of a Gaussian of 1 pixel, cut off at 2.
inline constexpr std::array<float, 5> sharpening_window{0.05449f, 0.24420f, 0.40262f, 0.24420f, 0.05449f};
/// How far brightness may go beyond that of the 3 x 3 pixels around, in shares of their range.
inline constexpr float most_overshoot = 0.1f;

/// What the pixels of a row are to gain, the same in all colours. `brightness` is that of the image, NaN where it is
/// fully transparent; `differences` gets one number for each pixel.
inline void sharpening_of_row(float const* brightness, Index width, Index height, Index y, Sharpening sharpening,
                              float* differences) noexcept {
  for (Index x = 0; x < width; ++x) {
    float const middle = brightness[y * width + x];
    differences[x] = 0;
    if (!std::isfinite(middle)) continue;
    float blurred = 0, lowest = middle, highest = middle;
    for (Index dy = -2; dy <= 2; ++dy) {
      float const* const row = brightness + std::clamp(y + dy, Index{0}, height - 1) * width;
      for (Index dx = -2; dx <= 2; ++dx) {
        float const found = row[std::clamp(x + dx, Index{0}, width - 1)];
        float const value = std::isfinite(found) ? found : middle;
        blurred += sharpening_window[static_cast<std::size_t>(dy + 2)] *
                   sharpening_window[static_cast<std::size_t>(dx + 2)] * value;
        if (dy * dy + dx * dx > 2) continue;
        lowest = (std::min)(lowest, value);
        highest = (std::max)(highest, value);
      }
    }
    float const detail = middle - blurred;
    // Goes to zero as the cube where detail is below the noise, and to detail where it is above.
    float const power = detail * detail, threshold = sharpening.noise * sharpening.noise;
    float const gain = power > 0 ? power / (power + threshold) : 0;
    float const seam = most_overshoot * (highest - lowest);
    differences[x] = std::clamp(middle + sharpening.amount * gain * detail, lowest - seam, highest + seam) - middle;
  }
}

}  // namespace detail

/// Sharpens an image in place, with a radius of 1 pixel. Its brightness (that of ITU-R BT.601) goes beyond the range of
/// the 3 x 3 pixels around by no more than a tenth of the range. Alpha and fully transparent pixels stay and do not
/// count. Errors: memory; invalid_argument, where the amount is not from 0 to 1 or the noise is negative.
inline Result<void> sharpen(Image& image, Sharpening sharpening = {}, ParallelFor const& parallel = {}) noexcept {
  if (!(sharpening.amount >= 0 && sharpening.amount <= 1 && sharpening.noise >= 0)) {
    return Error(ErrorCode::invalid_argument,
                 "sharpening by %g above noise of %g; expected an amount from 0 to 1 and noise of 0 or more",
                 static_cast<double>(sharpening.amount), static_cast<double>(sharpening.noise));
  }
  if (sharpening.amount == 0 || image.pixels() == 0) return {};
  Index const width = image.width(), height = image.height();
  auto const rows = checked_sum(height, parallel.workers);  // those of the image, and one for each worker
  auto const numbers = rows ? checked_product(*rows, width) : rows;
  auto const bytes = numbers ? checked_product(*numbers, static_cast<Index>(sizeof(float))) : numbers;
  if (!bytes) return Error(ErrorCode::memory, "the brightness of the image needs more memory than can be addressed");
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  auto* const brightness = reinterpret_cast<float*>(memory->bytes().data());
  auto* const differences = brightness + image.pixels();
  image.visit([&](auto samples) {
    using T = typename decltype(samples)::value_type;
    Index const channels = image.channels(), colours = image.colours();
    parallel(height, [&](Index y, Index) {
      for (Index i = y * width; i < (y + 1) * width; ++i) {
        T const* const pixel = samples.data() + i * channels;
        bool const hidden = image.has_alpha() && !(pixel[channels - 1] > T{0});
        auto const [red, green, blue] = detail::unit_colours(pixel, colours);
        brightness[i] =
            hidden ? std::numeric_limits<float>::quiet_NaN() : 0.299f * red + 0.587f * green + 0.114f * blue;
      }
    });
    parallel(height, [&](Index y, Index worker) {
      float* const row = differences + worker * width;
      detail::sharpening_of_row(brightness, width, height, y, sharpening, row);
      for (Index x = 0; x < width; ++x) {
        T* const pixel = samples.data() + (y * width + x) * channels;
        if (row[x] == 0.0f) continue;
        for (Index c = 0; c < colours; ++c) pixel[c] = from_unit<T>(to_unit(pixel[c]) + row[x]);
      }
    });
  });
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI

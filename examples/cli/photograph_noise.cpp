#include "photograph_noise.hpp"

#include <algorithm>

#include "commands.hpp"
#include "picture_writer.hpp"

namespace cli {

namespace {

constexpr float levels = 255;

/// 0 up to `low`, 1 from `high` on.
float ramp(float value, float low, float high) { return std::clamp((value - low) / (high - low), 0.0f, 1.0f); }

}  // namespace

mirnet::Result<mirnet::NoiseEstimate> noise_of(mirnet::Image const& image, ColourConversion const* conversion,
                                               mirnet::ParallelFor const& parallel) {
  if (conversion == nullptr || conversion->colours() != image.colours()) return mirnet::measure_noise(image, parallel);
  auto const seen = seen_by_network(image, *conversion, parallel);
  if (!seen) return seen.error();
  return mirnet::measure_noise(*seen, parallel);
}

char const* noise_word(mirnet::NoiseEstimate const& noise) {
  float const strongest = levels * std::max(noise.brightness, noise.colour);
  return strongest < 0.5f ? "none"
         : strongest < 2  ? "hardly any"
         : strongest < 5  ? "little"
         : strongest < 12 ? "moderate"
         : strongest < 30 ? "strong"
                          : "very strong";
}

char const* correlation_word(float correlation) {
  return correlation < 0.15f ? "fine" : correlation < 0.45f ? "slightly blurred" : "blurred";
}

std::string noise_text(mirnet::NoiseEstimate const& noise, bool has_colours) {
  auto text =
      format("%s: %.1f of 255 in brightness", noise_word(noise), static_cast<double>(levels * noise.brightness));
  if (has_colours) text += format(", %.1f in colour", static_cast<double>(levels * noise.colour));
  return text;
}

float automatic_strength(mirnet::NoiseEstimate const& noise) {
  // Texture raises the estimate of one half of a clean picture, and hardly ever that of both. Correlated noise is that
  // of a camera; white noise as weak is more often fine texture. With these limits, the clean pictures of the
  // evaluation (weights/denoise.md) stay as they are, and the noisy ones get a strength of 1.
  float const colour = ramp(levels * noise.colour, 0.66f, 1.35f);
  float const weaker = levels * std::min(noise.dark, noise.bright);
  float const brightness = noise.correlation > 0.5f ? ramp(weaker, 1.3f, 1.7f) : ramp(weaker, 1.8f, 3.2f);
  return std::max(colour, brightness);
}

}  // namespace cli

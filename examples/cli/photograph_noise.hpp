// The noise of a photograph: measured, in words, and how much of it the network is to remove.
#pragma once

#include <string>

#include <mirnet/image/noise.hpp>

#include "colour.hpp"

namespace cli {

/// Noise as the network sees it, of colours in sRGB; `conversion` leads there and may be null. Errors: memory.
mirnet::Result<mirnet::NoiseEstimate> noise_of(mirnet::Image const& image, ColourConversion const* conversion,
                                               mirnet::ParallelFor const& parallel);

/// "moderate", for people.
char const* noise_word(mirnet::NoiseEstimate const& noise);
char const* correlation_word(float correlation);

/// "moderate: 6.9 of 255 in brightness, 2.1 in colour".
std::string noise_text(mirnet::NoiseEstimate const& noise, bool has_colours);

/// The strength of --strength auto: 0 where no noise is found, 1 from a deviation of about 3 of 255 on. In between, the
/// network takes away more detail than noise.
float automatic_strength(mirnet::NoiseEstimate const& noise);

}  // namespace cli

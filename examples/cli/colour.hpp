// Colours as networks see them. They learned photographs in sRGB; what a picture in another colour space holds is
// converted to sRGB's primaries and curve before it is restored, and the result back. Values outside of sRGB's colours
// are below 0 or above 1 in between: nothing is clipped, and what the network leaves alone comes back as it was.
//
// The process in the sandbox reads the colour profile, with Little CMS, and hands over a matrix and curves. The program
// itself never parses a stranger's profile.
#pragma once

#include <array>
#include <memory>

#include "codecs/metadata.hpp"

namespace cli {

/// A way there and back, as plain numbers: a curve for each colour, sampled from 0 to 1, and a matrix from the colour
/// space's linear colours to those of sRGB.
class ColourConversion {
 public:
  static constexpr int steps = 4096;
  using Curve = std::array<float, steps + 1>;

  /// What a picture of so many colours, 1 or 3, with this metadata needs; null where it is close enough to sRGB, where
  /// nothing is known of its colours, and where matrix and curves do not say how to convert them: profiles with
  /// tables, and HDR (PQ and HLG), whose curves show the network shadows as it knows them. Null as well in a build
  /// without Little CMS.
  static std::unique_ptr<ColourConversion> of(Metadata const& metadata, mirnet::Index colours);

  /// From the bytes of another process; null where they cannot be a conversion.
  static std::unique_ptr<ColourConversion> from_bytes(std::span<std::byte const> bytes);
  Bytes to_bytes() const;

  /// Converts pixels of as many floats as there are colours, in place.
  void to_network(float* pixels, mirnet::Index count) const;
  void from_network(float* pixels, mirnet::Index count) const;

  mirnet::Index colours() const { return colours_; }

 private:
  ColourConversion() = default;
  /// Whether it can be undone: curves that rise everywhere, and a matrix with an inverse, which this finds.
  bool prepare();

  int colours_ = 3;
  std::array<Curve, 3> curves_{};
  std::array<double, 9> matrix_{};
  std::array<float, 9> there_{}, back_{};
};

/// Ink to sRGB by a colour profile for CMYK: `from` has four samples a pixel, 255 for full ink or, where `inverted`,
/// for none, and `to` gets three. False where the profile cannot be used, or in a build without Little CMS. For the
/// process in the sandbox.
bool cmyk_to_srgb(std::span<std::byte const> icc, std::byte const* from, std::byte* to, std::size_t pixels,
                  bool inverted);

/// A colour profile that says what the tags of a PNG or AVIF say, for formats that hold profiles alone; nothing where
/// the tags say sRGB, nothing, or what a profile cannot say, or in a build without Little CMS.
Bytes profile_of(ColourTags const& tags, mirnet::Index colours);

}  // namespace cli

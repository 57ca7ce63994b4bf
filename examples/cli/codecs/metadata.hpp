// What a picture's file says besides its pixels: colour, EXIF, XMP, IPTC, resolution, and how the camera was held.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mirnet/image/image.hpp>

namespace cli {

using Bytes = std::vector<std::byte>;

/// What EXIF data in a JPEG starts with.
inline constexpr std::string_view exif_mark{"Exif\0\0", 6};
/// What XMP in a JPEG starts with.
inline constexpr std::string_view xmp_mark{"http://ns.adobe.com/xap/1.0/\0", 29};

struct Resolution {
  double x = 0, y = 0;   ///< samples an inch across and down; 0: the file does not say
  bool per_inch = true;  ///< otherwise only how x and y compare: the samples are not square

  bool empty() const { return !(x > 0 && y > 0); }
};

/// How the samples stand for colours, as PNG's chunks say it (PNG, third edition, 11.3.2).
struct ColourTags {
  int intent = -1;                                ///< sRGB, with a rendering intent of 0 to 3
  std::uint32_t gamma = 0;                        ///< 100000 times the exponent; 0: none
  std::array<std::uint32_t, 8> chromaticities{};  ///< 100000 times x and y of white, red, green and blue
  std::array<std::uint8_t, 4> cicp{};             ///< primaries, transfer, matrix, full range (ITU-T H.273)

  bool has_chromaticities() const { return chromaticities[0] != 0; }
  bool has_cicp() const { return cicp[0] != 0; }
  bool empty() const { return intent < 0 && gamma == 0 && !has_chromaticities() && !has_cicp(); }
};

/// Empty vectors: the file does not say.
struct Metadata {
  Bytes icc;   ///< the colour profile
  Bytes exif;  ///< a TIFF structure, without JPEG's "Exif\0\0"
  Bytes xmp;   ///< a packet of XML in UTF-8
  Bytes iptc;  ///< the records of IPTC-IIM, without Photoshop's resources around them
  Resolution resolution;
  ColourTags colour;
  int orientation = 1;  ///< 1 to 8, what EXIF says of the pixels as they are stored
};

/// No more of each kind is taken, in bytes.
inline constexpr std::size_t most_metadata = std::size_t{1} << 26;

/// The orientation in a TIFF structure; 1 where it says none or nonsense.
int exif_orientation(std::span<std::byte const> exif);

/// The resolution in a TIFF structure.
Resolution exif_resolution(std::span<std::byte const> exif);

/// What a camera says of a photograph; empty texts and zeros where it does not.
struct PhotographData {
  std::string make, model, lens;
  std::string date;           ///< of the exposure, as in "2026-05-09 12:30:00"
  double exposure = 0;        ///< seconds
  double aperture = 0;        ///< f-number
  double iso = 0;             ///< sensitivity
  double focal_length = 0;    ///< millimetres
  bool has_position = false;  ///< where it was taken (GPS)
};

/// The same in a TIFF structure. Texts hold what the file holds, whatever the encoding.
PhotographData photograph_data(std::span<std::byte const> exif);

/// What a colour profile (ICC.1:2022) calls itself, in ASCII; empty where it does not say.
std::string profile_name(std::span<std::byte const> icc);

/// The same structure for pixels that are stored upright, `width` x `height` of them: the orientation is 1, the sizes
/// are these, and the bytes of the thumbnail are zeros or cut off, as they show the old pixels. Nothing of what is no
/// TIFF structure, or so damaged that it cannot say this. Everything else stays where it is: makers' notes count from
/// the start of the structure.
Bytes upright_exif(Bytes exif, mirnet::Index width, mirnet::Index height);

/// XMP for pixels that are stored upright: its orientation, if it has one, is 1. Its length does not change.
Bytes upright_xmp(Bytes xmp);

/// The records of IPTC-IIM in Photoshop's image resources, each of which begins with "8BIM"; empty where the resources
/// hold no such records.
Bytes iptc_of_resources(std::span<std::byte const> resources);
/// And such resources with nothing else in them.
Bytes resources_of_iptc(std::span<std::byte const> iptc);

/// The picture as it is meant to be seen: turned and mirrored as an orientation of 2 to 8 says. Errors: memory.
mirnet::Result<mirnet::Image> upright(mirnet::Image const& image, int orientation);

/// Turns a picture and all that its metadata says of its sides as `metadata.orientation` says. Errors: memory.
mirnet::Result<void> make_upright(mirnet::Image& image, Metadata& metadata);

}  // namespace cli

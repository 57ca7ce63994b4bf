// What a picture's file says besides its pixels, and how the camera was held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <mirnet/image/image.hpp>

namespace cli {

using Bytes = std::vector<std::byte>;

/// What EXIF data in a JPEG starts with.
inline constexpr std::string_view exif_mark{"Exif\0\0", 6};

/// Empty vectors: the file does not say.
struct Metadata {
  Bytes icc;            ///< the colour profile
  Bytes exif;           ///< a TIFF structure, without JPEG's "Exif\0\0"
  int orientation = 1;  ///< 1 to 8, what EXIF says of the pixels as they are stored
};

/// Of a PNG or JPEG file that has passed its check; nothing of other formats. Metadata that is damaged is left out: a
/// picture is worth more.
Metadata read_metadata(std::span<std::byte const> file);

/// The orientation in a TIFF structure; 1 where it says none or nonsense.
int exif_orientation(std::span<std::byte const> exif);

/// The same structure for pixels that are stored upright, without the thumbnail, which shows the old pixels.
Bytes upright_exif(Bytes exif);

/// The picture as it is meant to be seen: turned and mirrored as an orientation of 2 to 8 says. Errors: memory.
mirnet::Result<mirnet::Image> upright(mirnet::Image const& image, int orientation);

}  // namespace cli

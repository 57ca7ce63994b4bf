// PNG and JPEG files with all that a photograph has: 16 bits, colour profile, EXIF. What the library's headers write
// with stb_image_write has 8 bits and nothing else.
#pragma once

#include <mirnet/io/bytes.hpp>

#include "metadata.hpp"

namespace cli {

/// Gray or RGB, with alpha or without, of 8 or 16 bits. Errors: memory; output, where libpng
/// refuses the size.
mirnet::Result<mirnet::ByteBuffer> encode_png(mirnet::Image const& image, Metadata const& metadata);

/// Gray or RGB of 8 bits, without alpha. `quality` is 1 to 100; from 90 on colours keep their full
/// resolution. Errors: memory; output, where the size is more than a JPEG can have.
mirnet::Result<mirnet::ByteBuffer> encode_jpeg(mirnet::Image const& image, int quality, Metadata const& metadata);

}  // namespace cli

// PNG and JPEG files with all that a photograph has: 16 bits, colour profile, EXIF. What the library's headers write
// with stb_image_write has 8 bits and nothing else. Rows are compressed as they come, so that a picture can be encoded
// while the rest of it is computed.
#pragma once

#include <memory>
#include <span>

#include <mirnet/io/bytes.hpp>
#include <mirnet/io/image_file.hpp>

#include "metadata.hpp"

namespace cli {

/// What an encoder must know of an image before its first row.
struct ImageLayout {
  mirnet::Index width, height, channels;
  mirnet::SampleType type;

  static ImageLayout of(mirnet::Image const& image) {
    return {image.width(), image.height(), image.channels(), image.type()};
  }
  mirnet::Index row_bytes() const { return width * channels * mirnet::sample_bytes(type); }
};

/// Compresses an image whose rows come one after the other.
class RowEncoder {
 public:
  RowEncoder(RowEncoder const&) = delete;
  RowEncoder& operator=(RowEncoder const&) = delete;
  virtual ~RowEncoder() = default;

  /// PNG: gray or RGB, with alpha or without, of 8 or 16 bits. JPEG: gray or RGB of 8 bits, without alpha;
  /// `jpeg_quality` is 1 to 100, and from 90 on colours keep their full resolution. Errors: memory; output, where
  /// libpng or libjpeg refuses the size.
  static mirnet::Result<std::unique_ptr<RowEncoder>> start(ImageLayout const& layout, mirnet::OutputFormat format,
                                                           int jpeg_quality, Metadata const& metadata);

  /// The next rows, whole ones and no more than the image has. Errors: as start.
  virtual mirnet::Result<void> append(std::span<std::byte const> rows) = 0;

  /// The file, after the last row. Errors: as start.
  virtual mirnet::Result<mirnet::ByteBuffer> finish() = 0;

 protected:
  RowEncoder() = default;
};

/// The most memory that an encoder takes until its file is finished: libjpeg keeps what it compresses until it has
/// counted how often each value occurs, and a file that grows is copied.
double encoder_bytes(ImageLayout const& layout, mirnet::OutputFormat format);

/// Both at once, for an image that is there.
mirnet::Result<mirnet::ByteBuffer> encode_png(mirnet::Image const& image, Metadata const& metadata);
mirnet::Result<mirnet::ByteBuffer> encode_jpeg(mirnet::Image const& image, int quality, Metadata const& metadata);

}  // namespace cli

// Photographs in files: pixels the right way up, and what else the file says of them.
#pragma once

#include <optional>
#include <string>

#include <mirnet/io/image_file.hpp>

#include "metadata.hpp"

namespace cli {

struct Picture {
  mirnet::Image image;  ///< upright
  Metadata metadata;
};

/// Errors: input, memory.
mirnet::Result<Picture> read_picture(std::string const& path);

struct PictureOptions {
  bool overwrite = false;
  int jpeg_quality = 95;
  std::optional<int> depth;  ///< 8 or 16 bits a sample; without it, those of the input where the format has them
};

/// The samples that a file of this format gets of a picture with samples of this type. Errors: invalid_argument, where
/// the format does not have the depth of the options.
mirnet::Result<mirnet::SampleType> stored_samples(mirnet::OutputFormat format, mirnet::SampleType type,
                                                  PictureOptions const& options);

/// Writes all of a file or nothing. PNG and JPEG get the colour profile and the EXIF data. Errors: output, memory.
mirnet::Result<void> write_picture(std::string const& path, mirnet::Image const& image, Metadata const& metadata,
                                   PictureOptions const& options);

}  // namespace cli

// Photographs in files: pixels the right way up, and what else the file says of them.
#pragma once

#include <optional>
#include <string>

#include <mirnet/io/image_file.hpp>

#include "files.hpp"
#include "metadata.hpp"

namespace cli {

struct Picture {
  mirnet::Image image;  ///< upright
  Metadata metadata;
  mirnet::OutputFormat format = mirnet::OutputFormat::png;  ///< its own, or PNG where that is not written
};

/// From a file or the standard input. Errors: input, memory.
mirnet::Result<Picture> read_picture(std::string const& path);

/// A picture to measure time with; its samples are different enough that nothing is skipped. Errors: memory.
mirnet::Result<mirnet::Image> sample_picture(mirnet::Index side);

/// The format that a result's name or else the option for it says; nothing where that is left to the picture. Errors:
/// output, where the name has another extension.
mirnet::Result<std::optional<mirnet::OutputFormat>> output_format(Work const& work,
                                                                  std::optional<std::string> const& named);

/// Whether there is something of this name already.
bool exists(std::string const& path);

/// Whether the file could be written; the folder that it is in is made first, if it is missing and wanted. Errors:
/// output.
mirnet::Result<void> check_writable(std::string const& path, bool overwrite, bool make_folder);

struct PictureOptions {
  bool overwrite = false;
  int jpeg_quality = 95;
  std::optional<int> depth;  ///< 8 or 16 bits a sample; without it, those of the input where the format has them
};

/// The samples that a file of this format gets of a picture with samples of this type. Errors: invalid_argument, where
/// the format does not have the depth of the options.
mirnet::Result<mirnet::SampleType> stored_samples(mirnet::OutputFormat format, mirnet::SampleType type,
                                                  PictureOptions const& options);

/// Writes all of a file or nothing, or to the standard output. PNG and JPEG get the colour profile and the EXIF data.
/// Errors: output, memory.
mirnet::Result<void> write_picture(std::string const& path, mirnet::Image const& image, Metadata const& metadata,
                                   mirnet::OutputFormat format, PictureOptions const& options);

}  // namespace cli

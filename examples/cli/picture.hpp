// Photographs in files: pixels the right way up, and what else the file says of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mirnet/image/image.hpp>
#include <mirnet/io/bytes.hpp>
#include <mirnet/io/image_info.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "codecs/formats.hpp"
#include "codecs/metadata.hpp"
#include "colour.hpp"
#include "files.hpp"

namespace cli {

struct Picture {
  mirnet::Image image;  ///< upright
  Metadata metadata;
  Format format = Format::png;                                   ///< of the file
  bool lossless = false;                                         ///< Decoded::lossless
  std::vector<std::string> warnings;                             ///< sentences that go behind the file's name
  std::unique_ptr<ColourConversion const> conversion = nullptr;  ///< where its colours are not sRGB's
  int stored_orientation = 1;                                    ///< 1 to 8, as EXIF says, of the pixels in the file
  std::string profile = "";                                      ///< the name of its colour profile, if it has one
};

/// How pictures are read.
struct Reading {
  mirnet::Index max_pixels = mirnet::ReadOptions().max_pixels;  ///< larger ones are refused before they are decoded
  bool no_sandbox = false;  ///< decode in this process, where a mistake of the decoder is one of this program
  double memory_limit = 0;  ///< bytes that the program may take; 0: none was named

  /// Bytes that decoding may take.
  double memory() const;
};

/// From a file or the standard input; decoded in a process of its own where the system has such (decoder.hpp). Errors:
/// input, memory; internal, where that process cannot be started.
mirnet::Result<Picture> read_picture(std::string const& path, Reading const& reading);

/// The picture in all that can be read from an open file, of which `start` has been read. `name` is for the sentences.
/// Errors: input, memory.
mirnet::Result<Picture> decode_picture(int file, mirnet::ByteBuffer start, char const* name, mirnet::Index max_pixels);

/// A picture to measure time with; its samples are different enough that nothing is skipped. Errors: memory.
mirnet::Result<mirnet::Image> sample_picture(mirnet::Index width, mirnet::Index height);
/// The same as a map with any channels: noise from 0 to 1.
mirnet::Result<mirnet::Tensor<float>> sample_map(mirnet::Shape shape);

/// The format that a result's name or else the option for it says; nothing where that is left to the picture. Errors:
/// output, where the name has another extension.
mirnet::Result<std::optional<Format>> output_format(Work const& work, std::optional<std::string> const& named);

/// Whether there is something of this name already.
bool exists(std::string const& path);

/// Whether the file could be written; the folder that it is in is made first, if it is missing. Errors: output.
mirnet::Result<void> check_writable(std::string const& path, bool overwrite);

struct PictureOptions {
  bool overwrite = false;
  EncodeOptions encoding;
  std::optional<int> depth;      ///< 8 or 16 bits a sample; without it, those of the input where the format has them
  std::optional<bool> lossless;  ///< of formats that have both; without it, as the input, if it has such a format
};

/// The samples that a file of this format gets of a picture with samples of this type. Errors: invalid_argument, where
/// the format does not have the depth of the options.
mirnet::Result<mirnet::SampleType> stored_samples(Format format, mirnet::SampleType type,
                                                  PictureOptions const& options);

/// How a picture that was read so goes to a file of this format. Errors: invalid_argument, where the options want a
/// file without loss and the format has none.
mirnet::Result<EncodeOptions> encoding_for(Format format, Picture const& read, PictureOptions const& options);

}  // namespace cli

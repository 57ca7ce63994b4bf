// The file that a result goes to, from its first rows on: they are encoded while the rest is computed. Results that are
// compared with something are kept as well. The file appears when all of it is there.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/view.hpp>

#include "colour.hpp"
#include "encoding_thread.hpp"
#include "picture.hpp"

namespace cli {

/// What a result becomes.
struct ResultFormat {
  Format format;
  mirnet::SampleType stored;  ///< stored_samples
  bool kept = false;          ///< as an image, beside the file
  float sharpening = 0;       ///< of the whole, which must be kept; the file is encoded after that
  EncodeOptions encoding = {};
};

/// An image in the colours that the network knows, as floats; alpha stays. The conversion is for as many colours.
/// Errors: memory.
mirnet::Result<mirnet::Image> seen_by_network(mirnet::Image const& image, ColourConversion const& conversion,
                                              mirnet::ParallelFor const& parallel);

/// Where the network sees other colours than the file has: what it sees, and the way back.
struct Converted {
  mirnet::Image seen;  ///< floats
  std::shared_ptr<ColourConversion const> conversion;

  /// Errors: memory.
  static mirnet::Result<Converted> make(mirnet::Image const& image, std::shared_ptr<ColourConversion const> conversion,
                                        mirnet::ParallelFor const& parallel);
};

class PictureWriter {
 public:
  /// For the result of `input`, which must outlive this as `converted` must, null where there is none, with metadata
  /// that the format holds (what_fits). Errors: memory; output, where the encoder refuses the size.
  static mirnet::Result<PictureWriter> start(mirnet::Image const& input, ResultFormat const& format,
                                             PictureOptions const& options, Metadata const& metadata,
                                             Converted const* converted = nullptr);

  /// The most bytes that this takes, where bands have at most `band_rows` rows.
  static double most_bytes(mirnet::Image const& input, ResultFormat const& format, mirnet::Index band_rows);

  /// The next rows, three colours a pixel. They get the samples and the alpha of the input. Errors: memory; output.
  mirnet::Result<void> append(mirnet::Index first_row, mirnet::View<float const> rows,
                              mirnet::ParallelFor const& parallel);

  /// To be called when all rows are there: sharpens the picture, if the format wants that. Errors: memory.
  mirnet::Result<void> complete(mirnet::ParallelFor const& parallel);

  /// Writes all of the file or nothing, or to the standard output. Errors: output, memory.
  mirnet::Result<void> finish(std::string const& path);

  /// The result, where it is kept and complete.
  mirnet::Image const& image() const { return *kept_; }

 private:
  PictureWriter(mirnet::Image const& input, ResultFormat const& format, PictureOptions const& options,
                Converted const* converted)
      : input_(&input), format_(format), options_(options), converted_(converted) {}

  /// The encoded picture. Errors: memory, output.
  mirnet::Result<mirnet::ByteBuffer> file();

  /// A row of the result, from what the network made of what it saw. Pixels that it left alone are those of the input.
  void put_converted(mirnet::Index y, mirnet::View<float const> row, mirnet::Image& band, mirnet::Index band_row) const;

  mirnet::Image const* input_;
  ResultFormat format_;
  PictureOptions options_;
  Converted const* converted_;
  std::unique_ptr<EncodingThread> encoding_;
  std::optional<mirnet::Image> kept_;
  Metadata metadata_;  ///< for encoding later
};

}  // namespace cli

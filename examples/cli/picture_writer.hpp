// The file that a result goes to, from its first rows on. PNG and JPEG are encoded while the rest is computed; formats
// that others encode as a whole, and results that are compared with something, are kept until they are complete. The
// file appears when all of it is there.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/view.hpp>

#include "encoding_thread.hpp"
#include "picture.hpp"

namespace cli {

/// What a result becomes.
struct ResultFormat {
  mirnet::OutputFormat format;
  mirnet::SampleType stored;  ///< stored_samples
  bool kept = false;          ///< as an image, beside the file

  bool encodes_rows() const { return format == mirnet::OutputFormat::png || format == mirnet::OutputFormat::jpeg; }
};

class PictureWriter {
 public:
  /// For the result of `input`, which must outlive this. Errors: memory; output, where the encoder refuses the size.
  static mirnet::Result<PictureWriter> start(mirnet::Image const& input, ResultFormat const& format,
                                             PictureOptions const& options, Metadata const& metadata);

  /// The most bytes that this takes until the last row has come, where bands have at most `band_rows` rows.
  static double bytes_while_computing(mirnet::Image const& input, ResultFormat const& format, mirnet::Index band_rows);
  /// And from then on.
  static double bytes_at_the_end(mirnet::Image const& input, ResultFormat const& format);

  /// The next rows, three colours a pixel. They get the samples and the alpha of the input. Errors: memory; output.
  mirnet::Result<void> append(mirnet::Index first_row, mirnet::View<float const> rows,
                              mirnet::ParallelFor const& parallel);

  /// Writes all of the file or nothing, or to the standard output. Errors: output, memory.
  mirnet::Result<void> finish(std::string const& path);

  /// The result, where it is kept and complete.
  mirnet::Image const& image() const { return *kept_; }

 private:
  PictureWriter(mirnet::Image const& input, ResultFormat const& format, PictureOptions const& options)
      : input_(&input), format_(format), options_(options) {}

  mirnet::Result<mirnet::ByteBuffer> encoded(std::string const& path);

  mirnet::Image const* input_;
  ResultFormat format_;
  PictureOptions options_;
  std::unique_ptr<EncodingThread> encoding_;
  std::optional<mirnet::Image> kept_;
};

}  // namespace cli

#include "picture_writer.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <mirnet/image/conversions.hpp>
#include <mirnet/io/file.hpp>

#include "progress.hpp"

namespace cli {

using mirnet::Image;
using mirnet::Index;

mirnet::Result<PictureWriter> PictureWriter::start(Image const& input, ResultFormat const& format,
                                                   PictureOptions const& options, Metadata const& metadata) {
  PictureWriter writer(input, format, options);
  auto layout = ImageLayout::of(input);
  layout.type = format.stored;
  auto encoder = traits(format.format).encode(layout, options.encoding, metadata);
  if (!encoder) return encoder.error();
  writer.encoding_ = std::make_unique<EncodingThread>(*std::move(encoder));
  if (format.kept) {
    auto kept = Image::create(input.width(), input.height(), input.channels(), input.type());
    if (!kept) return kept.error();
    writer.kept_ = *std::move(kept);
  }
  return writer;
}

double PictureWriter::most_bytes(Image const& input, ResultFormat const& format, Index band_rows) {
  auto layout = ImageLayout::of(input);
  auto const row = static_cast<double>(layout.row_bytes());
  double const kept = format.kept ? static_cast<double>(layout.height) * row : 0;
  layout.type = format.stored;
  // One band is filled while another waits and a third is encoded.
  return kept + 3 * static_cast<double>(band_rows) * row + encoder_bytes(layout, format.format);
}

mirnet::Result<void> PictureWriter::append(Index first_row, mirnet::View<float const> rows,
                                           mirnet::ParallelFor const& parallel) {
  auto const row = input_->bytes().size() / static_cast<std::size_t>(input_->height());
  auto const of_band = [&](auto bytes) {
    return bytes.subspan(static_cast<std::size_t>(first_row) * row, static_cast<std::size_t>(rows.height()) * row);
  };
  auto band = Image::create(input_->width(), rows.height(), input_->channels(), input_->type());
  if (!band) return band.error();
  if (input_->has_alpha()) std::memcpy(band->bytes().data(), of_band(input_->bytes()).data(), band->bytes().size());
  parallel(rows.height(), [&](Index y, Index) {
    mirnet::put_rows({rows.row(y), {1, rows.width(), rows.channels()}, rows.pitch()}, *band, y);
  });
  if (kept_) std::memcpy(of_band(kept_->bytes()).data(), band->bytes().data(), band->bytes().size());
  if (band->type() != format_.stored) {
    band = mirnet::convert_samples(*band, format_.stored);
    if (!band) return band.error();
  }
  return encoding_->append(*std::move(band));
}

mirnet::Result<void> PictureWriter::finish(std::string const& path) {
  auto const file = encoding_->finish();
  if (!file) return file.error();
  if (path == standard_stream) {
    auto const bytes = file->bytes();
    bool const arrived = std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
    if (arrived) return {};
    return mirnet::Error(mirnet::ErrorCode::output, "the standard output cannot be written: %s", std::strerror(errno));
  }
  Uninterrupted const writing;
  return mirnet::write_file(path.c_str(), file->bytes(), options_.overwrite);
}

}  // namespace cli

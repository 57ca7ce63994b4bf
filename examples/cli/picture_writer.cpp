#include "picture_writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/sharpen.hpp>
#include <mirnet/io/file.hpp>

#include "progress.hpp"

namespace cli {

using mirnet::Image;
using mirnet::Index;

mirnet::Result<Image> seen_by_network(Image const& image, ColourConversion const& conversion,
                                      mirnet::ParallelFor const& parallel) {
  auto seen = mirnet::convert_samples(image, mirnet::SampleType::f32);
  if (!seen) return seen;
  Index const width = image.width(), channels = image.channels(), colours = image.colours();
  parallel(image.height(), [&](Index y, Index) {
    float* pixel = seen->samples<float>().data() + y * width * channels;
    if (!image.has_alpha()) return conversion.to_network(pixel, width);
    for (Index x = 0; x < width; ++x, pixel += colours + 1) conversion.to_network(pixel, 1);
  });
  return seen;
}

mirnet::Result<Converted> Converted::make(Image const& image, std::shared_ptr<ColourConversion const> conversion,
                                          mirnet::ParallelFor const& parallel) {
  auto seen = seen_by_network(image, *conversion, parallel);
  if (!seen) return seen.error();
  return Converted{*std::move(seen), std::move(conversion)};
}

void PictureWriter::put_converted(Index y, mirnet::View<float const> row, Image& band, Index band_row) const {
  Index const width = input_->width(), channels = input_->channels(), colours = input_->colours();
  float const* seen = converted_->seen.samples<float>().data() + y * width * channels;
  float const* from = row.data();
  input_->visit([&](auto original) {
    using T = typename decltype(original)::value_type;
    auto const* unchanged = original.data() + y * width * channels;
    auto* to = band.samples<std::remove_const_t<T>>().data() + band_row * width * channels;
    for (Index x = 0; x < width; ++x, seen += channels, unchanged += channels, to += channels, from += row.pitch()) {
      std::array<float, 3> pixel = {from[0], from[1], from[2]};
      if (colours == 1) pixel[0] = (from[0] + from[1] + from[2]) / 3;
      if (std::equal(seen, seen + colours, pixel.begin())) {
        std::copy(unchanged, unchanged + colours, to);
        continue;
      }
      converted_->conversion->from_network(pixel.data(), 1);
      for (Index c = 0; c < colours; ++c)
        to[c] = mirnet::from_unit<std::remove_const_t<T>>(pixel[static_cast<std::size_t>(c)]);
    }
  });
}

mirnet::Result<PictureWriter> PictureWriter::start(Image const& input, ResultFormat const& format,
                                                   PictureOptions const& options, Metadata const& metadata,
                                                   Converted const* converted) {
  PictureWriter writer(input, format, options, converted);
  auto layout = ImageLayout::of(input);
  layout.type = format.stored;
  if (format.sharpening > 0) {
    writer.metadata_ = metadata;
  } else {
    auto encoder = traits(format.format).encode(layout, format.encoding, metadata);
    if (!encoder) return encoder.error();
    writer.encoding_ = std::make_unique<EncodingThread>(*std::move(encoder));
  }
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
  if (format.sharpening > 0) {  // the brightness, and a copy in the samples of the file
    auto const whole = static_cast<double>(layout.height) * static_cast<double>(layout.row_bytes());
    return kept + sizeof(float) * static_cast<double>(input.pixels()) + whole + encoder_bytes(layout, format.format);
  }
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
    mirnet::View<float const> const line(rows.row(y), {1, rows.width(), rows.channels()}, rows.pitch());
    if (converted_ == nullptr) {
      mirnet::put_rows(line, *band, y);
    } else {
      put_converted(first_row + y, line, *band, y);
    }
  });
  if (kept_) std::memcpy(of_band(kept_->bytes()).data(), band->bytes().data(), band->bytes().size());
  if (format_.sharpening > 0) return {};
  if (band->type() != format_.stored) {
    band = mirnet::convert_samples(*band, format_.stored);
    if (!band) return band.error();
  }
  return encoding_->append(*std::move(band));
}

mirnet::Result<void> PictureWriter::complete(mirnet::ParallelFor const& parallel) {
  if (format_.sharpening <= 0) return {};
  return mirnet::sharpen(*kept_, {.amount = format_.sharpening}, parallel);
}

mirnet::Result<mirnet::ByteBuffer> PictureWriter::file() {
  if (format_.sharpening <= 0) return encoding_->finish();
  if (kept_->type() == format_.stored) return encode(*kept_, format_.format, format_.encoding, metadata_);
  auto const stored = mirnet::convert_samples(*kept_, format_.stored);
  if (!stored) return stored.error();
  return encode(*stored, format_.format, format_.encoding, metadata_);
}

mirnet::Result<void> PictureWriter::finish(std::string const& path) {
  auto const file = this->file();
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

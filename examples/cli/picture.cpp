#include "picture.hpp"

#include "encode.hpp"

namespace cli {

using mirnet::OutputFormat;
using mirnet::SampleType;

mirnet::Result<Picture> read_picture(std::string const& path) {
  auto const file = mirnet::read_file(path.c_str());
  if (!file) return file.error();
  auto image = mirnet::decode_image(file->bytes(), path.c_str());
  if (!image) return image.error();
  Picture picture{*std::move(image), read_metadata(file->bytes())};
  if (picture.metadata.orientation != 1) {
    auto turned = upright(picture.image, picture.metadata.orientation);
    if (!turned) return turned.error();
    picture.image = *std::move(turned);
  }
  return picture;
}

mirnet::Result<SampleType> stored_samples(OutputFormat format, SampleType type, PictureOptions const& options) {
  bool const bytes_only = format == OutputFormat::jpeg || format == OutputFormat::bmp;
  bool const floats_only = format == OutputFormat::pfm;
  if (options.depth && (floats_only || (bytes_only && *options.depth != 8))) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--depth %d: %s", *options.depth,
                         floats_only ? "a PFM holds floats of 32 bits" : "this format holds 8 bits a sample");
  }
  if (floats_only) return SampleType::f32;
  if (bytes_only || options.depth == 8) return SampleType::u8;
  return options.depth == 16 || type != SampleType::u8 ? SampleType::u16 : SampleType::u8;
}

mirnet::Result<void> write_picture(std::string const& path, mirnet::Image const& image, Metadata const& metadata,
                                   PictureOptions const& options) {
  auto const format = mirnet::output_format(path.c_str());
  if (!format) return format.error();
  auto const stored = stored_samples(*format, image.type(), options);
  if (!stored) return stored.error();
  if (*stored != image.type()) {
    auto const converted = mirnet::convert_samples(image, *stored);
    return converted ? write_picture(path, *converted, metadata, options) : mirnet::Result<void>(converted.error());
  }
  auto const file = *format == OutputFormat::png    ? encode_png(image, metadata)
                    : *format == OutputFormat::jpeg ? encode_jpeg(image, options.jpeg_quality, metadata)
                                                    : mirnet::encode_image(image, *format, path.c_str());
  if (!file) return file.error();
  return mirnet::write_file(path.c_str(), file->bytes(), options.overwrite);
}

}  // namespace cli

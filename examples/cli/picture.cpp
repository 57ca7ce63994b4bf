#include "picture.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "encode.hpp"
#include "progress.hpp"

namespace cli {

using mirnet::OutputFormat;
using mirnet::SampleType;

namespace {

mirnet::Result<mirnet::ByteBuffer> read_standard_input() {
  mirnet::ByteBuffer content;
  std::vector<std::byte> piece(1 << 18);
  for (std::size_t size; (size = std::fread(piece.data(), 1, piece.size(), stdin)) > 0;) {
    auto const kept = content.append(std::span(piece).first(size));
    if (!kept) return kept.error();
  }
  if (std::ferror(stdin) != 0) {
    return mirnet::Error(mirnet::ErrorCode::input, "the standard input cannot be read: %s", std::strerror(errno));
  }
  return content;
}

/// The format in which a picture that was read from such a file is written.
OutputFormat own_format(std::span<std::byte const> file) {
  switch (mirnet::image_format(file)) {
    case mirnet::ImageFormat::jpeg: return OutputFormat::jpeg;
    case mirnet::ImageFormat::bmp: return OutputFormat::bmp;
    case mirnet::ImageFormat::pnm: return OutputFormat::pnm;
    case mirnet::ImageFormat::pfm: return OutputFormat::pfm;
    default: return OutputFormat::png;
  }
}

}  // namespace

mirnet::Result<Picture> read_picture(std::string const& path) {
  bool const piped = path == standard_stream;
  auto const file = piped ? read_standard_input() : mirnet::read_file(path.c_str());
  if (!file) return file.error();
  auto image = mirnet::decode_image(file->bytes(), piped ? "the standard input" : path.c_str());
  if (!image) return image.error();
  Picture picture{*std::move(image), read_metadata(file->bytes()), own_format(file->bytes())};
  if (picture.metadata.orientation != 1) {
    auto turned = upright(picture.image, picture.metadata.orientation);
    if (!turned) return turned.error();
    picture.image = *std::move(turned);
  }
  return picture;
}

mirnet::Result<mirnet::Image> sample_picture(mirnet::Index side) {
  auto picture = mirnet::Image::create(side, side, 3, mirnet::SampleType::u8);
  if (!picture) return picture;
  std::uint32_t state = 1;
  for (auto& byte : picture->bytes()) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(state >> 24);
  }
  return picture;
}

mirnet::Result<std::optional<OutputFormat>> output_format(Work const& work, std::optional<std::string> const& named) {
  if (work.output == standard_stream && !named) return std::optional<OutputFormat>();
  auto const format =
      mirnet::output_format(work.output == standard_stream ? ("." + *named).c_str() : work.output.c_str());
  if (!format) return format.error();
  return std::optional(*format);
}

bool exists(std::string const& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

mirnet::Result<void> check_writable(std::string const& path, bool overwrite, bool make_folder) {
  if (!overwrite && exists(path)) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: exists already; --overwrite replaces it", path.c_str());
  }
  Uninterrupted const probing;  // with a file that would stay
  auto const folder = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (make_folder && !folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: its folder cannot be made: %s", path.c_str(),
                         failed.message().c_str());
  }
  return mirnet::check_writable(path.c_str(), overwrite);
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
                                   OutputFormat format, PictureOptions const& options) {
  auto const stored = stored_samples(format, image.type(), options);
  if (!stored) return stored.error();
  if (*stored != image.type()) {
    auto const converted = mirnet::convert_samples(image, *stored);
    if (!converted) return converted.error();
    return write_picture(path, *converted, metadata, format, options);
  }
  auto const file = format == OutputFormat::png    ? encode_png(image, metadata)
                    : format == OutputFormat::jpeg ? encode_jpeg(image, options.jpeg_quality, metadata)
                                                   : mirnet::encode_image(image, format, path.c_str());
  if (!file) return file.error();
  if (path == standard_stream) {
    auto const bytes = file->bytes();
    bool const arrived = std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
    if (arrived) return {};
    return mirnet::Error(mirnet::ErrorCode::output, "the standard output cannot be written: %s", std::strerror(errno));
  }
  Uninterrupted const writing;
  return mirnet::write_file(path.c_str(), file->bytes(), options.overwrite);
}

}  // namespace cli

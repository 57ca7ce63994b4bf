// Image files: PNG, JPEG, BMP, TGA, PBM, PGM, PPM, PAM and PFM in, told apart by their content; PNG, JPEG, BMP, PGM,
// PPM, PAM and PFM out, chosen by the name's extension. stb_image decodes PNG and JPEG after a check of ours has looked
// at the file (io/image_info.hpp); readers of ours decode the others.
//
// stb_image 2.27 has two limits: colours of a JPEG with 4:2:2 sampling are wrong in the last column but one, and JPEGs
// with arithmetic coding or CMYK are refused. What is not kept: EXIF and colour profiles. PNG, JPEG and BMP are written
// with 8 bits a sample; PGM, PPM and PAM keep 16, PFM keeps floats. PNG and PAM are written with alpha.
#pragma once

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include <mirnet/image/image.hpp>
#include <mirnet/io/check_jpeg.hpp>
#include <mirnet/io/check_png.hpp>
#include <mirnet/io/file.hpp>
#include <mirnet/io/pam.hpp>
#include <mirnet/io/pnm.hpp>
#include <mirnet/io/read_bmp.hpp>
#include <mirnet/io/read_tga.hpp>
#include <mirnet/io/stb.hpp>

namespace mirnet::inline MIRNET_ABI {

enum class ImageFormat { unknown, png, jpeg, bmp, tga, pnm, pam, pfm };

/// The format that the first bytes show.
inline ImageFormat image_format(std::span<std::byte const> file) noexcept {
  if (detail::starts_with(file, "\x89PNG\r\n\x1A\n")) return ImageFormat::png;
  if (detail::starts_with(file, "\xFF\xD8\xFF")) return ImageFormat::jpeg;
  if (detail::is_bmp(file)) return ImageFormat::bmp;
  if (is_pnm(file)) return ImageFormat::pnm;
  if (is_pam(file)) return ImageFormat::pam;
  if (is_pfm(file)) return ImageFormat::pfm;
  if (detail::is_tga(file)) return ImageFormat::tga;
  return ImageFormat::unknown;
}

namespace detail {

/// Decodes a file that passed its check. Errors: input, memory.
inline Result<Image> decode_stb(Bytes file, char const* name, ImageInfo const& info) noexcept {
  if (file.size() > INT_MAX) return Error(ErrorCode::input, "%s: too large a file for the decoder", name);
  auto const* const data = reinterpret_cast<stbi_uc const*>(file.data());
  auto const length = static_cast<int>(file.size());
  int width = 0, height = 0, channels = 0;
  struct Free {
    void operator()(void* p) const noexcept { stbi_image_free(p); }
  };
  StbMemory memory;
  std::unique_ptr<void, Free> samples;
  bool const enough = memory.enough_for([&] {
    samples.reset(info.sixteen_bits
                      ? static_cast<void*>(stbi_load_16_from_memory(data, length, &width, &height, &channels, 0))
                      : static_cast<void*>(stbi_load_from_memory(data, length, &width, &height, &channels, 0)));
  });
  if (!enough) return Error(ErrorCode::memory, "%s: there is no memory to decode it", name);
  if (!samples) return Error(ErrorCode::input, "%s: damaged file: %s", name, stbi_failure_reason());
  if (width != info.width || height != info.height) {
    return Error(ErrorCode::input, "%s: damaged file, it holds %d x %d pixels and declares %lld x %lld", name, width,
                 height, static_cast<long long>(info.width), static_cast<long long>(info.height));
  }
  auto image = Image::create(width, height, channels, info.sixteen_bits ? SampleType::u16 : SampleType::u8);
  if (image) std::memcpy(image->bytes().data(), samples.get(), image->bytes().size());
  return image;
}

}  // namespace detail

/// An image from the bytes of a file of any format that is read. `name` is for the sentences. Errors: input, memory.
inline Result<Image> decode_image(std::span<std::byte const> file, char const* name,
                                  ReadOptions const& options = {}) noexcept {
  auto const checked = [&](auto check) -> Result<Image> {
    auto const info = check(file, name, options);
    if (!info) return info.error();
    return detail::decode_stb(file, name, *info);
  };
  switch (image_format(file)) {
    case ImageFormat::png: return checked(check_png);
    case ImageFormat::jpeg: return checked(check_jpeg);
    case ImageFormat::bmp: return decode_bmp(file, name, options);
    case ImageFormat::tga: return decode_tga(file, name, options);
    case ImageFormat::pnm: return decode_pnm(file, name, options);
    case ImageFormat::pam: return decode_pam(file, name, options);
    case ImageFormat::pfm: return decode_pfm(file, name, options);
    case ImageFormat::unknown: break;
  }
  return Error(ErrorCode::input,
               "%s: not an image of a known format; expected PNG, JPEG, BMP, TGA, PBM, PGM, PPM, PAM or PFM", name);
}

/// An image from a file. Errors: input, memory.
inline Result<Image> read_image(char const* path, ReadOptions const& options = {}) noexcept {
  auto const file = read_file(path);
  if (!file) return file.error();
  return decode_image(file->bytes(), path, options);
}

/// What is written; pnm is PGM or PPM as the channels say.
enum class OutputFormat { png, jpeg, bmp, pgm, ppm, pnm, pam, pfm };

/// The format that a path's extension names, in small or capital letters. Errors: output.
inline Result<OutputFormat> output_format(char const* path) noexcept {
  struct Extension {
    std::string_view text;
    OutputFormat format;
  };
  static constexpr Extension extensions[] = {
      {".png", OutputFormat::png},   {".jpg", OutputFormat::jpeg}, {".jpeg", OutputFormat::jpeg},
      {".jfif", OutputFormat::jpeg}, {".jpe", OutputFormat::jpeg}, {".bmp", OutputFormat::bmp},
      {".pgm", OutputFormat::pgm},   {".ppm", OutputFormat::ppm},  {".pnm", OutputFormat::pnm},
      {".pam", OutputFormat::pam},   {".pfm", OutputFormat::pfm}};
  std::string_view const name(path);
  for (auto const& [extension, format] : extensions) {
    if (name.size() < extension.size()) continue;
    auto const end = name.substr(name.size() - extension.size());
    auto const same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
    if (std::equal(end.begin(), end.end(), extension.begin(), same)) return format;
  }
  return Error(ErrorCode::output,
               "%s: the extension names no format that is written; expected .png, .jpg, .jpeg, .jfif, "
               ".jpe, .bmp, .pgm, .ppm, .pnm, .pam or .pfm",
               path);
}

/// The samples that the format stores for an image of this type.
constexpr SampleType stored_type(OutputFormat format, SampleType type) noexcept {
  switch (format) {
    case OutputFormat::png:
    case OutputFormat::jpeg:
    case OutputFormat::bmp: return SampleType::u8;
    case OutputFormat::pgm:
    case OutputFormat::ppm:
    case OutputFormat::pnm:
    case OutputFormat::pam: return type == SampleType::u8 ? SampleType::u8 : SampleType::u16;
    case OutputFormat::pfm: break;
  }
  return SampleType::f32;
}

/// Whether an image of this size and these channels fits the format. `name` is for the sentences. Errors: output.
inline Result<void> check_encodable(Image const& image, OutputFormat format, char const* name) noexcept {
  if (image.has_alpha() && format != OutputFormat::png && format != OutputFormat::pam) {
    return Error(ErrorCode::output,
                 "%s: the image has an alpha channel, which this format does not hold; write a PNG or a PAM", name);
  }
  if (format == OutputFormat::pgm && image.colours() != 1) {
    return Error(ErrorCode::output, "%s: the image has colours, which a PGM does not hold; write a PPM", name);
  }
  // The format has room for 65535, but libjpeg, with which most programs read it, stops earlier.
  constexpr Index longest_jpeg = 65500;
  if (format == OutputFormat::jpeg && (image.width() > longest_jpeg || image.height() > longest_jpeg)) {
    return Error(ErrorCode::output, "%s: %lld x %lld pixels, and the sides of a JPEG have at most %lld", name,
                 static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                 static_cast<long long>(longest_jpeg));
  }
  // stb_image_write counts in int; this many bytes, rows padded, also leave its PNG compressor room to grow in.
  constexpr std::uint64_t most_bytes = 1'400'000'000;
  auto const samples = static_cast<std::uint64_t>(std::max<Index>(image.channels(), 3));
  auto const row = static_cast<std::uint64_t>(image.width()) * samples + 3;
  if (stored_type(format, image.type()) == SampleType::u8 &&
      row * static_cast<std::uint64_t>(image.height()) > most_bytes) {
    return Error(ErrorCode::output, "%s: %lld x %lld pixels are too many for this format; write a 16-bit PPM or a PFM",
                 name, static_cast<long long>(image.width()), static_cast<long long>(image.height()));
  }
  return {};
}

struct WriteOptions {
  bool overwrite = false;  ///< whether a file that exists is replaced
  int jpeg_quality = 95;   ///< 1 to 100; colours are stored at half resolution up to 90
};

namespace detail {

/// What stb_image_write hands over piece by piece.
struct Sink {
  static void write(void* self, void* data, int size) noexcept {
    auto& sink = *static_cast<Sink*>(self);
    std::span const bytes(static_cast<std::byte const*>(data), static_cast<std::size_t>(size));
    if (sink.state) sink.state = sink.file.append(bytes);
  }

  ByteBuffer file;
  Result<void> state;
};

inline Result<ByteBuffer> encode_stb(Image const& image, OutputFormat format, int jpeg_quality) noexcept {
  Sink sink;
  auto const width = static_cast<int>(image.width());
  auto const height = static_cast<int>(image.height());
  auto const channels = static_cast<int>(image.channels());
  void const* const samples = image.bytes().data();
  int encoded = 0;
  StbMemory memory;
  bool const enough = memory.enough_for([&] {
    encoded = format == OutputFormat::png
                  ? stbi_write_png_to_func(Sink::write, &sink, width, height, channels, samples, 0)
              : format == OutputFormat::jpeg
                  ? stbi_write_jpg_to_func(Sink::write, &sink, width, height, channels, samples, jpeg_quality)
                  : stbi_write_bmp_to_func(Sink::write, &sink, width, height, channels, samples);
  });
  if (!enough || encoded == 0) return Error(ErrorCode::memory, "no memory to compress %d x %d pixels", width, height);
  if (!sink.state) return sink.state.error();
  return std::move(sink.file);
}

}  // namespace detail

/// The bytes of a file of this format. `name` is for the sentences. Errors: output, memory.
inline Result<ByteBuffer> encode_image(Image const& image, OutputFormat format, char const* name,
                                       WriteOptions const& options = {}) noexcept {
  auto const possible = check_encodable(image, format, name);
  if (!possible) return possible.error();
  switch (format) {
    case OutputFormat::pgm:
    case OutputFormat::ppm:
    case OutputFormat::pnm: return encode_pnm(image, format == OutputFormat::ppm || image.colours() == 3);
    case OutputFormat::pam: return encode_pam(image);
    case OutputFormat::pfm: return encode_pfm(image);
    default: break;
  }
  if (image.type() == SampleType::u8) return detail::encode_stb(image, format, options.jpeg_quality);
  auto const rounded = convert_samples(image, SampleType::u8);
  if (!rounded) return rounded.error();
  return detail::encode_stb(*rounded, format, options.jpeg_quality);
}

/// Writes an image to a file whose extension names the format. Errors: output, memory.
inline Result<void> write_image(char const* path, Image const& image, WriteOptions const& options = {}) noexcept {
  auto const format = output_format(path);
  if (!format) return format.error();
  auto const file = encode_image(image, *format, path, options);
  if (!file) return file.error();
  return write_file(path, file->bytes(), options.overwrite);
}

}  // namespace mirnet::inline MIRNET_ABI

// WebP, by libwebp: still pictures with and without loss, 8 bits a sample. There is no gray in it: gray becomes RGB.
// libwebp leaves an alpha out that is white everywhere.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "codec.hpp"
#include "pixels.hpp"

namespace cli {
namespace {

using mirnet::ByteBuffer;
using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

constexpr char const* icc_chunk = "ICCP";
constexpr char const* exif_chunk = "EXIF";
constexpr char const* xmp_chunk = "XMP ";

std::uint8_t const* data_of(View bytes) { return reinterpret_cast<std::uint8_t const*>(bytes.data()); }

struct MuxEnd {
  void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
};
using Mux = std::unique_ptr<WebPMux, MuxEnd>;

/// A file as chunks, which stay where they are; null where they do not fit together.
Mux chunks_of(View file) {
  WebPData const data{data_of(file), file.size()};
  return Mux(WebPMuxCreate(&data, 0));
}

Bytes chunk_of(WebPMux const& mux, char const* name) {
  WebPData data{};
  if (WebPMuxGetChunk(&mux, name, &data) != WEBP_MUX_OK || data.size > most_metadata) return {};
  auto const* const bytes = reinterpret_cast<std::byte const*>(data.bytes);
  return {bytes, bytes + data.size};
}

Error error_of(VP8StatusCode status, char const* name) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return no_memory_for_decoding(name);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return ends_before_pixels(name, "WebP");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return {ErrorCode::input, "%s: a WebP file of a kind that libwebp cannot read", name};
    default: return {ErrorCode::input, "%s: damaged WebP file", name};
  }
}

}  // namespace

mirnet::Result<Decoded> decode_webp(View file, char const* name, mirnet::ReadOptions const& options) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) != 1) return Error(ErrorCode::internal, "libwebp is of another version");
  auto status = WebPGetFeatures(data_of(file), file.size(), &config.input);
  if (status != VP8_STATUS_OK) return error_of(status, name);
  auto const& features = config.input;
  if (features.has_animation != 0) return Error(ErrorCode::input, "%s: an animation; expected a still picture", name);
  auto const size = mirnet::detail::check_size(name, "WebP", features.width, features.height, options);
  if (!size) return size.error();

  Index const channels = features.has_alpha != 0 ? 4 : 3;
  auto image = Image::create(size->width, size->height, channels, SampleType::u8);
  if (!image) return image.error();
  constexpr int without_loss = 2;
  Decoded decoded{*std::move(image), {}, {}, features.format == without_loss};
  auto const bytes = decoded.image.bytes();
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = reinterpret_cast<std::uint8_t*>(bytes.data());
  config.output.u.RGBA.stride = static_cast<int>(size->width * channels);
  config.output.u.RGBA.size = bytes.size();
  status = WebPDecode(data_of(file), file.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return error_of(status, name);

  auto& metadata = decoded.metadata;
  if (auto const mux = chunks_of(file)) {
    metadata.icc = chunk_of(*mux, icc_chunk);
    metadata.exif = without_exif_mark(chunk_of(*mux, exif_chunk));
    metadata.xmp = chunk_of(*mux, xmp_chunk);
  } else {
    decoded.warnings.emplace_back("damaged behind its pixels; colour profile, EXIF and XMP data, if any, are lost");
  }
  metadata.orientation = exif_orientation(metadata.exif);
  return decoded;
}

namespace {

struct Encoding {
  Encoding() { WebPPictureInit(&picture); }
  Encoding(Encoding const&) = delete;
  Encoding& operator=(Encoding const&) = delete;
  ~Encoding() { WebPPictureFree(&picture); }

  Error error() const {
    bool const memory = picture.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
                        picture.error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY ||
                        picture.error_code == VP8_ENC_ERROR_BAD_WRITE;  // to memory
    if (memory) return no_memory();
    return {ErrorCode::output, "%d x %d pixels cannot be encoded as WebP: libwebp's error %d", picture.width,
            picture.height, static_cast<int>(picture.error_code)};
  }
  static Error no_memory() { return {ErrorCode::memory, "no memory is left for the compressed picture"}; }

  WebPPicture picture;
  ByteBuffer file;
};

/// Gray with alpha or without as RGB.
mirnet::Result<Image> coloured(Image const& gray) {
  Index const channels = gray.has_alpha() ? 4 : 3;
  auto rgb = Image::create(gray.width(), gray.height(), channels, SampleType::u8);
  if (!rgb) return rgb;
  auto const* from = gray.samples<std::uint8_t>().data();
  auto* to = rgb->samples<std::uint8_t>().data();
  for (Index i = 0; i < gray.pixels(); ++i) {
    to = std::fill_n(to, 3, *from++);
    if (gray.has_alpha()) *to++ = *from++;
  }
  return rgb;
}

mirnet::Result<ByteBuffer> with_metadata(ByteBuffer pixels, Metadata const& metadata) {
  if (metadata.icc.empty() && metadata.exif.empty() && metadata.xmp.empty()) return pixels;
  auto const mux = chunks_of(pixels.bytes());
  if (!mux) return Encoding::no_memory();
  for (auto const& [name, bytes] : {std::pair(icc_chunk, &metadata.icc), std::pair(exif_chunk, &metadata.exif),
                                    std::pair(xmp_chunk, &metadata.xmp)}) {
    if (bytes->empty()) continue;
    WebPData const data{data_of(*bytes), bytes->size()};
    if (WebPMuxSetChunk(mux.get(), name, &data, 0) != WEBP_MUX_OK) return Encoding::no_memory();
  }
  WebPData file{};
  auto const state = WebPMuxAssemble(mux.get(), &file);
  std::unique_ptr<WebPData, void (*)(WebPData*)> const owner(&file, WebPDataClear);
  if (state == WEBP_MUX_MEMORY_ERROR) return Encoding::no_memory();
  if (state != WEBP_MUX_OK) {
    return Error(ErrorCode::output, "the metadata cannot go into a WebP: libwebp's error %d", static_cast<int>(state));
  }
  ByteBuffer result;
  auto const kept = result.append({reinterpret_cast<std::byte const*>(file.bytes), file.size});
  if (!kept) return kept.error();
  return result;
}

mirnet::Result<ByteBuffer> encode_whole(Image const& image, EncodeOptions const& options, Metadata const& metadata) {
  if (image.colours() == 1) {
    auto const rgb = coloured(image);
    if (!rgb) return rgb.error();
    return encode_whole(*rgb, options, metadata);
  }
  WebPConfig config;
  Encoding encoding;
  auto& picture = encoding.picture;
  if (WebPConfigPreset(&config, WEBP_PRESET_PHOTO, static_cast<float>(options.quality)) != 1) return encoding.error();
  if (options.lossless) {
    constexpr int usual_effort = 6;  // of 0 to 9
    if (WebPConfigLosslessPreset(&config, usual_effort) != 1) return encoding.error();
    config.exact = 1;  // colours stay where nobody sees them
  }
  picture.use_argb = options.lossless ? 1 : 0;
  picture.width = static_cast<int>(image.width());
  picture.height = static_cast<int>(image.height());
  picture.custom_ptr = &encoding.file;
  picture.writer = [](std::uint8_t const* bytes, std::size_t size, WebPPicture const* self) {
    auto& file = *static_cast<ByteBuffer*>(self->custom_ptr);
    return file.append({reinterpret_cast<std::byte const*>(bytes), size}) ? 1 : 0;
  };
  auto const* const samples = image.samples<std::uint8_t>().data();
  int const stride = static_cast<int>(image.width() * image.channels());
  bool const taken = image.has_alpha() ? WebPPictureImportRGBA(&picture, samples, stride) == 1
                                       : WebPPictureImportRGB(&picture, samples, stride) == 1;
  if (!taken || WebPEncode(&config, &picture) != 1) return encoding.error();
  return with_metadata(std::move(encoding.file), metadata);
}

}  // namespace

mirnet::Result<std::unique_ptr<RowEncoder>> encode_webp(ImageLayout const& layout, EncodeOptions const& options,
                                                        Metadata const& metadata) {
  MIRNET_ASSERT(layout.type == SampleType::u8);
  auto encode = [options, metadata](Image const& image) { return encode_whole(image, options, metadata); };
  return WholeImageEncoder<decltype(encode)>::start(layout, std::move(encode));
}

}  // namespace cli

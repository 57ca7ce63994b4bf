// AVIF, by libavif.
#include <algorithm>
#include <cstring>
#include <memory>

#include <avif/avif.h>

#include "codec.hpp"
#include "library.hpp"
#include "pixels.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

struct Avif {
  Library library{MIRNET_AVIF_LIBRARY};
  MIRNET_FUNCTION(avifDecoderCreate);
  MIRNET_FUNCTION(avifDecoderDestroy);
  MIRNET_FUNCTION(avifDecoderSetIOMemory);
  MIRNET_FUNCTION(avifDecoderParse);
  MIRNET_FUNCTION(avifDecoderNextImage);
  MIRNET_FUNCTION(avifCropRectConvertCleanApertureBox);
  MIRNET_FUNCTION(avifRGBImageSetDefaults);
  MIRNET_FUNCTION(avifImageYUVToRGB);
  MIRNET_FUNCTION(avifResultToString);
  MIRNET_FUNCTION(avifVersion);

  static Avif& instance() {
    static Avif avif;
    return avif;
  }
};

struct DestroyDecoder {
  void operator()(avifDecoder* decoder) const { Avif::instance().avifDecoderDestroy(decoder); }
};
using DecoderPointer = std::unique_ptr<avifDecoder, DestroyDecoder>;

/// A decoder that has gone through the boxes of a file, which takes no pixels. `most_pixels` is for all that it
/// decodes.
avifResult parse(DecoderPointer& decoder, View file, Index most_pixels) {
  auto& avif = Avif::instance();
  decoder.reset(avif.avifDecoderCreate());
  if (!decoder) return AVIF_RESULT_OUT_OF_MEMORY;
  decoder->maxThreads = 1;
  decoder->imageDimensionLimit = 0;  // the number of pixels is the limit
  decoder->imageSizeLimit =
      static_cast<std::uint32_t>(std::clamp<Index>(most_pixels, 1, AVIF_DEFAULT_IMAGE_SIZE_LIMIT));
  decoder->strictFlags = AVIF_STRICT_DISABLED;  // some writers leave out what is not needed for decoding
  auto const set =
      avif.avifDecoderSetIOMemory(decoder.get(), reinterpret_cast<std::uint8_t const*>(file.data()), file.size());
  return set != AVIF_RESULT_OK ? set : avif.avifDecoderParse(decoder.get());
}

Error error(char const* name, avifResult result, avifDecoder const* decoder) {
  if (result == AVIF_RESULT_OUT_OF_MEMORY) return no_memory_for_decoding(name);
  if (result == AVIF_RESULT_TRUNCATED_DATA || result == AVIF_RESULT_IO_ERROR) {
    return ends_before_pixels(name, "AVIF");
  }
  char const* const more = decoder == nullptr ? "" : decoder->diag.error;
  return {ErrorCode::input,
          "%s: damaged AVIF file: %s%s%s",
          name,
          Avif::instance().avifResultToString(result),
          *more == '\0' ? "" : "; ",
          more};
}

/// The turns of HEIF's properties, first irot and then imir, as EXIF counts them (ISO/IEC 23008-12, 6.5.10 and
/// 6.5.12). EXIF's own orientation does not count in such files (the same, A.2.2).
int orientation(avifImage const& image) {
  constexpr int of[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}};
  auto const has = [&](avifTransformFlag flag) { return (image.transformFlags & flag) != 0; };
  auto const angle = has(AVIF_TRANSFORM_IROT) ? image.irot.angle & 3 : 0;
  auto const mirror = has(AVIF_TRANSFORM_IMIR) ? 1 + (image.imir.mode & 1) : 0;
  return of[angle][mirror];
}

Metadata metadata_of(avifImage const& image) {
  auto const bytes = [](avifRWData const& data) {
    auto const* const from = reinterpret_cast<std::byte const*>(data.data);
    return data.size > most_metadata ? Bytes() : Bytes(from, from + data.size);
  };
  Metadata metadata;
  metadata.icc = bytes(image.icc);
  metadata.exif = without_exif_mark(bytes(image.exif));
  metadata.xmp = bytes(image.xmp);
  if (metadata.icc.empty()) {
    metadata.colour.cicp = cicp_unless_srgb(image.colorPrimaries, image.transferCharacteristics);
  }
  metadata.orientation = orientation(image);
  if ((image.transformFlags & AVIF_TRANSFORM_PASP) != 0 && image.pasp.hSpacing != image.pasp.vSpacing) {
    metadata.resolution = {static_cast<double>(image.pasp.vSpacing), static_cast<double>(image.pasp.hSpacing), false};
  }
  return metadata;
}

}  // namespace

mirnet::Result<void> load_avif(char const* name) { return Avif::instance().library.check(name, "AVIF"); }

LibraryVersions avif_versions() {
  auto& avif = Avif::instance();
  return {version_text(AVIF_VERSION_MAJOR, AVIF_VERSION_MINOR, AVIF_VERSION_PATCH),
          avif.library.fault() ? std::string() : avif.avifVersion()};
}

mirnet::Result<Decoded> decode_avif(View file, char const* name, mirnet::ReadOptions const& options) {
  if (auto const loaded = load_avif(name); !loaded) return loaded.error();
  auto& avif = Avif::instance();
  DecoderPointer decoder;
  auto const parsed = parse(decoder, file, options.max_pixels);
  if (parsed != AVIF_RESULT_OK) {
    // Where the limit is the reason, the header says so when there is none.
    DecoderPointer unlimited;
    if (parse(unlimited, file, AVIF_DEFAULT_IMAGE_SIZE_LIMIT) == AVIF_RESULT_OK) {
      auto const size =
          mirnet::detail::check_size(name, "AVIF", unlimited->image->width, unlimited->image->height, options);
      if (!size) return size.error();
    }
    return error(name, parsed, decoder.get());
  }
  auto const size = mirnet::detail::check_size(name, "AVIF", decoder->image->width, decoder->image->height, options);
  if (!size) return size.error();
  // libavif aborts where there is no memory. The planes, one more frame of the decoder and the result are the most.
  constexpr Index bytes_a_pixel = 4 * 2 * 3;
  if (!has_room(size->width * size->height, bytes_a_pixel)) return no_memory_for_decoding(name);
  if (auto const decoded = avif.avifDecoderNextImage(decoder.get()); decoded != AVIF_RESULT_OK) {
    return error(name, decoded, decoder.get());
  }

  auto const& source = *decoder->image;
  if (auto const again = mirnet::detail::check_size(name, "AVIF", source.width, source.height, options); !again) {
    return again.error();
  }
  Decoded result;
  bool const alpha = source.alphaPlane != nullptr, gray = source.yuvFormat == AVIF_PIXEL_FORMAT_YUV400;
  auto image = mirnet::Image::create(source.width, source.height, alpha ? 4 : 3,
                                     source.depth > 8 ? SampleType::u16 : SampleType::u8);
  if (!image) return image.error();
  avifRGBImage rgb{};
  avif.avifRGBImageSetDefaults(&rgb, &source);
  rgb.depth = source.depth > 8 ? 16 : 8;
  rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  rgb.chromaUpsampling = AVIF_CHROMA_UPSAMPLING_BEST_QUALITY;
  rgb.avoidLibYUV = AVIF_TRUE;  // it rounds more coarsely
  rgb.pixels = reinterpret_cast<std::uint8_t*>(image->bytes().data());
  rgb.rowBytes = static_cast<std::uint32_t>(ImageLayout::of(*image).row_bytes());
  if (auto const converted = avif.avifImageYUVToRGB(&source, &rgb); converted != AVIF_RESULT_OK) {
    return error(name, converted, decoder.get());
  }
  result.image = *std::move(image);
  avifCropRect crop{};
  if ((source.transformFlags & AVIF_TRANSFORM_CLAP) != 0 &&
      avif.avifCropRectConvertCleanApertureBox(&crop, &source.clap, source.width, source.height, source.yuvFormat,
                                               &decoder->diag) == AVIF_TRUE) {
    auto cropped = crop_to(result.image, crop.x, crop.y, crop.width, crop.height);
    if (!cropped) return cropped.error();
    result.image = *std::move(cropped);
  }
  if (gray) {
    auto single = first_colour(result.image);
    if (!single) return single.error();
    result.image = *std::move(single);
  }
  auto opaque = without_opaque_alpha(std::move(result.image));
  if (!opaque) return opaque.error();
  result.image = *std::move(opaque);
  result.metadata = metadata_of(source);
  if (decoder->imageCount > 1) result.warnings.push_back("an animation, of which the first picture is taken");
  return result;
}

}  // namespace cli

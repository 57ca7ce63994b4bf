// HEIC, by libheif: in a program of its own, mirnet-heic, as the codecs that libheif takes are under the GPL.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include <libheif/heif.h>

#include "codec.hpp"
#include "pixels.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

Error error(char const* name, heif_error const& failed) {
  if (failed.code == heif_error_Memory_allocation_error) return no_memory_for_decoding(name);
  if (failed.subcode == heif_suberror_End_of_data) {
    return ends_before_pixels(name, "HEIC");
  }
  return {ErrorCode::input, "%s: damaged HEIC file: %s", name, failed.message};
}

bool ok(heif_error const& result) { return result.code == heif_error_Ok; }

/// Of the block of this kind that comes first.
Bytes metadata_block(heif_image_handle const* handle, char const* type, std::string_view content) {
  auto const count = heif_image_handle_get_number_of_metadata_blocks(handle, type);
  std::vector<heif_item_id> blocks(static_cast<std::size_t>(std::max(count, 0)));
  heif_image_handle_get_list_of_metadata_block_IDs(handle, type, blocks.data(), count);
  for (auto const block : blocks) {
    if (!content.empty() && heif_image_handle_get_metadata_content_type(handle, block) != content) continue;
    auto const size = heif_image_handle_get_metadata_size(handle, block);
    if (size > most_metadata) continue;
    Bytes bytes(size);
    if (ok(heif_image_handle_get_metadata(handle, block, bytes.data()))) return bytes;
  }
  return {};
}

/// The pixels are turned already; EXIF's orientation does not count in such files (ISO/IEC 23008-12, A.2.2).
Metadata metadata_of(heif_image_handle const* handle) {
  Metadata metadata;
  auto const kind = heif_image_handle_get_color_profile_type(handle);
  if (kind == heif_color_profile_type_prof || kind == heif_color_profile_type_rICC) {
    auto const size = heif_image_handle_get_raw_color_profile_size(handle);
    metadata.icc.resize(size > most_metadata ? 0 : size);
    if (!metadata.icc.empty() && !ok(heif_image_handle_get_raw_color_profile(handle, metadata.icc.data()))) {
      metadata.icc.clear();
    }
  }
  heif_color_profile_nclx* nclx = nullptr;
  if (metadata.icc.empty() && ok(heif_image_handle_get_nclx_color_profile(handle, &nclx)) && nclx != nullptr) {
    metadata.colour.cicp = cicp_unless_srgb(static_cast<unsigned>(nclx->color_primaries),
                                            static_cast<unsigned>(nclx->transfer_characteristics));
    heif_nclx_color_profile_free(nclx);
  }
  metadata.exif = exif_of_box(metadata_block(handle, "Exif", {}));
  metadata.xmp = metadata_block(handle, "mime", "application/rdf+xml");
  return metadata;
}

/// Rows that may have bytes between them, and samples that may have fewer bits than their 16.
void copy_pixels(heif_image const* from, mirnet::Image& to) {
  int stride = 0;
  auto const* const plane = heif_image_get_plane_readonly(from, heif_channel_interleaved, &stride);
  auto const bits = heif_image_get_bits_per_pixel_range(from, heif_channel_interleaved);
  auto const row = static_cast<std::size_t>(ImageLayout::of(to).row_bytes());
  for (Index y = 0; y < to.height(); ++y) {
    std::memcpy(to.bytes().data() + static_cast<std::size_t>(y) * row, plane + y * stride, row);
  }
  if (to.type() != SampleType::u16) return;
  std::uint32_t const most = (1U << std::clamp(bits, 1, 16)) - 1;
  for (auto& sample : to.samples<std::uint16_t>()) {
    auto const value = std::min<std::uint32_t>(sample, most);
    sample = static_cast<std::uint16_t>((value * 65535U + most / 2) / most);
  }
}

}  // namespace

mirnet::Result<Decoded> decode_heic(View file, char const* name, mirnet::ReadOptions const& options) {
  std::unique_ptr<heif_context, void (*)(heif_context*)> const context(heif_context_alloc(), heif_context_free);
  if (!context) return no_memory_for_decoding(name);
  heif_context_set_max_decoding_threads(context.get(), 0);  // parts of a picture one after the other, in this thread
  heif_context_set_maximum_image_size_limit(context.get(),
                                            static_cast<int>(std::clamp<Index>(options.max_pixels, 1, 65535)));
  auto const parsed = heif_context_read_from_memory_without_copy(context.get(), file.data(), file.size(), nullptr);
  if (!ok(parsed)) return error(name, parsed);
  heif_image_handle* found = nullptr;
  auto const primary = heif_context_get_primary_image_handle(context.get(), &found);
  if (!ok(primary)) return error(name, primary);
  std::unique_ptr<heif_image_handle, void (*)(heif_image_handle const*)> const handle(found, heif_image_handle_release);
  auto const size = mirnet::detail::check_size(name, "HEIC", heif_image_handle_get_width(handle.get()),
                                               heif_image_handle_get_height(handle.get()), options);
  if (!size) return size.error();

  Decoded decoded;
  bool const alpha = heif_image_handle_has_alpha_channel(handle.get()) != 0;
  bool const deep = heif_image_handle_get_luma_bits_per_pixel(handle.get()) > 8;
  // The planes, what they are converted to, and a frame of the decoder.
  if (!has_room(size->width * size->height, deep ? 24 : 12)) return no_memory_for_decoding(name);
  auto const little = alpha ? heif_chroma_interleaved_RRGGBBAA_LE : heif_chroma_interleaved_RRGGBB_LE;
  auto const big = alpha ? heif_chroma_interleaved_RRGGBBAA_BE : heif_chroma_interleaved_RRGGBB_BE;
  auto const wide = std::endian::native == std::endian::little ? little : big;
  auto const narrow = alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
  heif_image* pixels = nullptr;
  auto const done = heif_decode_image(handle.get(), &pixels, heif_colorspace_RGB, deep ? wide : narrow, nullptr);
  if (!ok(done)) return error(name, done);
  std::unique_ptr<heif_image, void (*)(heif_image const*)> const source(pixels, heif_image_release);
  auto const again = mirnet::detail::check_size(name, "HEIC", heif_image_get_width(pixels, heif_channel_interleaved),
                                                heif_image_get_height(pixels, heif_channel_interleaved), options);
  if (!again) return again.error();
  auto image =
      mirnet::Image::create(again->width, again->height, alpha ? 4 : 3, deep ? SampleType::u16 : SampleType::u8);
  if (!image) return image.error();
  decoded.image = *std::move(image);
  copy_pixels(pixels, decoded.image);
  if (alpha && heif_image_handle_is_premultiplied_alpha(handle.get()) != 0) divide_by_alpha(decoded.image);
  auto opaque = without_opaque_alpha(std::move(decoded.image));
  if (!opaque) return opaque.error();
  decoded.image = *std::move(opaque);
  decoded.metadata = metadata_of(handle.get());
  auto const pictures = heif_context_get_number_of_top_level_images(context.get());
  if (pictures > 1) {
    decoded.warnings.push_back("it holds " + std::to_string(pictures) + " pictures, of which the main one is taken");
  }
  return decoded;
}

}  // namespace cli

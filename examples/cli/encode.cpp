#include "encode.hpp"

#include <bit>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "png_memory.hpp"

namespace cli {
namespace {

using mirnet::Index;
using mirnet::SampleType;

/// The errors of both libraries come as jumps past everything: nothing with a destructor may live in the functions that
/// call them, so file and sentence are the caller's.
struct Target {
  mirnet::ByteBuffer file;
  bool memory_is_left = true;
  char message[JMSG_LENGTH_MAX] = "";
};

mirnet::Error error_of(Target const& target, mirnet::Image const& image) {
  if (!target.memory_is_left) return {mirnet::ErrorCode::memory, "no memory is left for the compressed picture"};
  return {mirnet::ErrorCode::output, "%lld x %lld pixels cannot be encoded: %s", static_cast<long long>(image.width()),
          static_cast<long long>(image.height()), target.message};
}

// --- PNG ------------------------------------------------------------------------------------------------------------

/// False where libpng fails; `target` says why.
bool write_png(mirnet::Image const& image, Metadata const& metadata, Target& target) {
  auto const fail = [](png_structp png, png_const_charp message) {
    std::snprintf(static_cast<Target*>(png_get_error_ptr(png))->message, JMSG_LENGTH_MAX, "%s", message);
    png_longjmp(png, 1);
  };
  png_structp png = png_create_write_struct_2(
      PNG_LIBPNG_VER_STRING, &target, fail, [](png_structp, png_const_charp) {}, &target, take_png_memory<Target>,
      give_back_png_memory);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_set_write_fn(
      png, &target.file,
      [](png_structp writer, png_bytep data, std::size_t size) {
        auto const bytes = std::as_bytes(std::span(data, size));
        if (static_cast<mirnet::ByteBuffer*>(png_get_io_ptr(writer))->append(bytes)) return;
        static_cast<Target*>(png_get_error_ptr(writer))->memory_is_left = false;
        png_error(writer, "no memory");
      },
      nullptr);
  static constexpr int colour_types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                         PNG_COLOR_TYPE_RGB_ALPHA};
  bool const deep = image.type() == SampleType::u16;
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width()), static_cast<png_uint_32>(image.height()),
               deep ? 16 : 8, colour_types[image.channels() - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  // A photograph gains little from more effort: level 3 takes a third of the time of level 6 for 1 or 2 % more bytes.
  png_set_compression_level(png, 3);
  if (!metadata.icc.empty()) {
    png_set_iCCP(png, info, "ICC profile", PNG_COMPRESSION_TYPE_BASE,
                 reinterpret_cast<png_const_bytep>(metadata.icc.data()), static_cast<png_uint_32>(metadata.icc.size()));
  }
#ifdef PNG_eXIf_SUPPORTED
  if (!metadata.exif.empty()) {
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(metadata.exif.size()),
                   reinterpret_cast<png_bytep>(const_cast<std::byte*>(metadata.exif.data())));
  }
#endif
  png_write_info(png, info);
  if (deep && std::endian::native == std::endian::little) png_set_swap(png);
  auto const row = image.bytes().size() / static_cast<std::size_t>(image.height());
  for (Index y = 0; y < image.height(); ++y) {
    png_write_row(png, reinterpret_cast<png_const_bytep>(image.bytes().data() + static_cast<std::size_t>(y) * row));
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return target.memory_is_left;  // libpng leaves metadata out where there is none
}

// --- JPEG -----------------------------------------------------------------------------------------------------------

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  Target* target;
};

/// Hands what libjpeg has compressed to the file, a block at a time.
struct JpegDestination {
  jpeg_destination_mgr manager;
  Target* target;
  JOCTET block[1 << 16];

  static JpegDestination& of(j_compress_ptr encoder) { return *reinterpret_cast<JpegDestination*>(encoder->dest); }

  void begin() {
    manager.next_output_byte = block;
    manager.free_in_buffer = sizeof block;
  }
  void flush(j_compress_ptr encoder, std::size_t size) {
    if (target->file.append(std::as_bytes(std::span(block, size)))) return begin();
    target->memory_is_left = false;
    encoder->err->error_exit(reinterpret_cast<j_common_ptr>(encoder));
  }
};

/// False where libjpeg fails; `target` says why.
bool write_jpeg(mirnet::Image const& image, int quality, Metadata const& metadata, JpegDestination& destination,
                Target& target) {
  jpeg_compress_struct encoder{};  // zeros: there may be no memory to make it
  JpegErrors errors;
  errors.target = &target;
  encoder.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = [](j_common_ptr info) {
    auto& to = *reinterpret_cast<JpegErrors*>(info->err);
    if (to.manager.msg_code == JERR_OUT_OF_MEMORY) to.target->memory_is_left = false;
    to.manager.format_message(info, to.target->message);
    std::longjmp(to.jump, 1);
  };
  errors.manager.output_message = [](j_common_ptr) {};
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_compress(&encoder);
    return false;
  }
  jpeg_create_compress(&encoder);
  destination.target = &target;
  destination.manager.init_destination = [](j_compress_ptr info) { JpegDestination::of(info).begin(); };
  destination.manager.empty_output_buffer = [](j_compress_ptr info) -> boolean {
    auto& to = JpegDestination::of(info);
    to.flush(info, sizeof to.block);
    return TRUE;
  };
  destination.manager.term_destination = [](j_compress_ptr info) {
    auto& to = JpegDestination::of(info);
    to.flush(info, sizeof to.block - to.manager.free_in_buffer);
  };
  encoder.dest = &destination.manager;

  encoder.image_width = static_cast<JDIMENSION>(image.width());
  encoder.image_height = static_cast<JDIMENSION>(image.height());
  encoder.input_components = static_cast<int>(image.channels());
  encoder.in_color_space = image.channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, quality, TRUE);
  encoder.optimize_coding = TRUE;
  if (image.channels() == 3 && quality >= 90)
    encoder.comp_info[0].h_samp_factor = encoder.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&encoder, TRUE);
  // EXIF first: readers look for it there.
  constexpr std::size_t most_in_a_marker = 65533;
  if (!metadata.exif.empty() && metadata.exif.size() + exif_mark.size() <= most_in_a_marker) {
    jpeg_write_m_header(&encoder, JPEG_APP0 + 1, static_cast<unsigned>(metadata.exif.size() + exif_mark.size()));
    for (char const c : exif_mark) jpeg_write_m_byte(&encoder, c);
    for (auto const byte : metadata.exif) jpeg_write_m_byte(&encoder, std::to_integer<int>(byte));
  }
  if (!metadata.icc.empty()) {
    jpeg_write_icc_profile(&encoder, reinterpret_cast<JOCTET const*>(metadata.icc.data()),
                           static_cast<unsigned>(metadata.icc.size()));
  }
  auto const row = image.bytes().size() / static_cast<std::size_t>(image.height());
  for (Index y = 0; y < image.height(); ++y) {
    auto* line =
        reinterpret_cast<JSAMPROW>(const_cast<std::byte*>(image.bytes().data() + static_cast<std::size_t>(y) * row));
    jpeg_write_scanlines(&encoder, &line, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  return true;
}

}  // namespace

mirnet::Result<mirnet::ByteBuffer> encode_png(mirnet::Image const& image, Metadata const& metadata) {
  MIRNET_ASSERT(image.type() != SampleType::f32);
  Target target;
  if (!write_png(image, metadata, target)) return error_of(target, image);
  return std::move(target.file);
}

mirnet::Result<mirnet::ByteBuffer> encode_jpeg(mirnet::Image const& image, int quality, Metadata const& metadata) {
  MIRNET_ASSERT(image.type() == SampleType::u8 && !image.has_alpha());
  Target target;
  JpegDestination destination;
  if (!write_jpeg(image, quality, metadata, destination, target)) return error_of(target, image);
  return std::move(target.file);
}

}  // namespace cli

#include "encode.hpp"

#include <bit>
#include <csetjmp>
#include <cstdio>
#include <utility>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "png_memory.hpp"

namespace cli {
namespace {

using mirnet::Index;
using mirnet::SampleType;

/// The errors of both libraries come as jumps past everything: nothing with a destructor may live in the functions that
/// call them, so file and sentence are the encoder's.
struct Target {
  ImageLayout layout;
  mirnet::ByteBuffer file;
  bool memory_is_left = true;
  char message[JMSG_LENGTH_MAX] = "";

  mirnet::Error error() const {
    if (!memory_is_left) return {mirnet::ErrorCode::memory, "no memory is left for the compressed picture"};
    return {mirnet::ErrorCode::output, "%lld x %lld pixels cannot be encoded: %s", static_cast<long long>(layout.width),
            static_cast<long long>(layout.height), message};
  }
};

/// What the two formats share: `Format` has begin(metadata), write(row), which takes one row, and end(). They return
/// false where the library has failed, and the target says why.
template <class Format>
class EncoderOf final : public RowEncoder {
 public:
  template <class... Arguments>
  explicit EncoderOf(ImageLayout const& layout, Arguments... arguments) : format_(arguments...) {
    format_.target.layout = layout;
  }

  mirnet::Result<void> begin(Metadata const& metadata) {
    if (format_.begin(metadata)) return {};
    return format_.target.error();
  }
  mirnet::Result<void> append(std::span<std::byte const> rows) override {
    auto const row = static_cast<std::size_t>(format_.target.layout.row_bytes());
    MIRNET_ASSERT(rows.size() % row == 0);
    if (format_.write(rows.data(), rows.size() / row, row)) return {};
    return format_.target.error();
  }
  mirnet::Result<mirnet::ByteBuffer> finish() override {
    if (format_.end()) return std::move(format_.target.file);
    return format_.target.error();
  }

 private:
  Format format_;
};

template <class Format, class... Arguments>
mirnet::Result<std::unique_ptr<RowEncoder>> begun(Metadata const& metadata, ImageLayout const& layout,
                                                  Arguments... arguments) {
  auto encoder = std::make_unique<EncoderOf<Format>>(layout, arguments...);
  auto const done = encoder->begin(metadata);
  if (!done) return done.error();
  return std::unique_ptr<RowEncoder>(std::move(encoder));
}

// --- PNG ------------------------------------------------------------------------------------------------------------

struct PngFormat {
  PngFormat() = default;
  PngFormat(PngFormat const&) = delete;
  PngFormat& operator=(PngFormat const&) = delete;
  ~PngFormat() { png_destroy_write_struct(&png, &info); }

  bool begin(Metadata const& metadata) {
    auto const fail = [](png_structp writer, png_const_charp message) {
      std::snprintf(static_cast<Target*>(png_get_error_ptr(writer))->message, JMSG_LENGTH_MAX, "%s", message);
      png_longjmp(writer, 1);
    };
    png = png_create_write_struct_2(
        PNG_LIBPNG_VER_STRING, &target, fail, [](png_structp, png_const_charp) {}, &target, take_png_memory<Target>,
        give_back_png_memory);
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
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
    bool const deep = target.layout.type == SampleType::u16;
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(png, info, static_cast<png_uint_32>(target.layout.width),
                 static_cast<png_uint_32>(target.layout.height), deep ? 16 : 8,
                 colour_types[target.layout.channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    // A photograph gains little from more effort: level 3 takes a third of the time of level 6 for 1 or 2 % more bytes.
    png_set_compression_level(png, 3);
    if (!metadata.icc.empty()) {
      png_set_iCCP(png, info, "ICC profile", PNG_COMPRESSION_TYPE_BASE,
                   reinterpret_cast<png_const_bytep>(metadata.icc.data()),
                   static_cast<png_uint_32>(metadata.icc.size()));
    }
#ifdef PNG_eXIf_SUPPORTED
    if (!metadata.exif.empty()) {
      png_set_eXIf_1(png, info, static_cast<png_uint_32>(metadata.exif.size()),
                     reinterpret_cast<png_bytep>(const_cast<std::byte*>(metadata.exif.data())));
    }
#endif
    png_write_info(png, info);
    if (deep && std::endian::native == std::endian::little) png_set_swap(png);
    return target.memory_is_left;  // libpng leaves metadata out where there is none
  }

  bool write(std::byte const* rows, std::size_t count, std::size_t row) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    for (std::size_t y = 0; y < count; ++y) png_write_row(png, reinterpret_cast<png_const_bytep>(rows + y * row));
    return true;
  }

  bool end() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_write_end(png, info);
    return target.memory_is_left;
  }

  Target target{};
  png_structp png = nullptr;
  png_infop info = nullptr;
};

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

struct JpegFormat {
  explicit JpegFormat(int wanted_quality) : quality(wanted_quality) {}
  JpegFormat(JpegFormat const&) = delete;
  JpegFormat& operator=(JpegFormat const&) = delete;
  ~JpegFormat() { jpeg_destroy_compress(&encoder); }

  bool begin(Metadata const& metadata) {
    errors.target = &target;
    encoder.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = [](j_common_ptr info) {
      auto& to = *reinterpret_cast<JpegErrors*>(info->err);
      if (to.manager.msg_code == JERR_OUT_OF_MEMORY) to.target->memory_is_left = false;
      to.manager.format_message(info, to.target->message);
      std::longjmp(to.jump, 1);
    };
    errors.manager.output_message = [](j_common_ptr) {};
    if (setjmp(errors.jump) != 0) return false;
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

    encoder.image_width = static_cast<JDIMENSION>(target.layout.width);
    encoder.image_height = static_cast<JDIMENSION>(target.layout.height);
    encoder.input_components = static_cast<int>(target.layout.channels);
    encoder.in_color_space = target.layout.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, quality, TRUE);
    encoder.optimize_coding = TRUE;
    if (target.layout.channels == 3 && quality >= 90)
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
    return true;
  }

  bool write(std::byte const* rows, std::size_t count, std::size_t row) {
    if (setjmp(errors.jump) != 0) return false;
    for (std::size_t y = 0; y < count; ++y) {
      auto* line = reinterpret_cast<JSAMPROW>(const_cast<std::byte*>(rows + y * row));
      jpeg_write_scanlines(&encoder, &line, 1);
    }
    return true;
  }

  bool end() {
    if (setjmp(errors.jump) != 0) return false;
    jpeg_finish_compress(&encoder);
    return true;
  }

  int quality;
  Target target{};
  jpeg_compress_struct encoder{};  // zeros: there may be no memory to make it
  JpegErrors errors;
  JpegDestination destination;
};

mirnet::Result<mirnet::ByteBuffer> encode(mirnet::Image const& image, mirnet::OutputFormat format, int quality,
                                          Metadata const& metadata) {
  auto const encoder = RowEncoder::start(ImageLayout::of(image), format, quality, metadata);
  if (!encoder) return encoder.error();
  auto const appended = (*encoder)->append(image.bytes());
  if (!appended) return appended.error();
  return (*encoder)->finish();
}

}  // namespace

mirnet::Result<std::unique_ptr<RowEncoder>> RowEncoder::start(ImageLayout const& layout, mirnet::OutputFormat format,
                                                              int jpeg_quality, Metadata const& metadata) {
  bool const jpeg = format == mirnet::OutputFormat::jpeg;
  MIRNET_ASSERT(jpeg ? layout.type == SampleType::u8 && (layout.channels == 1 || layout.channels == 3)
                     : format == mirnet::OutputFormat::png && layout.type != SampleType::f32);
  return jpeg ? begun<JpegFormat>(metadata, layout, jpeg_quality) : begun<PngFormat>(metadata, layout);
}

double encoder_bytes(ImageLayout const& layout, mirnet::OutputFormat format) {
  auto const samples = static_cast<double>(layout.width) * static_cast<double>(layout.height * layout.channels);
  double const coefficients = format == mirnet::OutputFormat::jpeg ? sizeof(JCOEF) * samples : 0;
  double const file = samples * static_cast<double>(mirnet::sample_bytes(layout.type));
  return coefficients + 2 * file;
}

mirnet::Result<mirnet::ByteBuffer> encode_png(mirnet::Image const& image, Metadata const& metadata) {
  return encode(image, mirnet::OutputFormat::png, 0, metadata);
}

mirnet::Result<mirnet::ByteBuffer> encode_jpeg(mirnet::Image const& image, int quality, Metadata const& metadata) {
  return encode(image, mirnet::OutputFormat::jpeg, quality, metadata);
}

}  // namespace cli

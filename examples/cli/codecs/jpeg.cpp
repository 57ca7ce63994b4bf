// JPEG, by libjpeg-turbo: baseline and progressive, Huffman and arithmetic coding, gray, YCbCr, RGB, CMYK and YCCK.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include <jpeglib.h>

#include <jerror.h>

#include "../colour.hpp"
#include "codec.hpp"
#include "row_encoder.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using mirnet::detail::starts_with;
using View = std::span<std::byte const>;

constexpr std::string_view resources_mark{"Photoshop 3.0\0", 14};
constexpr std::size_t most_in_a_marker = 65533;
constexpr double inches_a_centimetre = 2.54;

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  long hit_end = 0;  ///< the scan ended before its pixels did
  long others = 0;   ///< other damage that libjpeg goes on after

  void install(j_common_ptr codec) {
    codec->err = jpeg_std_error(&manager);
    manager.error_exit = [](j_common_ptr info) {
      auto& self = of(info);
      self.manager.format_message(info, self.message);
      std::longjmp(self.jump, 1);
    };
    manager.emit_message = [](j_common_ptr info, int level) {
      if (level >= 0) return;  // for people who look for a mistake
      auto& self = of(info);
      ++self.manager.num_warnings;
      bool const ended = self.manager.msg_code == JWRN_HIT_MARKER || self.manager.msg_code == JWRN_JPEG_EOF;
      bool const beside = self.manager.msg_code == JWRN_EXTRANEOUS_DATA || self.manager.msg_code == JWRN_ADOBE_XFORM ||
                          self.manager.msg_code == JWRN_JFIF_MAJOR;
      if (self.manager.msg_code == JWRN_HIT_MARKER) ++self.hit_end;
      if (!ended && !beside) ++self.others;
    };
    manager.output_message = [](j_common_ptr) {};
  }
  static JpegErrors& of(j_common_ptr info) { return *reinterpret_cast<JpegErrors*>(info->err); }
};

/// The file in memory. At its end libjpeg gets an end-of-image marker, as often as it asks.
struct JpegSource {
  jpeg_source_mgr manager;
  bool ended = false;

  static JpegSource& of(j_decompress_ptr decoder) { return *reinterpret_cast<JpegSource*>(decoder->src); }

  void install(j_decompress_ptr decoder, View file) {
    manager = {};
    manager.next_input_byte = reinterpret_cast<JOCTET const*>(file.data());
    manager.bytes_in_buffer = file.size();
    manager.init_source = [](j_decompress_ptr) {};
    manager.fill_input_buffer = [](j_decompress_ptr self) -> boolean {
      static constexpr JOCTET end_of_image[] = {0xFF, JPEG_EOI};
      of(self).ended = true;
      self->src->next_input_byte = end_of_image;
      self->src->bytes_in_buffer = sizeof end_of_image;
      return TRUE;
    };
    manager.skip_input_data = [](j_decompress_ptr self, long bytes) {
      auto& source = *self->src;
      auto const skipped = std::min(static_cast<std::size_t>(std::max(bytes, 0L)), source.bytes_in_buffer);
      source.next_input_byte += skipped;
      source.bytes_in_buffer -= skipped;
      if (static_cast<long>(skipped) < bytes) source.fill_input_buffer(self);
    };
    manager.resync_to_restart = jpeg_resync_to_restart;
    manager.term_source = [](j_decompress_ptr) {};
    decoder->src = &manager;
  }
};

/// libjpeg's errors come as jumps, so nothing with a destructor may live where it is called.
struct JpegReader {
  JpegReader() = default;
  JpegReader(JpegReader const&) = delete;
  JpegReader& operator=(JpegReader const&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&decoder); }

  bool begin(View file) {
    errors.install(reinterpret_cast<j_common_ptr>(&decoder));
    if (setjmp(errors.jump) != 0) return false;
    jpeg_create_decompress(&decoder);
    source.install(&decoder, file);
    for (int const marker : {1, 2, 13}) jpeg_save_markers(&decoder, JPEG_APP0 + marker, 0xFFFF);
    progress.progress_monitor = [](j_common_ptr info) {
      // Each scan of a progressive file goes through the whole picture, and a small file has room for very many.
      constexpr int most_scans = 1000;
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > most_scans) {
        std::snprintf(JpegErrors::of(info).message, JMSG_LENGTH_MAX, "more than %d scans", most_scans);
        std::longjmp(JpegErrors::of(info).jump, 1);
      }
    };
    decoder.progress = &progress;
    jpeg_read_header(&decoder, TRUE);
    switch (decoder.jpeg_color_space) {
      case JCS_GRAYSCALE: decoder.out_color_space = JCS_GRAYSCALE; break;
      case JCS_CMYK:
      case JCS_YCCK: decoder.out_color_space = JCS_CMYK; break;
      default: decoder.out_color_space = JCS_RGB; break;
    }
    return true;
  }

  /// Writes rows of `row` bytes. CMYK takes four a pixel.
  bool read_pixels(std::byte* to, std::size_t row) {
    if (setjmp(errors.jump) != 0) return false;
    jpeg_start_decompress(&decoder);
    while (decoder.output_scanline < decoder.output_height) {
      auto* line = reinterpret_cast<JSAMPROW>(to + decoder.output_scanline * row);
      jpeg_read_scanlines(&decoder, &line, 1);
    }
    if (decoder.progressive_mode == TRUE) lacks_scans = misses_coefficients();
    jpeg_finish_decompress(&decoder);
    return true;
  }

  Error error(char const* name) const {
    if (errors.manager.msg_code == JERR_OUT_OF_MEMORY) {
      return no_memory_for_decoding(name);
    }
    if (source.ended) return truncated(name);
    return {ErrorCode::input, "%s: damaged JPEG file: %s", name, errors.message};
  }
  static Error truncated(char const* name) { return ends_before_pixels(name, "JPEG"); }

  /// Some of the pixels' data is not there at all.
  bool is_truncated() const { return source.ended && (errors.hit_end > 0 || lacks_scans); }

  jpeg_decompress_struct decoder{};  // zeros: there may be no memory to make it
  JpegErrors errors;
  JpegSource source;
  jpeg_progress_mgr progress{};
  bool lacks_scans = false;

 private:
  /// Of a progressive file: no scan has brought all bits of some component's mean, or of its first frequencies.
  bool misses_coefficients() const {
    if (decoder.coef_bits == nullptr) return false;
    for (int component = 0; component < decoder.num_components; ++component) {
      if (decoder.coef_bits[component][0] != 0) return true;
    }
    return false;
  }
};

void read_markers(jpeg_decompress_struct& decoder, Decoded& decoded) {
  auto& metadata = decoded.metadata;
  bool has_extended_xmp = false;
  Bytes resources;
  for (auto const* marker = decoder.marker_list; marker != nullptr; marker = marker->next) {
    View const data(reinterpret_cast<std::byte const*>(marker->data), marker->data_length);
    auto const rest = [&](std::string_view mark) {
      auto const bytes = data.subspan(mark.size());
      return Bytes(bytes.begin(), bytes.end());
    };
    if (marker->marker == JPEG_APP0 + 1) {
      if (starts_with(data, exif_mark) && metadata.exif.empty()) metadata.exif = rest(exif_mark);
      if (starts_with(data, xmp_mark) && metadata.xmp.empty()) metadata.xmp = rest(xmp_mark);
      if (starts_with(data, "http://ns.adobe.com/xmp/extension/")) has_extended_xmp = true;
    } else if (marker->marker == JPEG_APP0 + 13 && starts_with(data, resources_mark)) {
      auto const more = rest(resources_mark);  // resources that are too long for one marker go on in the next
      resources.insert(resources.end(), more.begin(), more.end());
    }
  }
  metadata.iptc = iptc_of_resources(resources);
  metadata.orientation = exif_orientation(metadata.exif);
  if (has_extended_xmp) decoded.warnings.push_back("its XMP is longer than one segment, of which the first is kept");
  double const factor = decoder.density_unit == 2 ? inches_a_centimetre : 1;
  bool const known =
      decoder.saw_JFIF_marker == TRUE && (decoder.density_unit != 0 || decoder.X_density != decoder.Y_density);
  if (known) metadata.resolution = {factor * decoder.X_density, factor * decoder.Y_density, decoder.density_unit != 0};
}

/// A function of its own, as libjpeg jumps where the profile's parts do not fit.
bool read_profile(JpegReader& reader, JOCTET*& profile, unsigned& size) {
  if (setjmp(reader.errors.jump) != 0) return false;
  return jpeg_read_icc_profile(&reader.decoder, &profile, &size) == TRUE;
}

/// Ink to light. Adobe's programs, which write most of these files, store 255 for no ink.
void cmyk_to_rgb(std::byte const* from, std::byte* to, std::size_t pixels, bool inverted) {
  for (std::size_t i = 0; i < pixels; ++i, from += 4, to += 3) {
    auto const light = [&](int c) {
      auto const value = std::to_integer<unsigned>(from[c]);
      return inverted ? value : 255 - value;
    };
    for (int c = 0; c < 3; ++c) to[c] = static_cast<std::byte>((light(c) * light(3) + 127) / 255);
  }
}

}  // namespace

mirnet::Result<Decoded> decode_jpeg(View file, char const* name, mirnet::ReadOptions const& options) {
  JpegReader reader;
  if (!reader.begin(file)) return reader.error(name);
  auto const& decoder = reader.decoder;
  auto const size = mirnet::detail::check_size(name, "JPEG", decoder.image_width, decoder.image_height, options);
  if (!size) return size.error();
  Decoded decoded;
  JOCTET* profile = nullptr;
  unsigned profile_size = 0;
  if (read_profile(reader, profile, profile_size)) {
    auto const* const bytes = reinterpret_cast<std::byte const*>(profile);
    decoded.metadata.icc.assign(bytes, bytes + profile_size);
  }
  std::free(profile);
  read_markers(reader.decoder, decoded);

  bool const cmyk = decoder.out_color_space == JCS_CMYK;
  Index const channels = decoder.out_color_space == JCS_GRAYSCALE ? 1 : cmyk ? 4 : 3;
  auto image = mirnet::Image::create(size->width, size->height, channels, SampleType::u8);
  if (!image) return image.error();
  decoded.image = *std::move(image);
  auto const row = static_cast<std::size_t>(size->width * channels);
  if (!reader.read_pixels(decoded.image.bytes().data(), row)) return reader.error(name);
  if (reader.is_truncated()) return JpegReader::truncated(name);
  if (reader.errors.hit_end + reader.errors.others > 0) {
    decoded.warnings.push_back("damaged JPEG data; some pixels are wrong");
  } else if (reader.source.ended) {
    decoded.warnings.push_back("the file lacks its end marker; its pixels are all there");
  }
  if (cmyk) {
    auto rgb = mirnet::Image::create(size->width, size->height, 3, SampleType::u8);
    if (!rgb) return rgb.error();
    auto const* const ink = decoded.image.bytes().data();
    auto const pixels = static_cast<std::size_t>(rgb->pixels());
    bool const inverted = decoder.saw_Adobe_marker == TRUE;
    bool const by_profile = cmyk_to_srgb(decoded.metadata.icc, ink, rgb->bytes().data(), pixels, inverted);
    if (!by_profile) cmyk_to_rgb(ink, rgb->bytes().data(), pixels, inverted);
    decoded.image = *std::move(rgb);
    decoded.warnings.push_back(by_profile ? "a CMYK picture, converted to sRGB by its colour profile"
                                          : "a CMYK picture without a colour profile that can be used; its colours are "
                                            "converted to RGB roughly");
    decoded.metadata.icc.clear();
  }
  return decoded;
}

namespace {

/// Hands what libjpeg has compressed to the file, a block at a time.
struct JpegDestination {
  jpeg_destination_mgr manager;
  EncodingTarget* target;
  JOCTET block[1 << 16];

  static JpegDestination& of(j_compress_ptr encoder) { return *reinterpret_cast<JpegDestination*>(encoder->dest); }

  void begin() {
    manager.next_output_byte = block;
    manager.free_in_buffer = sizeof block;
  }
  void flush(j_compress_ptr encoder, std::size_t size) {
    if (target->append(block, size)) return begin();
    encoder->err->error_exit(reinterpret_cast<j_common_ptr>(encoder));
  }
};

struct JpegFormat {
  explicit JpegFormat(int wanted_quality) : quality(wanted_quality) {}
  JpegFormat(JpegFormat const&) = delete;
  JpegFormat& operator=(JpegFormat const&) = delete;
  ~JpegFormat() { jpeg_destroy_compress(&encoder); }

  void prepare(Metadata const& metadata) {
    if (!metadata.iptc.empty()) resources = resources_of_iptc(metadata.iptc);
  }

  bool begin(Metadata const& metadata) {
    errors.install(reinterpret_cast<j_common_ptr>(&encoder));
    if (setjmp(errors.jump) != 0) return failed();
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
    if (auto const& resolution = metadata.resolution; !resolution.empty()) set_density(resolution);
    jpeg_start_compress(&encoder, TRUE);
    // EXIF first: readers look for it there.
    segment(1, exif_mark, metadata.exif);
    segment(1, xmp_mark, metadata.xmp);
    segment(13, resources_mark, resources);
    if (!metadata.icc.empty()) {
      jpeg_write_icc_profile(&encoder, reinterpret_cast<JOCTET const*>(metadata.icc.data()),
                             static_cast<unsigned>(metadata.icc.size()));
    }
    return true;
  }

  bool write(std::byte const* rows, std::size_t count, std::size_t row) {
    if (setjmp(errors.jump) != 0) return failed();
    for (std::size_t y = 0; y < count; ++y) {
      auto* line = reinterpret_cast<JSAMPROW>(const_cast<std::byte*>(rows + y * row));
      jpeg_write_scanlines(&encoder, &line, 1);
    }
    return true;
  }

  bool end() {
    if (setjmp(errors.jump) != 0) return failed();
    jpeg_finish_compress(&encoder);
    return true;
  }

  int quality;
  EncodingTarget target{};
  jpeg_compress_struct encoder{};  // zeros: there may be no memory to make it
  JpegErrors errors;
  JpegDestination destination;
  Bytes resources;

 private:
  bool failed() {
    if (errors.manager.msg_code == JERR_OUT_OF_MEMORY) target.memory_is_left = false;
    target.say(errors.message);
    return false;
  }

  /// A JFIF header has whole numbers of 16 bits, an inch or a centimetre, or the two sides of a pixel.
  void set_density(Resolution const& resolution) {
    constexpr double most = 65535;
    double const factor = resolution.per_inch ? 1 : std::min(1.0, most / std::max(resolution.x, resolution.y));
    auto const whole = [&](double value) {
      return static_cast<UINT16>(std::clamp(std::round(factor * value), 1.0, most));
    };
    encoder.density_unit = resolution.per_inch ? 1 : 0;
    encoder.X_density = whole(resolution.x);
    encoder.Y_density = whole(resolution.y);
  }

  void segment(int number, std::string_view mark, View data) {
    if (data.empty() || data.size() > most_in_a_marker - mark.size()) return;
    jpeg_write_m_header(&encoder, JPEG_APP0 + number, static_cast<unsigned>(mark.size() + data.size()));
    for (char const c : mark) jpeg_write_m_byte(&encoder, c);
    for (auto const byte : data) jpeg_write_m_byte(&encoder, std::to_integer<int>(byte));
  }
};

}  // namespace

mirnet::Result<std::unique_ptr<RowEncoder>> encode_jpeg(ImageLayout const& layout, EncodeOptions const& options,
                                                        Metadata const& metadata) {
  MIRNET_ASSERT(layout.type == SampleType::u8 && !layout.has_alpha());
  return start_rows<JpegFormat>(layout, metadata, options.quality);
}

}  // namespace cli

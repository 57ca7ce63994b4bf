// Cameras' raw files, by LibRaw: developed with the white balance that the camera chose, to sRGB of 16 bits, as that is
// what the network has learned.
//
// Full light stays what the sensor calls full. LibRaw can brighten a picture until a part of it is white: how much then
// depends on noise and on what is in the picture, pictures of a series differ, and what is brightest is lost. 16 bits
// leave all of that to whoever develops the result further.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <memory>

#include <libraw/libraw.h>

#include "codec.hpp"
#include "library.hpp"
#include "pixels.hpp"
#include "tiff_structure.hpp"

// Of libgomp, which LibRaw may need; its header need not be there.
extern "C" void omp_set_num_threads(int count);

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

struct Raw {
  Library library{MIRNET_RAW_LIBRARY};
  MIRNET_FUNCTION(libraw_init);
  MIRNET_FUNCTION(libraw_close);
  MIRNET_FUNCTION(libraw_open_buffer);
  MIRNET_FUNCTION(libraw_unpack);
  MIRNET_FUNCTION(libraw_dcraw_process);
  MIRNET_FUNCTION(libraw_dcraw_make_mem_image);
  MIRNET_FUNCTION(libraw_dcraw_clear_mem);
  MIRNET_FUNCTION(libraw_set_dataerror_handler);
  MIRNET_FUNCTION(libraw_strerror);
  MIRNET_FUNCTION(libraw_version);
  MIRNET_FUNCTION(libraw_versionNumber);
  /// Null where LibRaw was built without OpenMP.
  decltype(&::omp_set_num_threads) set_threads =
      library.find_if_there<decltype(&::omp_set_num_threads)>("omp_set_num_threads");

  static Raw& instance() {
    static Raw raw;
    return raw;
  }
};

Error error(char const* name, int result) {
  if (result == LIBRAW_UNSUFFICIENT_MEMORY) return no_memory_for_decoding(name);
  if (result == LIBRAW_FILE_UNSUPPORTED) {
    return {ErrorCode::input, "%s: is a RAW file of a kind that LibRaw %s does not know", name,
            Raw::instance().libraw_version()};
  }
  if (result == LIBRAW_IO_ERROR) {
    return ends_before_pixels(name, "RAW");
  }
  return {ErrorCode::input, "%s: damaged RAW file: %s", name, Raw::instance().libraw_strerror(result)};
}

/// Counts what LibRaw goes on after.
struct Faults {
  int beyond_end = 0, others = 0;

  static void count(void* self, char const*, int offset) {
    auto& faults = *static_cast<Faults*>(self);
    ++(offset == -1 ? faults.beyond_end : faults.others);
  }
};

// --- EXIF: a small TIFF structure of what LibRaw has read ------------------------------------------------------------

/// Up to the zero that ends it, if one does.
template <std::size_t size>
std::string_view text(char const (&field)[size]) {
  return {field, static_cast<std::size_t>(std::find(field, field + size, '\0') - field)};
}

template <class... Numbers>
Bytes little(Numbers... numbers) {
  Bytes bytes((sizeof(Numbers) + ...));
  auto* to = bytes.data();
  ((mirnet::store_little(to, numbers), to += sizeof numbers), ...);
  return bytes;
}

void add_text(TiffDirectory& directory, std::uint16_t tag, std::string_view text) {
  if (text.empty()) return;
  auto const bytes = std::as_bytes(std::span(text));
  Bytes ended(bytes.begin(), bytes.end());
  ended.push_back(std::byte{0});
  directory.fields.push_back({tag, tiff_type::ascii, ended.size(), std::move(ended)});
}
void add_number(TiffDirectory& directory, std::uint16_t tag, std::uint16_t value) {
  directory.fields.push_back({tag, tiff_type::u16, 1, little(value)});
}
void add_ratio(TiffDirectory& directory, std::uint16_t tag, std::uint32_t above, std::uint32_t below) {
  directory.fields.push_back({tag, tiff_type::rational, 1, little(above, below)});
}

std::uint32_t thousandths(float value) { return static_cast<std::uint32_t>(std::lround(std::min(value, 1e6F) * 1000)); }

Bytes exif_data(libraw_data_t const& raw) {
  auto const& other = raw.other;
  char moment[20] = "";
  std::tm parts{};
  if (other.timestamp > 0 && ::localtime_r(&other.timestamp, &parts) != nullptr) {
    if (std::strftime(moment, sizeof moment, "%Y:%m:%d %H:%M:%S", &parts) == 0) moment[0] = '\0';
  }
  TiffDirectory exposure;
  if (other.shutter > 0) {
    bool const is_short = other.shutter < 1;
    auto const inverse = std::max(1U, thousandths(std::min(1 / other.shutter, 1e6F)));
    add_ratio(exposure, 0x829A, is_short ? 1000 : thousandths(other.shutter), is_short ? inverse : 1000);
  }
  if (other.aperture > 0) add_ratio(exposure, 0x829D, thousandths(other.aperture), 1000);
  if (other.iso_speed > 0) {
    add_number(exposure, 0x8827, static_cast<std::uint16_t>(std::min(other.iso_speed, 65535.0F)));
  }
  add_text(exposure, 0x9003, text(moment));
  if (other.focal_len > 0) add_ratio(exposure, 0x920A, thousandths(other.focal_len), 1000);
  add_text(exposure, 0xA434, text(raw.lens.Lens));
  TiffDirectory all;
  add_text(all, 0x010E, text(other.desc));
  add_text(all, 0x010F, text(raw.idata.make));
  add_text(all, 0x0110, text(raw.idata.model));
  add_number(all, tiff_tag::orientation, 1);
  add_text(all, 0x0132, text(moment));
  add_text(all, 0x013B, text(other.artist));
  if (!exposure.empty()) all.inner.push_back({tiff_tag::exif_directory, std::move(exposure)});
  constexpr bool little_endian = true;
  return exif_of(all, little_endian);
}

void set_development(libraw_data_t& raw) {
  auto& wish = raw.params;
  wish.use_camera_wb = 1;
  wish.output_bps = 16;
  wish.output_color = 1;   // sRGB
  wish.gamm[0] = 1 / 2.4;  // sRGB's curve
  wish.gamm[1] = 12.92;
  wish.no_auto_bright = 1;
  constexpr unsigned megabytes = 1U << 20;  // the sandbox has the limit
#if LIBRAW_COMPILE_CHECK_VERSION_NOTLESS(0, 21)
  raw.rawparams.max_raw_memory_mb = megabytes;
#else
  wish.max_raw_memory_mb = megabytes;
#endif
}

}  // namespace

mirnet::Result<void> load_raw(char const* name) { return Raw::instance().library.check(name, "RAW"); }

LibraryVersions raw_versions() {
  auto& raw = Raw::instance();
  auto const built = version_text(LIBRAW_MAJOR_VERSION, LIBRAW_MINOR_VERSION, LIBRAW_PATCH_VERSION);
  if (raw.library.fault()) return {built, {}};
  auto const running = static_cast<unsigned>(raw.libraw_versionNumber());  // a byte each
  return {built, version_text(running >> 16, running >> 8 & 0xFF, running & 0xFF)};
}

mirnet::Result<Decoded> decode_raw(View file, char const* name, mirnet::ReadOptions const& options) {
  if (auto const loaded = load_raw(name); !loaded) return loaded.error();
  auto& library = Raw::instance();
  if (library.set_threads != nullptr) library.set_threads(1);  // a sandbox has no more
  constexpr unsigned no_memory_callback = 1;                   // which prints; versions of LibRaw differ in its name
  std::unique_ptr<libraw_data_t, decltype(library.libraw_close)> const raw(library.libraw_init(no_memory_callback),
                                                                           library.libraw_close);
  if (!raw) return no_memory_for_decoding(name);
  Faults faults;
  library.libraw_set_dataerror_handler(raw.get(), Faults::count, &faults);
  set_development(*raw);
  // LibRaw does not write to what it reads.
  auto const opened = library.libraw_open_buffer(raw.get(), const_cast<std::byte*>(file.data()), file.size());
  if (opened != LIBRAW_SUCCESS) return error(name, opened);
  auto const size = mirnet::detail::check_size(name, "RAW", std::max(raw->sizes.raw_width, raw->sizes.width),
                                               std::max(raw->sizes.raw_height, raw->sizes.height), options);
  if (!size) return size.error();
  // What sensors are said to hold may be more than they do, and LibRaw takes the brightest sample for full light where
  // it is a little less. A DNG says it exactly.
  if (raw->idata.dng_version != 0) raw->params.adjust_maximum_thr = 0;
  if (auto const unpacked = library.libraw_unpack(raw.get()); unpacked != LIBRAW_SUCCESS) return error(name, unpacked);
  if (faults.beyond_end > 0) return error(name, LIBRAW_IO_ERROR);
  if (auto const done = library.libraw_dcraw_process(raw.get()); done != LIBRAW_SUCCESS) return error(name, done);
  int failed = LIBRAW_SUCCESS;
  std::unique_ptr<libraw_processed_image_t, decltype(library.libraw_dcraw_clear_mem)> const pixels(
      library.libraw_dcraw_make_mem_image(raw.get(), &failed), library.libraw_dcraw_clear_mem);
  if (!pixels) return error(name, failed);
  bool const expected =
      pixels->type == LIBRAW_IMAGE_BITMAP && pixels->bits == 16 && (pixels->colors == 1 || pixels->colors == 3);
  if (!expected) return error(name, LIBRAW_UNSPECIFIED_ERROR);
  auto const developed = mirnet::detail::check_size(name, "RAW", pixels->width, pixels->height, options);
  if (!developed) return developed.error();
  Decoded decoded;
  auto image = mirnet::Image::create(developed->width, developed->height, pixels->colors, SampleType::u16);
  if (!image) return image.error();
  if (pixels->data_size < image->bytes().size()) return error(name, LIBRAW_UNSPECIFIED_ERROR);
  std::memcpy(image->bytes().data(), pixels->data, image->bytes().size());
  decoded.image = *std::move(image);
  if (faults.others > 0) decoded.warnings.push_back("damaged RAW data; some pixels are wrong");
  if (raw->idata.raw_count > 1) {
    decoded.warnings.push_back("it holds " + std::to_string(raw->idata.raw_count) +
                               " pictures, of which the first is taken");
  }
  decoded.metadata.exif = exif_data(*raw);  // the pixels are turned already
  if (raw->idata.xmpdata != nullptr && raw->idata.xmplen <= most_metadata) {
    auto const* const xmp = reinterpret_cast<std::byte const*>(raw->idata.xmpdata);
    decoded.metadata.xmp.assign(xmp, xmp + raw->idata.xmplen);
  }
  return decoded;
}

}  // namespace cli

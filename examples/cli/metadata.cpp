#include "metadata.hpp"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include <mirnet/io/image_file.hpp>

#include "png_memory.hpp"

namespace cli {
namespace {

using View = std::span<std::byte const>;
using mirnet::Index;

Bytes copied(void const* data, std::size_t size) {
  auto const* const bytes = static_cast<std::byte const*>(data);
  return {bytes, bytes + size};
}

// --- EXIF: a TIFF structure (TIFF 6.0, section 2) -----------------------------------------------------------------

/// The numbers of a TIFF structure, in its byte order; those outside of it are 0.
class Tiff {
 public:
  static std::optional<Tiff> open(View bytes) {
    if (bytes.size() < 8) return {};
    bool const little = bytes[0] == std::byte{'I'} && bytes[1] == std::byte{'I'};
    bool const big = bytes[0] == std::byte{'M'} && bytes[1] == std::byte{'M'};
    Tiff const tiff(bytes, little);
    if (!(little || big) || tiff.number(2, 2) != 42) return {};
    return tiff;
  }

  std::size_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::size_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      auto const byte = std::to_integer<std::size_t>(bytes_[at + (little_ ? size - 1 - i : i)]);
      value = value << 8 | byte;
    }
    return value;
  }

  std::size_t directory() const { return number(4, 4); }
  std::size_t entries() const { return number(directory(), 2); }
  /// Where the offset of the next directory stands, the thumbnail's.
  std::size_t next_at() const { return directory() + 2 + 12 * entries(); }
  /// Where a tag's value of two bytes stands in the first directory; nothing where there is none of that type.
  std::optional<std::size_t> short_at(std::size_t tag) const {
    constexpr std::size_t type_short = 3;
    for (std::size_t i = 0; i < entries(); ++i) {
      auto const entry = directory() + 2 + 12 * i;
      bool const found = number(entry, 2) == tag && number(entry + 2, 2) == type_short && number(entry + 4, 4) == 1;
      if (found && entry + 12 <= bytes_.size()) return entry + 8;
    }
    return {};
  }
  bool little() const { return little_; }

 private:
  Tiff(View bytes, bool little) : bytes_(bytes), little_(little) {}

  View bytes_;
  bool little_;
};

constexpr std::size_t orientation_tag = 0x0112;

// --- The libraries: their errors come as jumps, so nothing with a destructor may live where they are called ---------

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
};

/// What a library could read; of a damaged file, what comes before the damage.
struct Found {
  Bytes icc, exif;
  bool memory_is_left = true;
};

/// Reads the header's markers.
void read_jpeg_markers(View file, Found& found) {
  jpeg_decompress_struct decoder{};  // zeros: there may be no memory to make it
  JpegErrors errors;
  decoder.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = [](j_common_ptr info) {
    std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->jump, 1);
  };
  errors.manager.output_message = [](j_common_ptr) {};
  JOCTET* profile = nullptr;
  if (setjmp(errors.jump) != 0) {
    found.memory_is_left = errors.manager.msg_code != JERR_OUT_OF_MEMORY;
    jpeg_destroy_decompress(&decoder);
    return;
  }
  jpeg_create_decompress(&decoder);
  jpeg_mem_src(&decoder, reinterpret_cast<unsigned char const*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_save_markers(&decoder, JPEG_APP0 + 1, 0xFFFF);
  jpeg_save_markers(&decoder, JPEG_APP0 + 2, 0xFFFF);
  jpeg_read_header(&decoder, TRUE);
  unsigned profile_size = 0;
  if (jpeg_read_icc_profile(&decoder, &profile, &profile_size) != 0) {
    found.icc = copied(profile, profile_size);
    std::free(profile);
  }
  for (auto const* marker = decoder.marker_list; marker != nullptr; marker = marker->next) {
    bool const is_exif = marker->marker == JPEG_APP0 + 1 && marker->data_length > exif_mark.size() &&
                         std::memcmp(marker->data, exif_mark.data(), exif_mark.size()) == 0;
    if (is_exif && found.exif.empty()) {
      found.exif = copied(marker->data + exif_mark.size(), marker->data_length - exif_mark.size());
    }
  }
  jpeg_destroy_decompress(&decoder);
}

struct PngSource {
  View rest;
};

/// Reads the chunks before and after the pixels.
void read_png_chunks(View file, Found& found) {
  auto const fail = [](png_structp reader, png_const_charp) { png_longjmp(reader, 1); };  // libpng's own would print
  auto const quiet = [](png_structp, png_const_charp) {};
  png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, nullptr, fail, quiet, &found,
                                             take_png_memory<Found>, give_back_png_memory);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return;
  }
  PngSource source{file};
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_read_fn(png, &source, [](png_structp reader, png_bytep to, std::size_t size) {
    auto& from = *static_cast<PngSource*>(png_get_io_ptr(reader));
    if (size > from.rest.size()) png_error(reader, "the end of the file");
    std::memcpy(to, from.rest.data(), size);
    from.rest = from.rest.subspan(size);
  });
  png_read_info(png, info);
  char* name = nullptr;
  int compression = 0;
  png_bytep profile = nullptr;
  png_uint_32 size = 0;
  if (png_get_iCCP(png, info, &name, &compression, &profile, &size) != 0) found.icc = copied(profile, size);
#ifdef PNG_eXIf_SUPPORTED
  if (png_get_eXIf_1(png, info, &size, &profile) != 0) found.exif = copied(profile, size);
#endif
  png_destroy_read_struct(&png, &info, nullptr);
}

}  // namespace

int exif_orientation(View exif) {
  auto const tiff = Tiff::open(exif);
  auto const at = tiff ? tiff->short_at(orientation_tag) : std::nullopt;
  auto const value = at ? tiff->number(*at, 2) : 0;
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Bytes upright_exif(Bytes exif) {
  auto const tiff = Tiff::open(exif);
  if (!tiff) return {};
  if (auto const at = tiff->short_at(orientation_tag)) {
    exif[*at] = std::byte(tiff->little() ? 1 : 0);
    exif[*at + 1] = std::byte(tiff->little() ? 0 : 1);
  }
  auto const next = tiff->next_at();
  if (next <= exif.size() && exif.size() - next >= 4) std::memset(exif.data() + next, 0, 4);
  return exif;
}

Metadata read_metadata(View file) {
  Found found;
  auto const format = mirnet::image_format(file);
  if (format == mirnet::ImageFormat::jpeg) read_jpeg_markers(file, found);
  if (format == mirnet::ImageFormat::png) read_png_chunks(file, found);
  if (!found.memory_is_left) throw std::bad_alloc();  // nothing is left out for that
  Metadata metadata;
  metadata.orientation = exif_orientation(found.exif);
  metadata.icc = std::move(found.icc);
  metadata.exif = upright_exif(std::move(found.exif));
  return metadata;
}

mirnet::Result<mirnet::Image> upright(mirnet::Image const& image, int orientation) {
  // EXIF 2.3, 4.6.4: which side of the picture the stored rows and columns start from. 5 to 8 have them exchanged.
  bool const exchanged = orientation >= 5;
  bool const from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  bool const from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Index const width = exchanged ? image.height() : image.width();
  Index const height = exchanged ? image.width() : image.height();
  auto turned = mirnet::Image::create(width, height, image.channels(), image.type());
  if (!turned) return turned;
  auto const pixel = static_cast<std::size_t>(image.channels() * mirnet::sample_bytes(image.type()));
  std::byte* to = turned->bytes().data();
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x, to += pixel) {
      Index column = exchanged ? y : x, row = exchanged ? x : y;
      if (from_right) column = image.width() - 1 - column;
      if (from_below) row = image.height() - 1 - row;
      std::memcpy(to, image.bytes().data() + static_cast<std::size_t>(row * image.width() + column) * pixel, pixel);
    }
  }
  return turned;
}

}  // namespace cli

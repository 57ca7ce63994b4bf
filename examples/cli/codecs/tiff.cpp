// TIFF, by libtiff: gray, palettes, RGB, YCbCr and CMYK, 1 to 16 bits or floats, strips and tiles, with
// every compression that libtiff was built with. Metadata is copied entry by entry, which libtiff would interpret.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include <tiffio.h>

#include "codec.hpp"
#include "library.hpp"
#include "row_encoder.hpp"
#include "tiff_structure.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

struct Tiff {
  Library library{MIRNET_TIFF_LIBRARY};
  MIRNET_FUNCTION(TIFFOpenOptionsAlloc);
  MIRNET_FUNCTION(TIFFOpenOptionsFree);
  MIRNET_FUNCTION(TIFFOpenOptionsSetErrorHandlerExtR);
  MIRNET_FUNCTION(TIFFOpenOptionsSetWarningHandlerExtR);
  MIRNET_FUNCTION(TIFFOpenOptionsSetMaxSingleMemAlloc);
  MIRNET_FUNCTION(TIFFClientOpenExt);
  MIRNET_FUNCTION(TIFFClose);
  MIRNET_FUNCTION(TIFFCurrentDirOffset);
  MIRNET_FUNCTION(TIFFGetField);
  MIRNET_FUNCTION(TIFFGetFieldDefaulted);
  MIRNET_FUNCTION(TIFFIsCODECConfigured);
  MIRNET_FUNCTION(TIFFIsTiled);
  MIRNET_FUNCTION(TIFFRGBAImageOK);
  MIRNET_FUNCTION(TIFFReadDirectory);
  MIRNET_FUNCTION(TIFFReadRGBAImageOriented);
  MIRNET_FUNCTION(TIFFReadScanline);
  MIRNET_FUNCTION(TIFFReadTile);
  MIRNET_FUNCTION(TIFFScanlineSize64);
  MIRNET_FUNCTION(TIFFTileRowSize64);
  MIRNET_FUNCTION(TIFFTileSize64);
  MIRNET_FUNCTION(TIFFSetDirectory);
  MIRNET_FUNCTION(TIFFSetField);
  MIRNET_FUNCTION(TIFFWriteDirectory);
  MIRNET_FUNCTION(TIFFWriteEncodedStrip);
  MIRNET_FUNCTION(TIFFGetVersion);

  static Tiff& instance() {
    static Tiff tiff;
    return tiff;
  }
};

/// Only where it could be loaded.
Tiff const& libtiff() { return Tiff::instance(); }

/// What libtiff says, instead of on the standard error.
struct TiffMessages {
  char error[256] = "", warning[256] = "";  ///< the first of each

  bool is_about_memory() const { return mentions(error, "memory") || mentions(error, "No space"); }
  bool is_about_the_end() const {
    return mentions(warning, "Premature end of JPEG") || mentions(warning, "Premature EOF");
  }
  void clear() { error[0] = warning[0] = '\0'; }

  static int keep_error(TIFF*, void* self, char const*, char const* format, std::va_list values) {
    return keep(static_cast<TiffMessages*>(self)->error, format, values);
  }
  static int keep_warning(TIFF*, void* self, char const*, char const* format, std::va_list values) {
    return keep(static_cast<TiffMessages*>(self)->warning, format, values);
  }

 private:
  static int keep(char (&text)[256], char const* format, std::va_list values) {
    if (text[0] == '\0') std::vsnprintf(text, sizeof text, format, values);
    return 1;
  }
  static bool mentions(std::string_view text, std::string_view what) {
    return text.find(what) != std::string_view::npos;
  }
};

struct TiffCalls {
  TIFFReadWriteProc read, write;
  TIFFSeekProc seek;
  TIFFSizeProc size;
  TIFFMapFileProc map;
};

/// `most` is the most memory that libtiff may take at once, beside libjpeg's.
TIFF* open_tiff(char const* mode, void* self, TiffCalls const& calls, TiffMessages& messages, std::size_t most) {
  auto* const options = libtiff().TIFFOpenOptionsAlloc();
  if (options == nullptr) return nullptr;
  libtiff().TIFFOpenOptionsSetErrorHandlerExtR(options, TiffMessages::keep_error, &messages);
  libtiff().TIFFOpenOptionsSetWarningHandlerExtR(options, TiffMessages::keep_warning, &messages);
  libtiff().TIFFOpenOptionsSetMaxSingleMemAlloc(options, static_cast<tmsize_t>(most));
  auto const close = [](thandle_t) { return 0; };
  auto const unmap = [](thandle_t, void*, toff_t) {};
  auto* const tiff = libtiff().TIFFClientOpenExt("", mode, static_cast<thandle_t>(self), calls.read, calls.write,
                                                 calls.seek, close, calls.size, calls.map, unmap, options);
  libtiff().TIFFOpenOptionsFree(options);
  return tiff;
}

/// Where a seek of a file of `size` bytes that stands at `at` leads to.
toff_t sought(toff_t at, toff_t size, toff_t offset, int whence) {
  return whence == SEEK_SET ? offset : whence == SEEK_CUR ? at + offset : size + offset;
}

// --- Reading ---------------------------------------------------------------------------------------------------------

/// How a picture's colours are made of its samples.
enum class Colours { plain, white_is_zero, palette, cmyk, by_libtiff };

struct TiffLayout {
  std::uint32_t width = 0, height = 0, tile_width = 0, tile_height = 0;
  std::uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, photometric = PHOTOMETRIC_MINISBLACK,
                compression = COMPRESSION_NONE, planes = PLANARCONFIG_CONTIG, orientation = ORIENTATION_TOPLEFT;
  bool tiled = false, premultiplied = false;
  Colours colours = Colours::plain;
  int colour_samples = 1;  ///< the first ones of a pixel
  int alpha = -1;          ///< the sample that is alpha

  bool separate() const { return planes == PLANARCONFIG_SEPARATE && samples > 1; }
  Index channels() const { return colour_samples + (alpha >= 0 ? 1 : 0); }
  SampleType type() const {
    if (format == SAMPLEFORMAT_IEEEFP) return SampleType::f32;
    return bits <= 8 ? SampleType::u8 : SampleType::u16;
  }
  /// The channel of the image that a sample of the file goes to; -1: none.
  int channel_of(int sample) const {
    if (sample < colour_samples) return sample;
    return sample == alpha ? colour_samples : -1;
  }
  /// Of so many samples of this file side by side.
  std::uint64_t bytes_of(std::uint64_t count) const { return (count * bits + 7) / 8; }
};

class TiffReader {
 public:
  explicit TiffReader(View file) : file_(file) {}
  TiffReader(TiffReader const&) = delete;
  TiffReader& operator=(TiffReader const&) = delete;
  ~TiffReader() {
    if (tiff_ != nullptr) libtiff().TIFFClose(tiff_);
  }

  bool open() {
    auto const read = [](thandle_t self, void* to, tmsize_t size) -> tmsize_t {
      auto& reader = *static_cast<TiffReader*>(self);
      auto const at = static_cast<std::size_t>(std::min<toff_t>(reader.at_, reader.file_.size()));
      auto const count = std::min(static_cast<std::size_t>(std::max<tmsize_t>(size, 0)), reader.file_.size() - at);
      if (count > 0) std::memcpy(to, reader.file_.data() + at, count);
      reader.at_ += count;
      return static_cast<tmsize_t>(count);
    };
    auto const write = [](thandle_t, void*, tmsize_t) -> tmsize_t { return -1; };
    auto const seek = [](thandle_t self, toff_t offset, int whence) -> toff_t {
      auto& reader = *static_cast<TiffReader*>(self);
      return reader.at_ = sought(reader.at_, reader.file_.size(), offset, whence);
    };
    auto const size = [](thandle_t self) -> toff_t { return static_cast<TiffReader*>(self)->file_.size(); };
    auto const map = [](thandle_t self, void** base, toff_t* length) -> int {
      auto const file = static_cast<TiffReader*>(self)->file_;
      *base = const_cast<std::byte*>(file.data());
      *length = file.size();
      return 1;
    };
    constexpr std::size_t most = 256 << 20;
    tiff_ = open_tiff("r", this, {read, write, seek, size, map}, messages_, most + file_.size());
    return tiff_ != nullptr;
  }

  /// Goes to the first page that is a picture and neither a small copy of one nor a mask. False where there is none.
  bool choose_page(std::vector<std::string>& warnings) {
    constexpr int most_pages = 100;
    int chosen = -1, pages = 0, at = 0;
    do {
      std::uint32_t kind = 0;
      std::uint16_t old_kind = 0;
      libtiff().TIFFGetField(tiff_, TIFFTAG_SUBFILETYPE, &kind);
      libtiff().TIFFGetField(tiff_, TIFFTAG_OSUBFILETYPE, &old_kind);
      bool const beside = (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) != 0 || old_kind == OFILETYPE_REDUCEDIMAGE;
      if (beside) continue;
      if (chosen < 0) chosen = at;
      ++pages;
    } while (++at < most_pages && libtiff().TIFFReadDirectory(tiff_) == 1);
    messages_.clear();
    if (pages > 1) warnings.emplace_back("more than one page, of which the first is taken");
    return chosen >= 0 && libtiff().TIFFSetDirectory(tiff_, static_cast<tdir_t>(chosen)) == 1;
  }

  mirnet::Result<TiffLayout> layout(char const* name, std::vector<std::string>& warnings) {
    TiffLayout found;
    if (libtiff().TIFFGetField(tiff_, TIFFTAG_IMAGEWIDTH, &found.width) != 1 ||
        libtiff().TIFFGetField(tiff_, TIFFTAG_IMAGELENGTH, &found.height) != 1) {
      return Error(ErrorCode::input, "%s: damaged TIFF file: it does not say how large the picture is", name);
    }
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_BITSPERSAMPLE, &found.bits);
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_SAMPLESPERPIXEL, &found.samples);
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_SAMPLEFORMAT, &found.format);
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_COMPRESSION, &found.compression);
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_PLANARCONFIG, &found.planes);
    libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_ORIENTATION, &found.orientation);
    bool const is_fax = found.compression == COMPRESSION_CCITTRLE || found.compression == COMPRESSION_CCITTRLEW ||
                        found.compression == COMPRESSION_CCITTFAX3 || found.compression == COMPRESSION_CCITTFAX4;
    if (libtiff().TIFFGetField(tiff_, TIFFTAG_PHOTOMETRIC, &found.photometric) != 1) {
      found.photometric = is_fax               ? PHOTOMETRIC_MINISWHITE
                          : found.samples >= 3 ? PHOTOMETRIC_RGB
                                               : PHOTOMETRIC_MINISBLACK;
    }
    if (found.orientation < 1 || found.orientation > 8) found.orientation = ORIENTATION_TOPLEFT;
    // JBIG cannot be read row by row.
    if (libtiff().TIFFIsCODECConfigured(found.compression) != 1 || found.compression == COMPRESSION_JBIG) {
      return Error(ErrorCode::input, "%s: a TIFF file compressed by method %d, which is not read", name,
                   int{found.compression});
    }
    if (auto const known = choose_colours(name, found); !known) return known.error();
    if (found.colours == Colours::by_libtiff) return found;
    choose_alpha(found, warnings);

    bool const is_float = found.format == SAMPLEFORMAT_IEEEFP && found.bits == 32 &&
                          found.colours != Colours::palette && found.colours != Colours::cmyk;
    bool const is_whole = (found.format == SAMPLEFORMAT_UINT || found.format == SAMPLEFORMAT_VOID) && found.bits >= 1 &&
                          found.bits <= (found.colours == Colours::palette ? 8 : 16);
    if (!is_float && !is_whole) {
      return Error(ErrorCode::input, "%s: a TIFF file with %s of %d bits; expected whole numbers of 1 to %d%s", name,
                   found.format == SAMPLEFORMAT_INT      ? "signed samples"
                   : found.format == SAMPLEFORMAT_IEEEFP ? "floats"
                                                         : "samples",
                   int{found.bits}, found.colours == Colours::palette ? 8 : 16,
                   found.colours == Colours::palette ? "" : ", or floats of 32");
    }
    found.tiled = libtiff().TIFFIsTiled(tiff_) == 1;
    if (found.tiled) {
      libtiff().TIFFGetField(tiff_, TIFFTAG_TILEWIDTH, &found.tile_width);
      libtiff().TIFFGetField(tiff_, TIFFTAG_TILELENGTH, &found.tile_height);
    }
    return found;
  }

  /// Of an image with the channels and the type of the layout.
  bool read_pixels(TiffLayout const& layout, Image& image) {
    messages_.clear();  // of directories with entries that libtiff does not know
    if (layout.colours == Colours::by_libtiff) return read_by_libtiff(layout, image);
    switch (layout.type()) {
      case SampleType::u8: return read_samples<std::uint8_t>(layout, image);
      case SampleType::u16: return read_samples<std::uint16_t>(layout, image);
      case SampleType::f32: break;
    }
    return read_samples<float>(layout, image);
  }

  /// 256 colours or fewer, as RGB one after the other; empty where the file has none.
  std::vector<std::uint8_t> palette(TiffLayout const& layout) {
    std::uint16_t* parts[3] = {};
    if (libtiff().TIFFGetField(tiff_, TIFFTAG_COLORMAP, &parts[0], &parts[1], &parts[2]) != 1) return {};
    auto const count = std::size_t{1} << layout.bits;
    // Some writers have put 8 bits there.
    bool const small = std::all_of(std::begin(parts), std::end(parts), [=](std::uint16_t const* part) {
      return std::all_of(part, part + count, [](std::uint16_t value) { return value < 256; });
    });
    std::vector<std::uint8_t> colours;
    for (std::size_t i = 0; i < count; ++i) {
      for (auto const* part : parts) colours.push_back(static_cast<std::uint8_t>(small ? part[i] : part[i] >> 8));
    }
    return colours;
  }

  std::size_t directory() const { return static_cast<std::size_t>(libtiff().TIFFCurrentDirOffset(tiff_)); }

  Error error(char const* name) const {
    if (messages_.is_about_memory()) return no_memory_for_decoding(name);
    return {ErrorCode::input, "%s: damaged TIFF file: %s", name,
            messages_.error[0] != '\0' ? messages_.error : "libtiff cannot read it"};
  }
  TiffMessages const& messages() const { return messages_; }

 private:
  mirnet::Result<void> choose_colours(char const* name, TiffLayout& layout) {
    auto const too_few = [&] {
      return Error(ErrorCode::input, "%s: damaged TIFF file: %d samples a pixel are too few for its colours", name,
                   int{layout.samples});
    };
    switch (layout.photometric) {
      case PHOTOMETRIC_MINISWHITE: layout.colours = Colours::white_is_zero; return {};
      case PHOTOMETRIC_MINISBLACK: return {};
      case PHOTOMETRIC_PALETTE: layout.colours = Colours::palette; return {};
      case PHOTOMETRIC_RGB: layout.colour_samples = 3; break;
      case PHOTOMETRIC_SEPARATED: {
        std::uint16_t inks = INKSET_CMYK;
        libtiff().TIFFGetFieldDefaulted(tiff_, TIFFTAG_INKSET, &inks);
        if (inks != INKSET_CMYK) {
          return Error(ErrorCode::input, "%s: a TIFF file for other inks than CMYK", name);
        }
        layout.colours = Colours::cmyk;
        layout.colour_samples = 4;
        break;
      }
      case PHOTOMETRIC_YCBCR:
        layout.colour_samples = 3;
        if (layout.compression == COMPRESSION_JPEG && layout.planes == PLANARCONFIG_CONTIG) {
          libtiff().TIFFSetField(tiff_, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        } else {
          layout.colours = Colours::by_libtiff;
        }
        break;
      default:
        return Error(ErrorCode::input,
                     "%s: a TIFF file with samples of kind %d (its photometric interpretation), which is not read",
                     name, int{layout.photometric});
    }
    if (layout.samples < layout.colour_samples) return too_few();
    if (layout.colours != Colours::by_libtiff) return {};
    char why[1024] = "";
    if (layout.samples != 3 || layout.bits != 8 || libtiff().TIFFRGBAImageOK(tiff_, why) != 1) {
      return Error(ErrorCode::input, "%s: a TIFF file in YCbCr with %d samples of %d bits, which is not read%s%s", name,
                   int{layout.samples}, int{layout.bits}, why[0] != '\0' ? ": " : "", why);
    }
    return {};
  }

  void choose_alpha(TiffLayout& layout, std::vector<std::string>& warnings) {
    std::uint16_t count = 0, *kinds = nullptr;
    bool const says = libtiff().TIFFGetField(tiff_, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1;
    int const extra = layout.samples - layout.colour_samples;
    for (int i = 0; says && i < std::min<int>(count, extra) && layout.alpha < 0; ++i) {
      if (kinds[i] != EXTRASAMPLE_ASSOCALPHA && kinds[i] != EXTRASAMPLE_UNASSALPHA) continue;
      layout.alpha = layout.colour_samples + i;
      layout.premultiplied = kinds[i] == EXTRASAMPLE_ASSOCALPHA;
    }
    if (!says && extra == 1) layout.alpha = layout.colour_samples;  // old writers did not say what it is
    int others = extra - (layout.alpha >= 0 ? 1 : 0);
    if (layout.colours == Colours::cmyk && layout.alpha >= 0) {
      layout.alpha = -1;
      warnings.emplace_back("the transparency of a CMYK picture is left out");
    }
    if (others > 0) warnings.emplace_back("channels beside colours and transparency are left out");
  }

  bool fail(char const* message) {
    std::snprintf(messages_.error, sizeof messages_.error, "%s", message);
    return false;
  }

  /// Copies pixels to an image, as its samples; each pixel of `from` has samples from `first` on.
  template <class T>
  static void spread(TiffLayout const& layout, std::byte const* from, std::size_t pixels, int first, int samples,
                     T* to) {
    auto const channels = static_cast<std::size_t>(layout.channels());
    if (layout.bits == 8 * sizeof(T) && static_cast<std::size_t>(samples) == channels) {
      std::memcpy(to, from, pixels * channels * sizeof(T));
      return;
    }
    auto const most = (1u << layout.bits % 32) - 1;
    std::size_t i = 0;
    for (std::size_t x = 0; x < pixels; ++x) {
      for (int s = first; s < first + samples; ++s, ++i) {
        int const channel = layout.channel_of(s);
        if (channel < 0) continue;
        T& value = to[x * channels + static_cast<std::size_t>(channel)];
        if (layout.bits == 8 * sizeof(T)) {
          std::memcpy(&value, from + i * sizeof(T), sizeof(T));
        } else if constexpr (sizeof(T) <= 2) {
          auto const bits = packed(from, i * layout.bits, layout.bits);
          bool const index = layout.colours == Colours::palette && channel == 0;
          constexpr unsigned white = sizeof(T) == 1 ? 255 : 65535;
          value = static_cast<T>(index ? bits : (bits * white + most / 2) / most);
        }
      }
    }
  }

  /// A number of up to 16 bits. There are two bytes more than have numbers.
  static unsigned packed(std::byte const* from, std::size_t at, unsigned bits) {
    from += at / 8;
    auto const three = std::to_integer<unsigned>(from[0]) << 16 | std::to_integer<unsigned>(from[1]) << 8 |
                       std::to_integer<unsigned>(from[2]);
    return three >> (24 - at % 8 - bits) & ((1u << bits) - 1);
  }

  template <class T>
  bool read_samples(TiffLayout const& layout, Image& image) {
    bool const separate = layout.separate();
    int const together = separate ? 1 : layout.samples;
    for (int plane = 0; plane < (separate ? layout.samples : 1); ++plane) {
      if (separate && layout.channel_of(plane) < 0) continue;
      bool const read =
          layout.tiled ? read_tiles<T>(layout, plane, together, image) : read_rows<T>(layout, plane, together, image);
      if (!read) return false;
    }
    return true;
  }

  template <class T>
  bool read_rows(TiffLayout const& layout, int plane, int together, Image& image) {
    std::uint64_t const needed = layout.bytes_of(std::uint64_t{layout.width} * static_cast<unsigned>(together));
    std::uint64_t const size = libtiff().TIFFScanlineSize64(tiff_);
    if (size < needed || size > 4 * needed + 64) return fail("rows of another length than its samples take");
    Bytes row(static_cast<std::size_t>(size) + 2);
    auto* to = image.samples<T>().data();
    for (std::uint32_t y = 0; y < layout.height; ++y) {
      if (libtiff().TIFFReadScanline(tiff_, row.data(), y, static_cast<std::uint16_t>(plane)) != 1) return false;
      spread(layout, row.data(), layout.width, plane, together, to);
      to += std::size_t{layout.width} * static_cast<std::size_t>(layout.channels());
    }
    return true;
  }

  template <class T>
  bool read_tiles(TiffLayout const& layout, int plane, int together, Image& image) {
    auto const [width, height] = std::pair(layout.tile_width, layout.tile_height);
    // A small picture may be in a larger tile, but not in one of any size.
    constexpr std::uint64_t usual = 1 << 22;
    std::uint64_t const pixels = std::uint64_t{width} * height;
    if (pixels == 0 || pixels > std::max(usual, 4 * static_cast<std::uint64_t>(image.pixels()))) {
      return fail("tiles of a size that the picture does not need");
    }
    std::uint64_t const row = libtiff().TIFFTileRowSize64(tiff_), size = libtiff().TIFFTileSize64(tiff_);
    std::uint64_t const needed = layout.bytes_of(std::uint64_t{width} * static_cast<unsigned>(together));
    if (row < needed || row > 4 * needed + 64 || size < row * height || size > row * height + 64) {
      return fail("tiles of another size than their samples take");
    }
    Bytes tile(static_cast<std::size_t>(size) + 2);
    auto const channels = static_cast<std::size_t>(layout.channels());
    for (std::uint32_t y = 0; y < layout.height; y += std::min(height, layout.height - y)) {
      for (std::uint32_t x = 0; x < layout.width; x += std::min(width, layout.width - x)) {
        if (libtiff().TIFFReadTile(tiff_, tile.data(), x, y, 0, static_cast<std::uint16_t>(plane)) < 0) return false;
        auto const columns = std::min(width, layout.width - x), rows = std::min(height, layout.height - y);
        for (std::uint32_t line = 0; line < rows; ++line) {
          spread(layout, tile.data() + line * row, columns, plane, together,
                 image.samples<T>().data() + (std::size_t{y + line} * layout.width + x) * channels);
        }
      }
    }
    return true;
  }

  bool read_by_libtiff(TiffLayout const& layout, Image& image) {
    auto packed_pixels = Image::create(image.width(), image.height(), 4, SampleType::u8);
    if (!packed_pixels) return fail("no memory is left");
    auto* const pixels = reinterpret_cast<std::uint32_t*>(packed_pixels->bytes().data());
    if (libtiff().TIFFReadRGBAImageOriented(tiff_, layout.width, layout.height, pixels, layout.orientation, 1) != 1)
      return false;
    auto* to = image.samples<std::uint8_t>().data();
    for (Index i = 0; i < image.pixels(); ++i) {
      *to++ = static_cast<std::uint8_t>(TIFFGetR(pixels[i]));
      *to++ = static_cast<std::uint8_t>(TIFFGetG(pixels[i]));
      *to++ = static_cast<std::uint8_t>(TIFFGetB(pixels[i]));
    }
    return true;
  }

  View file_;
  toff_t at_ = 0;
  TIFF* tiff_ = nullptr;
  TiffMessages messages_;
};

/// Black and white exchanged.
template <class T>
void invert(Image& image) {
  auto const samples = image.samples<T>();
  auto const channels = static_cast<std::size_t>(image.channels());
  constexpr T white = mirnet::from_unit<T>(1.0f);
  for (std::size_t i = 0; i < samples.size(); i += channels) samples[i] = static_cast<T>(white - samples[i]);
}

/// Colours that were multiplied by alpha, divided by it.
template <class T>
void divide_by_alpha(Image& image) {
  auto const samples = image.samples<T>();
  auto const channels = static_cast<std::size_t>(image.channels());
  for (std::size_t i = 0; i < samples.size(); i += channels) {
    T const alpha = samples[i + channels - 1];
    for (std::size_t c = i; c + 1 < i + channels; ++c) {
      if constexpr (std::is_same_v<T, float>) {
        samples[c] = alpha > 0 ? samples[c] / alpha : 0.0f;
      } else {
        constexpr std::uint64_t white = sizeof(T) == 1 ? 255 : 65535;
        auto const value = alpha == 0 ? 0 : (samples[c] * white + alpha / 2) / alpha;
        samples[c] = static_cast<T>(std::min(white, value));
      }
    }
  }
}

/// Ink to light; 0 is no ink.
template <class T>
void cmyk_to_rgb(Image const& cmyk, Image& rgb) {
  constexpr std::uint64_t white = sizeof(T) == 1 ? 255 : 65535;
  auto const* from = cmyk.samples<T>().data();
  auto* to = rgb.samples<T>().data();
  for (Index i = 0; i < rgb.pixels(); ++i, from += 4, to += 3) {
    for (int c = 0; c < 3; ++c) to[c] = static_cast<T>(((white - from[c]) * (white - from[3]) + white / 2) / white);
  }
}

mirnet::Result<void> check_floats(Image const& image, char const* name, std::vector<std::string>& warnings) {
  float most = 0, least = 0;
  for (float const value : image.samples<float>()) {
    if (!std::isfinite(value)) return Error(ErrorCode::input, "%s: a sample is not a finite number", name);
    most = std::max(most, value);
    least = std::min(least, value);
  }
  constexpr float brightest = 100;
  if (most > brightest || least < -brightest) {
    return Error(ErrorCode::input, "%s: floats from %g to %g; expected a picture whose white is 1", name,
                 static_cast<double>(least), static_cast<double>(most));
  }
  if (most > 1 || least < 0) warnings.emplace_back("floats below black (0) or above white (1) may be cut off");
  return {};
}

/// Makes RGB or gray of the samples that the file has.
mirnet::Result<Image> to_light(TiffReader& reader, TiffLayout const& layout, Image image, char const* name,
                               Decoded& decoded) {
  switch (layout.colours) {
    case Colours::white_is_zero:
      image.visit([&](auto samples) { invert<typename decltype(samples)::value_type>(image); });
      break;
    case Colours::palette: {
      auto const palette = reader.palette(layout);
      if (palette.empty()) return Error(ErrorCode::input, "%s: damaged TIFF file: its palette is missing", name);
      bool const has_alpha = layout.alpha >= 0;
      auto coloured = Image::create(image.width(), image.height(), has_alpha ? 4 : 3, SampleType::u8);
      if (!coloured) return coloured;
      auto const* from = image.samples<std::uint8_t>().data();
      auto* to = coloured->samples<std::uint8_t>().data();
      for (Index i = 0; i < image.pixels(); ++i) {
        std::copy_n(palette.data() + std::size_t{3} * *from++, 3, to);
        to += 3;
        if (has_alpha) *to++ = *from++;
      }
      image = *std::move(coloured);
      break;
    }
    case Colours::cmyk: {
      auto rgb = Image::create(image.width(), image.height(), 3, image.type());
      if (!rgb) return rgb;
      if (image.type() == SampleType::u8) {
        cmyk_to_rgb<std::uint8_t>(image, *rgb);
      } else {
        cmyk_to_rgb<std::uint16_t>(image, *rgb);
      }
      image = *std::move(rgb);
      decoded.warnings.emplace_back("a CMYK picture, converted to RGB without its colour profile");
      decoded.metadata.icc.clear();
      break;
    }
    case Colours::plain:
    case Colours::by_libtiff: break;
  }
  if (layout.premultiplied && layout.alpha >= 0) {
    image.visit([&](auto samples) { divide_by_alpha<typename decltype(samples)::value_type>(image); });
  }
  return image;
}

/// Without the zeros that fill the last number of 32 bits where the records are stored as such.
void cut_padding(Bytes& iptc) {
  constexpr std::byte mark{0x1C};
  std::size_t at = 0;
  while (iptc.size() - at >= 5 && iptc[at] == mark) {
    auto const length = mirnet::load_big<std::uint16_t>(&iptc[at + 3]);
    if (length > 0x7FFF || length > iptc.size() - at - 5) return;  // of the long kind, or cut off: all stays
    at += 5 + std::size_t{length};
  }
  bool const padded = at > 0 && iptc.size() - at < 4 &&
                      std::all_of(iptc.begin() + static_cast<std::ptrdiff_t>(at), iptc.end(),
                                  [](std::byte byte) { return byte == std::byte{0}; });
  if (padded) iptc.resize(at);
}

Metadata read_metadata(View file, std::size_t directory) {
  Metadata found;
  auto const structure = TiffStructure::open_file(file);
  if (!structure) return found;
  auto const bytes_of = [&](std::uint16_t tag) {
    auto const entry = structure->find(directory, tag);
    auto const bytes = entry ? structure->bytes_of(*entry) : View();
    return bytes.size() <= most_metadata ? Bytes(bytes.begin(), bytes.end()) : Bytes();
  };
  found.icc = bytes_of(tiff_tag::icc);
  found.xmp = bytes_of(tiff_tag::xmp);
  found.iptc = bytes_of(tiff_tag::iptc);
  auto const iptc = structure->find(directory, tiff_tag::iptc);
  if (iptc && iptc->type == tiff_type::u32) cut_padding(found.iptc);
  if (found.iptc.empty()) found.iptc = iptc_of_resources(bytes_of(tiff_tag::photoshop));
  found.exif = exif_of(description_of(*structure, directory), structure->little());
  return found;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

struct TiffFormat {
  TiffFormat() = default;
  TiffFormat(TiffFormat const&) = delete;
  TiffFormat& operator=(TiffFormat const&) = delete;
  ~TiffFormat() {
    if (tiff != nullptr) libtiff().TIFFClose(tiff);
  }

  void prepare(Metadata const& metadata) {
    // The file has the byte order of the EXIF data, whose makers' notes may rely on it.
    auto const exif = TiffStructure::open(metadata.exif);
    if (exif) {
      kind.little = exif->little();
      added = description_of(*exif, exif->first_directory());
    }
    // Of these, libtiff writes what is true of this file.
    std::erase_if(added.fields, [&](TiffField const& field) {
      bool const resolution = field.tag == tiff_tag::x_resolution || field.tag == tiff_tag::y_resolution ||
                              field.tag == tiff_tag::resolution_unit;
      return field.tag == tiff_tag::orientation || (resolution && !metadata.resolution.empty());
    });
    auto const add = [&](std::uint16_t tag, std::uint16_t type, Bytes bytes) {
      auto const count = bytes.size() / TiffStructure::size_of(type);
      if (count > 0) added.fields.push_back({tag, type, count, std::move(bytes)});
    };
    add(tiff_tag::xmp, tiff_type::byte, metadata.xmp);
    add(tiff_tag::icc, tiff_type::undefined, metadata.icc);
    // Most readers expect numbers of 32 bits. Records that are damaged would not come back from these.
    auto padded = metadata.iptc;
    padded.resize((padded.size() + 3) / 4 * 4);
    auto back = padded;
    cut_padding(back);
    if (back == metadata.iptc) {
      add(tiff_tag::iptc, tiff_type::u32, std::move(padded));
    } else {
      add(tiff_tag::iptc, tiff_type::undefined, metadata.iptc);
    }

    auto const& layout = target.layout;
    constexpr double most_in_32_bits = 3.8e9;  // pixels that compress badly become a little more
    kind.big = static_cast<double>(layout.row_bytes()) * static_cast<double>(layout.height) > most_in_32_bits;
    constexpr Index usual_strip = 1 << 18;
    strip_rows = std::clamp(usual_strip / layout.row_bytes(), Index{1}, layout.height);
    strip.resize(static_cast<std::size_t>(strip_rows * layout.row_bytes()));
  }

  bool begin(Metadata const& metadata) {
    auto const read = [](thandle_t self, void* to, tmsize_t size) -> tmsize_t {
      auto& format = *static_cast<TiffFormat*>(self);
      auto const file = std::as_const(format.target.file).bytes();
      auto const start = std::min(format.at, file.size());
      auto const count = std::min(static_cast<std::size_t>(std::max<tmsize_t>(size, 0)), file.size() - start);
      if (count > 0) std::memcpy(to, file.data() + start, count);
      format.at += count;
      return static_cast<tmsize_t>(count);
    };
    auto const write = [](thandle_t self, void* from, tmsize_t size) -> tmsize_t {
      auto& format = *static_cast<TiffFormat*>(self);
      return format.put({static_cast<std::byte const*>(from), static_cast<std::size_t>(size)}) ? size : -1;
    };
    auto const seek = [](thandle_t self, toff_t offset, int whence) -> toff_t {
      auto& format = *static_cast<TiffFormat*>(self);
      auto const size = std::as_const(format.target.file).bytes().size();
      format.at = static_cast<std::size_t>(sought(format.at, size, offset, whence));
      return format.at;
    };
    auto const size = [](thandle_t self) -> toff_t {
      return std::as_const(static_cast<TiffFormat*>(self)->target.file).bytes().size();
    };
    auto const map = [](thandle_t, void**, toff_t*) -> int { return 0; };
    char const mode[] = {'w', kind.little ? 'l' : 'b', kind.big ? '8' : '4', '\0'};
    tiff = open_tiff(mode, this, {read, write, seek, size, map}, messages, 0);
    if (tiff == nullptr) return failed();
    auto const& layout = target.layout;
    bool done = true;
    auto const set = [&](std::uint32_t tag, auto... values) {
      done = libtiff().TIFFSetField(tiff, tag, values...) == 1 && done;
    };
    set(TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(layout.width));
    set(TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(layout.height));
    set(TIFFTAG_BITSPERSAMPLE, static_cast<int>(8 * mirnet::sample_bytes(layout.type)));
    set(TIFFTAG_SAMPLESPERPIXEL, static_cast<int>(layout.channels));
    set(TIFFTAG_PHOTOMETRIC, layout.colours() == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
    set(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    set(TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    set(TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    set(TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
    set(TIFFTAG_ROWSPERSTRIP, static_cast<std::uint32_t>(strip_rows));
    std::uint16_t const alpha = EXTRASAMPLE_UNASSALPHA;
    if (layout.has_alpha()) set(TIFFTAG_EXTRASAMPLES, 1, &alpha);
    if (auto const& resolution = metadata.resolution; !resolution.empty()) {
      set(TIFFTAG_RESOLUTIONUNIT, resolution.per_inch ? RESUNIT_INCH : RESUNIT_NONE);
      set(TIFFTAG_XRESOLUTION, resolution.x);
      set(TIFFTAG_YRESOLUTION, resolution.y);
    }
    return done || failed();
  }

  bool write(std::byte const* rows, std::size_t count, std::size_t row) {
    for (std::size_t y = 0; y < count; ++y, rows += row) {
      std::memcpy(strip.data() + filled, rows, row);
      filled += row;
      if (filled == strip.size() && !write_strip()) return false;
    }
    return true;
  }

  bool end() {
    if (filled > 0 && !write_strip()) return false;
    if (libtiff().TIFFWriteDirectory(tiff) != 1) return failed();
    libtiff().TIFFClose(std::exchange(tiff, nullptr));
    return add_metadata();
  }

  EncodingTarget target{};
  TiffMessages messages;
  TIFF* tiff = nullptr;
  std::size_t at = 0;  ///< where libtiff writes next
  TiffKind kind{true, false};
  TiffDirectory added;  ///< the entries that libtiff does not write
  Bytes strip;          ///< rows that wait until it is full
  Index strip_rows = 1;
  std::size_t filled = 0;
  std::uint32_t strips = 0;

 private:
  bool failed() {
    if (messages.is_about_memory()) target.memory_is_left = false;
    target.say(messages.error[0] != '\0' ? messages.error : "libtiff gives no reason");
    return false;
  }

  bool write_strip() {
    auto const size = static_cast<tmsize_t>(std::exchange(filled, 0));
    if (libtiff().TIFFWriteEncodedStrip(tiff, strips++, strip.data(), size) == size) return true;
    return failed();
  }

  /// Writes at `at`: over what is there, and on from the end.
  bool put(View bytes) noexcept {
    static constexpr std::byte zeros[16] = {};
    while (target.file.bytes().size() < at) {
      if (!target.append(zeros, std::min(sizeof zeros, at - target.file.bytes().size()))) return false;
    }
    auto const over = std::min(bytes.size(), target.file.bytes().size() - at);
    if (over > 0) std::memcpy(target.file.bytes().data() + at, bytes.data(), over);
    at += bytes.size();
    return over == bytes.size() || target.append(bytes.data() + over, bytes.size() - over);
  }

  /// Puts a directory with all entries into the place of libtiff's, which is the end of the file.
  bool add_metadata() {
    if (added.empty()) return true;
    auto const structure = TiffStructure::open_file(std::as_const(target.file).bytes());
    if (!structure) return failed();
    at = structure->first_directory();
    auto directory = fields_of(*structure, at);
    for (auto& field : added.fields) {
      if (!directory.has(field.tag)) directory.fields.push_back(std::move(field));
    }
    directory.inner = std::move(added.inner);
    return put(directory_bytes(std::move(directory), kind, at));
  }
};

/// The number in "LIBTIFF, Version 4.5.0", which a line on the authors follows.
std::string version_in(std::string_view text) {
  constexpr std::string_view mark = "Version ";
  auto const begin = text.find(mark) + mark.size();
  return std::string(text.substr(begin, text.find('\n', begin) - begin));
}

}  // namespace

mirnet::Result<void> load_tiff(char const* name) { return libtiff().library.check(name, "TIFF"); }

LibraryVersions tiff_versions() {
  auto const built = version_in(TIFFLIB_VERSION_STR);
  if (libtiff().library.fault()) return {built, {}};
  return {built, version_in(libtiff().TIFFGetVersion())};
}

mirnet::Result<Decoded> decode_tiff(View file, char const* name, mirnet::ReadOptions const& options) {
  if (auto const loaded = load_tiff(name); !loaded) return loaded.error();
  TiffReader reader(file);
  if (!reader.open()) return reader.error(name);
  Decoded decoded;
  if (!reader.choose_page(decoded.warnings)) {
    if (reader.messages().error[0] != '\0') return reader.error(name);
    return Error(ErrorCode::input,
                 "%s: a TIFF file with a small copy of a picture and without the picture; it may be a camera's", name);
  }
  auto const layout = reader.layout(name, decoded.warnings);
  if (!layout) return layout.error();
  auto const size = mirnet::detail::check_size(name, "TIFF", layout->width, layout->height, options);
  if (!size) return size.error();
  decoded.metadata = read_metadata(file, reader.directory());
  decoded.metadata.orientation = layout->orientation;

  auto image = Image::create(size->width, size->height, layout->channels(), layout->type());
  if (!image) return image.error();
  if (!reader.read_pixels(*layout, *image)) return reader.error(name);
  if (reader.messages().is_about_the_end()) {
    return ends_before_pixels(name, "TIFF");
  }
  std::string_view const warning = reader.messages().warning;
  bool const damaged = !warning.empty() && !warning.starts_with("Old-style LZW");
  if (damaged) decoded.warnings.push_back("its pixels may be damaged: " + std::string(warning));
  image = to_light(reader, *layout, *std::move(image), name, decoded);
  if (!image) return image.error();
  decoded.image = *std::move(image);
  if (decoded.image.type() == SampleType::f32) {
    if (auto const sane = check_floats(decoded.image, name, decoded.warnings); !sane) return sane.error();
  }
  return decoded;
}

mirnet::Result<std::unique_ptr<RowEncoder>> encode_tiff(ImageLayout const& layout, EncodeOptions const&,
                                                        Metadata const& metadata) {
  MIRNET_ASSERT(layout.type != SampleType::f32);
  if (auto const loaded = load_tiff("the result"); !loaded) {
    return Error(ErrorCode::output, "%s", loaded.error().message());
  }
  return start_rows<TiffFormat>(layout, metadata);
}

}  // namespace cli

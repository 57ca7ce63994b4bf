#include "formats.hpp"

#include <algorithm>
#include <array>

#include <mirnet/io/image_file.hpp>

#include "../colour.hpp"
#include "raw_detection.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

template <mirnet::ImageFormat format>
bool is(View start) {
  return mirnet::image_format(start) == format;
}
bool is_jpeg(View start) { return mirnet::detail::starts_with(start, "\xFF\xD8\xFF"); }
bool never(View) { return false; }

using mirnet::detail::starts_with;

bool is_tiff(View start) {
  return starts_with(start, {"II*\0", 4}) || starts_with(start, {"MM\0*", 4}) || starts_with(start, {"II+\0", 4}) ||
         starts_with(start, {"MM\0+", 4});
}
bool is_webp(View start) {
  return starts_with(start, "RIFF") && start.size() >= 12 && starts_with(start.subspan(8), "WEBP");
}
bool is_jxl(View start) {
  return starts_with(start, "\xFF\x0A") || starts_with(start, {"\0\0\0\x0CJXL \r\n\x87\n", 12});
}

/// Whether a file of ISO's base media format names a brand (ISO/IEC 14496-12, 4.3).
bool has_brand(View start, std::initializer_list<std::string_view> brands) {
  if (start.size() < 12 || !starts_with(start.subspan(4), "ftyp")) return false;
  // The box as a whole: what it says first may be less than all.
  auto const length = std::size_t{mirnet::load_big<std::uint32_t>(start.data())};
  if (length > start.size()) return false;
  for (std::size_t at = 8; at + 4 <= length; at += at == 8 ? 8 : 4) {  // the version stands behind the first
    for (auto const brand : brands) {
      if (starts_with(start.subspan(at), brand)) return true;
    }
  }
  return false;
}
bool is_avif(View start) { return has_brand(start, {"avif", "avis"}); }
bool is_heic(View start) { return has_brand(start, {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"}); }

constexpr std::string_view png_extensions[] = {"png"}, jpeg_extensions[] = {"jpg", "jpeg", "jpe", "jfif"},
                           tiff_extensions[] = {"tif", "tiff"}, webp_extensions[] = {"webp"},
                           jxl_extensions[] = {"jxl"}, avif_extensions[] = {"avif"},
                           heic_extensions[] = {"heic", "heif"},
                           raw_extensions[] = {"dng", "cr2", "cr3", "nef", "nrw", "arw", "raf", "orf", "rw2",
                                               "pef", "srw", "3fr", "erf", "kdc", "mrw", "x3f", "iiq"},
                           bmp_extensions[] = {"bmp"}, tga_extensions[] = {"tga"}, pgm_extensions[] = {"pgm"},
                           ppm_extensions[] = {"ppm"}, pnm_extensions[] = {"pnm"}, pam_extensions[] = {"pam"},
                           pbm_extensions[] = {"pbm"}, pfm_extensions[] = {"pfm"};

// Null in a build without the library.
#if MIRNET_HAS_TIFF
#define MIRNET_WITH_TIFF(codec) codec
#else
#define MIRNET_WITH_TIFF(codec) nullptr
#endif
#if MIRNET_HAS_WEBP
#define MIRNET_WITH_WEBP(codec) codec
#else
#define MIRNET_WITH_WEBP(codec) nullptr
#endif
#if MIRNET_HAS_JXL
#define MIRNET_WITH_JXL(codec) codec
#else
#define MIRNET_WITH_JXL(codec) nullptr
#endif
#if MIRNET_HAS_AVIF
#define MIRNET_WITH_AVIF(codec) codec
#else
#define MIRNET_WITH_AVIF(codec) nullptr
#endif
#if MIRNET_HAS_RAW
#define MIRNET_WITH_RAW(codec) codec
#else
#define MIRNET_WITH_RAW(codec) nullptr
#endif

constexpr double coefficient = 2;  // libjpeg keeps what it compresses until it has counted how often each value occurs
constexpr std::size_t most_in_a_jpeg_segment = 65533 - xmp_mark.size();

constexpr Holds everything = {.icc = true, .exif = true, .xmp = true, .iptc = true, .resolution = true};

constexpr FormatTraits table[] = {
    {.format = Format::png,
     .name = "PNG",
     .extensions = png_extensions,
     .matches = is<mirnet::ImageFormat::png>,
     .decode = decode_png,
     .encode = encode_png,
     .result = Format::png,
     .deepest = SampleType::u16,
     .alpha = true,
     .holds = {.icc = true, .exif = true, .xmp = true, .iptc = true, .resolution = true, .colour_tags = true}},
    // The format has room for sides of 65535, but libjpeg, with which most programs read it, stops earlier.
    {.format = Format::jpeg,
     .name = "JPEG",
     .extensions = jpeg_extensions,
     .matches = is_jpeg,
     .decode = decode_jpeg,
     .encode = encode_jpeg,
     .result = Format::jpeg,
     .longest_side = 65500,
     .longest_segment = most_in_a_jpeg_segment,
     .loss = Loss::always,
     .bytes_a_sample = coefficient,
     .holds = {.icc = true, .exif = true, .xmp = true, .iptc = true, .resolution = true, .other_profile = true}},
    // Cameras' raw files may look like TIFF.
    {.format = Format::raw,
     .name = "RAW",
     .extensions = raw_extensions,
     .matches = is_raw,
     .decode = MIRNET_WITH_RAW(decode_raw),
     .result = Format::tiff,
     .library = "LibRaw",
     .load = MIRNET_WITH_RAW(load_raw)},
    {.format = Format::tiff,
     .name = "TIFF",
     .extensions = tiff_extensions,
     .matches = is_tiff,
     .decode = MIRNET_WITH_TIFF(decode_tiff),
     .encode = MIRNET_WITH_TIFF(encode_tiff),
     .result = Format::tiff,
     .library = "libtiff",
     .load = MIRNET_WITH_TIFF(load_tiff),
     .deepest = SampleType::u16,
     .alpha = true,
     .holds = everything},
    {.format = Format::webp,
     .name = "WebP",
     .extensions = webp_extensions,
     .matches = is_webp,
     .decode = MIRNET_WITH_WEBP(decode_webp),
     .encode = MIRNET_WITH_WEBP(encode_webp),
     .result = Format::webp,
     .library = "libwebp",
     .alpha = true,
     .gray = false,
     .longest_side = 16383,
     .loss = Loss::wanted,
     .bytes_a_sample = 12,
     .holds = {.icc = true, .exif = true, .xmp = true}},
    {.format = Format::jxl,
     .name = "JPEG XL",
     .extensions = jxl_extensions,
     .matches = is_jxl,
     .decode = MIRNET_WITH_JXL(decode_jxl),
     .encode = MIRNET_WITH_JXL(encode_jxl),
     .result = Format::jxl,
     .library = "libjxl",
     .load = MIRNET_WITH_JXL(load_jxl),
     .deepest = SampleType::u16,
     .alpha = true,
     .loss = Loss::wanted,
     .bytes_a_sample = 20,
     .holds = {.icc = true, .exif = true, .xmp = true},
     .takes_profile = MIRNET_WITH_JXL(jxl_takes_profile)},
    {.format = Format::avif,
     .name = "AVIF",
     .extensions = avif_extensions,
     .matches = is_avif,
     .decode = MIRNET_WITH_AVIF(decode_avif),
     .result = Format::jpeg,
     .library = "libavif",
     .load = MIRNET_WITH_AVIF(load_avif)},
    {.format = Format::heic,
     .name = "HEIC",
     .extensions = heic_extensions,
     .matches = is_heic,
     .result = Format::jpeg,
     .library = "libheif",
     .plugin = "mirnet-heic"},
    {.format = Format::bmp,
     .name = "BMP",
     .extensions = bmp_extensions,
     .matches = is<mirnet::ImageFormat::bmp>,
     .decode = decode_simple,
     .encode = encode_bmp,
     .result = Format::bmp,
     .gray = false,
     .bytes_a_sample = 2},
    {.format = Format::tga,
     .name = "TGA",
     .extensions = tga_extensions,
     .matches = is<mirnet::ImageFormat::tga>,
     .decode = decode_simple,
     .result = Format::png},
    {.format = Format::pnm,
     .name = "PNM",
     .extensions = pnm_extensions,
     .matches = is<mirnet::ImageFormat::pnm>,
     .decode = decode_simple,
     .encode = encode_pnm,
     .result = Format::pnm,
     .deepest = SampleType::u16,
     .bytes_a_sample = 4},
    {.format = Format::pam,
     .name = "PAM",
     .extensions = pam_extensions,
     .matches = is<mirnet::ImageFormat::pam>,
     .decode = decode_simple,
     .encode = encode_pam,
     .result = Format::pam,
     .deepest = SampleType::u16,
     .alpha = true,
     .bytes_a_sample = 4},
    {.format = Format::pbm,
     .name = "PBM",
     .extensions = pbm_extensions,
     .matches = never,
     .decode = decode_simple,
     .result = Format::pgm},
    {.format = Format::pgm,
     .name = "PGM",
     .extensions = pgm_extensions,
     .matches = never,
     .decode = decode_simple,
     .encode = encode_pgm,
     .result = Format::pgm,
     .deepest = SampleType::u16,
     .bytes_a_sample = 4},
    {.format = Format::ppm,
     .name = "PPM",
     .extensions = ppm_extensions,
     .matches = never,
     .decode = decode_simple,
     .encode = encode_ppm,
     .result = Format::ppm,
     .deepest = SampleType::u16,
     .gray = false,
     .bytes_a_sample = 4},
    {.format = Format::pfm,
     .name = "PFM",
     .extensions = pfm_extensions,
     .matches = is<mirnet::ImageFormat::pfm>,
     .decode = decode_simple,
     .encode = encode_pfm,
     .result = Format::pfm,
     .deepest = SampleType::f32,
     .bytes_a_sample = 8},
};

std::string joined(std::vector<std::string> const& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

long long number(Index value) { return static_cast<long long>(value); }

}  // namespace

std::span<FormatTraits const> formats() { return table; }

FormatTraits const& traits(Format format) {
  return *std::find_if(std::begin(table), std::end(table), [=](auto const& row) { return row.format == format; });
}

FormatTraits const* format_of(View start) {
  auto const* const found =
      std::find_if(std::begin(table), std::end(table), [=](auto const& row) { return row.matches(start); });
  return found == std::end(table) ? nullptr : found;
}

bool shows_format(View start) {
  constexpr std::size_t longest_mark = 32;
  return start.size() >= longest_mark && format_of(start) != nullptr;
}

FormatTraits const* format_named(std::string_view extension) {
  for (auto const& row : table) {
    if (std::find(row.extensions.begin(), row.extensions.end(), extension) != row.extensions.end()) return &row;
  }
  return nullptr;
}

std::string readable_names() {
  std::vector<std::string> names;
  for (auto const& row : table) {
    if (is_read(row)) names.emplace_back(row.name);
  }
  return joined(names);
}

std::string writable_names() {
  std::vector<std::string> names;
  for (auto const& row : table) {
    if (row.encode != nullptr) names.emplace_back(row.name);
  }
  return joined(names);
}

std::vector<std::string> writable_extensions() {
  std::vector<std::string> names;
  for (auto const& row : table) {
    if (row.encode == nullptr) continue;
    for (auto const extension : row.extensions) names.emplace_back(extension);
  }
  return names;
}

mirnet::Result<void> check_encodable(ImageLayout const& layout, Format format, char const* name) {
  auto const& row = traits(format);
  if (row.encode == nullptr) {
    return Error(ErrorCode::output, "%s: this build cannot write %s; it lacks %s", name, row.name,
                 row.library == nullptr ? "an encoder" : row.library);
  }
  if (row.load != nullptr) {
    if (auto const loaded = row.load(name); !loaded) return Error(ErrorCode::output, "%s", loaded.error().message());
  }
  if (layout.has_alpha() && !row.alpha) {
    std::vector<std::string> others;
    for (auto const& other : table) {
      if (other.alpha && other.encode != nullptr) others.emplace_back(other.name);
    }
    return Error(ErrorCode::output, "%s: the image has an alpha channel, which a %s does not hold; these do: %s", name,
                 row.name, joined(others).c_str());
  }
  if (format == Format::pgm && layout.colours() != 1) {
    return Error(ErrorCode::output, "%s: the image has colours, which a PGM does not hold; write a PPM", name);
  }
  if (row.longest_side > 0 && std::max(layout.width, layout.height) > row.longest_side) {
    return Error(ErrorCode::output, "%s: %lld x %lld pixels; the sides of a %s have at most %lld", name,
                 number(layout.width), number(layout.height), row.name, number(row.longest_side));
  }
  // stb_image_write counts in int, rows padded.
  constexpr double most_bmp_bytes = 1.4e9;
  if (format == Format::bmp &&
      static_cast<double>(layout.width) * 3 * static_cast<double>(layout.height) > most_bmp_bytes) {
    return Error(ErrorCode::output, "%s: %lld x %lld pixels are too many for a BMP; write a PNG", name,
                 number(layout.width), number(layout.height));
  }
  return {};
}

double encoder_bytes(ImageLayout const& layout, Format format) {
  auto const& row = traits(format);
  auto const channels = layout.channels + (row.gray || layout.colours() == 3 ? 0 : 2);
  auto const samples = static_cast<double>(layout.width) * static_cast<double>(layout.height * channels);
  return samples * (row.bytes_a_sample + 2 * static_cast<double>(mirnet::sample_bytes(layout.type)));
}

mirnet::Result<mirnet::ByteBuffer> encode(mirnet::Image const& image, Format format, EncodeOptions const& options,
                                          Metadata const& metadata) {
  auto const encoder = traits(format).encode(ImageLayout::of(image), options, metadata);
  if (!encoder) return encoder.error();
  if (auto const appended = (*encoder)->append(image.bytes()); !appended) return appended.error();
  return (*encoder)->finish();
}

Metadata what_fits(Metadata metadata, Format format, Index colours, std::vector<std::string>& warnings) {
  auto const& row = traits(format);
  if (!row.gray) colours = 3;
  std::vector<std::string> lost;
  auto const leave_out = [&](Bytes& bytes, char const* what) {
    if (bytes.empty()) return;
    bytes.clear();
    lost.emplace_back(what);
  };
  // Where a format has no place for what tags say of the colours, a profile says it.
  if (metadata.icc.empty() && row.holds.icc && !row.holds.colour_tags) {
    metadata.icc = profile_of(metadata.colour, colours);
  }
  if (auto& icc = metadata.icc; !icc.empty()) {
    constexpr std::size_t header = 128, space_at = 16;
    std::string_view const text(reinterpret_cast<char const*>(icc.data()), icc.size());
    auto const space = icc.size() >= header ? text.substr(space_at, 4) : std::string_view();
    if (space != "RGB " && space != "GRAY") {
      warnings.emplace_back("its colour profile is damaged or not for RGB or gray, and is left out");
      icc.clear();
    } else if ((space == "GRAY") != (colours == 1) && row.holds.icc && !row.holds.other_profile) {
      warnings.push_back(std::string("its colour profile is for ") + (colours == 1 ? "RGB" : "gray") +
                         ", its pixels are " + (colours == 1 ? "gray" : "RGB") + "; the profile is left out, as a " +
                         row.name + " cannot hold both");
      icc.clear();
    } else if (row.holds.icc && row.takes_profile != nullptr && !row.takes_profile(icc, colours)) {
      warnings.push_back(std::string("its colour profile is not one that ") + row.library +
                         " understands, and is left out");
      icc.clear();
    }
  }
  if (!row.holds.icc) leave_out(metadata.icc, "the colour profile");
  if (!row.holds.exif) leave_out(metadata.exif, "EXIF data");
  if (!row.holds.xmp) leave_out(metadata.xmp, "XMP data");
  if (!row.holds.iptc) leave_out(metadata.iptc, "IPTC data");
  if (!row.holds.resolution) {
    auto const resolution = std::exchange(metadata.resolution, {});
    auto const kept = exif_resolution(metadata.exif);
    bool const same = kept.x == resolution.x && kept.y == resolution.y && kept.per_inch == resolution.per_inch;
    if (!resolution.empty() && !same) lost.emplace_back("the resolution");
  }
  if (!row.holds.colour_tags && !metadata.colour.empty()) {
    // sRGB is what everybody takes a file for that says nothing.
    bool const srgb = metadata.colour.intent >= 0;
    if (!srgb && metadata.icc.empty()) lost.emplace_back("what it says of its colours");
    metadata.colour = {};
  }
  if (!lost.empty()) warnings.push_back(std::string("a ") + row.name + " does not hold " + joined(lost));
  if (row.longest_segment > 0) {
    std::vector<std::string> too_long;
    for (auto const& [bytes, what] :
         {std::pair(&metadata.exif, "EXIF"), std::pair(&metadata.xmp, "XMP"), std::pair(&metadata.iptc, "IPTC")}) {
      if (bytes->size() <= row.longest_segment) continue;
      bytes->clear();
      too_long.emplace_back(what);
    }
    if (!too_long.empty()) {
      warnings.push_back("its " + joined(too_long) + " data is longer than the " + std::to_string(row.longest_segment) +
                         " bytes that a " + row.name + " holds, and is left out");
    }
  }
  return metadata;
}

}  // namespace cli

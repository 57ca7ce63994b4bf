// PNG, by libpng. Of the chunks beside the pixels, libpng hands over the bytes: it would leave out what it does not
// like, such as colour profiles that photographs do have.
#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include <png.h>
#include <zlib.h>

#include "codec.hpp"
#include "png_memory.hpp"
#include "row_encoder.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;
using mirnet::detail::starts_with;

std::uint32_t big(std::byte const* at) { return mirnet::load_big<std::uint32_t>(at); }

Bytes copied(View bytes) { return {bytes.begin(), bytes.end()}; }

// --- What stands in chunks -------------------------------------------------------------------------------------------

/// What a zlib stream holds, up to `most_metadata` bytes; nothing where it is damaged.
Bytes inflated(View compressed) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  Bytes result;
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  int state = Z_OK;
  while (state == Z_OK && result.size() < most_metadata) {
    std::byte piece[1 << 14];
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    state = inflate(&stream, Z_NO_FLUSH);
    result.insert(result.end(), piece, piece + (sizeof piece - stream.avail_out));
  }
  inflateEnd(&stream);
  if (state == Z_MEM_ERROR) throw std::bad_alloc();
  return state == Z_STREAM_END ? result : Bytes();
}

/// The bytes behind a text that ends in a zero; nothing where there is no zero.
std::optional<std::pair<std::string_view, View>> split_at_zero(View bytes) {
  auto const zero = std::find(bytes.begin(), bytes.end(), std::byte{0});
  if (zero == bytes.end()) return {};
  auto const length = static_cast<std::size_t>(zero - bytes.begin());
  return std::pair(std::string_view(reinterpret_cast<char const*>(bytes.data()), length), bytes.subspan(length + 1));
}

/// ImageMagick's way to keep other formats' metadata: a line with its kind, one with its length, and hexadecimal
/// digits.
Bytes raw_profile(View text) {
  std::string_view rest(reinterpret_cast<char const*>(text.data()), text.size());
  auto const skip = [&] {
    while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front()))) rest.remove_prefix(1);
  };
  skip();
  while (!rest.empty() && rest.front() != '\n') rest.remove_prefix(1);  // the kind
  skip();
  std::size_t length = 0;
  auto const [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
  if (error != std::errc() || length > rest.size()) return {};
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  Bytes bytes;
  bytes.reserve(length);
  while (bytes.size() < length) {
    skip();
    unsigned value = 0;
    if (rest.size() < 2) return {};
    auto const digits = std::from_chars(rest.data(), rest.data() + 2, value, 16);
    if (digits.ptr != rest.data() + 2) return {};
    bytes.push_back(static_cast<std::byte>(value));
    rest.remove_prefix(2);
  }
  return bytes;
}

constexpr std::string_view xmp_keyword = "XML:com.adobe.xmp";

/// What is read beside the pixels. A chunk's bytes are looked at when all of the file has been read.
struct Chunks {
  struct Chunk {
    std::array<char, 4> name;
    Bytes bytes;
    std::string_view name_view() const { return {name.data(), name.size()}; }
  };
  std::vector<Chunk> all;

  Metadata metadata(std::vector<std::string>& warnings) const {
    Metadata found;
    for (auto const& chunk : all) {
      auto const name = chunk.name_view();
      View const bytes(chunk.bytes);
      if (name == "iCCP" && found.icc.empty()) {
        auto const parts = split_at_zero(bytes);
        if (parts && !parts->second.empty()) found.icc = inflated(parts->second.subspan(1));
        if (found.icc.empty()) warnings.push_back("its colour profile is damaged and left out");
      } else if (name == "eXIf" && bytes.size() > 8) {
        found.exif = copied(bytes);
      } else if (name == "pHYs" && bytes.size() == 9) {
        constexpr double metres_an_inch = 0.0254;
        bool const metric = bytes[8] == std::byte{1};
        double const factor = metric ? metres_an_inch : 1;
        found.resolution = {factor * big(&bytes[0]), factor * big(&bytes[4]), metric};
      } else if (name == "sRGB" && bytes.size() == 1) {
        found.colour.intent = std::to_integer<int>(bytes[0]) & 3;
      } else if (name == "gAMA" && bytes.size() == 4) {
        found.colour.gamma = big(&bytes[0]);
      } else if (name == "cHRM" && bytes.size() == 32) {
        for (std::size_t i = 0; i < 8; ++i) found.colour.chromaticities[i] = big(&bytes[4 * i]);
      } else if (name == "cICP" && bytes.size() == 4) {
        for (std::size_t i = 0; i < 4; ++i) found.colour.cicp[i] = std::to_integer<std::uint8_t>(bytes[i]);
      } else if (name == "acTL") {
        warnings.push_back("an animation, of which the first picture is taken");
      } else if (name == "iTXt" || name == "zTXt" || name == "tEXt") {
        text(name, bytes, found);
      }
    }
    return found;
  }

 private:
  static void text(std::string_view name, View bytes, Metadata& found) {
    auto const parts = split_at_zero(bytes);
    if (!parts) return;
    auto const& [keyword, rest] = *parts;
    if (name == "iTXt") {
      // Whether it is compressed, how, a language and the keyword translated.
      if (keyword != xmp_keyword || rest.size() < 4) return;
      auto const language = split_at_zero(rest.subspan(2));
      auto const translated = language ? split_at_zero(language->second) : std::nullopt;
      if (!translated) return;
      found.xmp = rest[0] == std::byte{1} ? inflated(translated->second) : copied(translated->second);
      return;
    }
    constexpr std::string_view raw = "Raw profile type ";
    if (!keyword.starts_with(raw)) return;
    auto const kind = keyword.substr(raw.size());
    bool const known = kind == "exif" || kind == "APP1" || kind == "app1" || kind == "xmp" || kind == "iptc" ||
                       kind == "8bim" || kind == "icc" || kind == "icm";
    if (!known || rest.empty()) return;
    auto profile = name == "zTXt" ? raw_profile(inflated(rest.subspan(1))) : raw_profile(rest);
    if (starts_with(profile, exif_mark)) {
      if (found.exif.empty()) {
        found.exif.assign(profile.begin() + static_cast<std::ptrdiff_t>(exif_mark.size()), profile.end());
      }
    } else if (kind == "iptc" || kind == "8bim") {
      auto const records = iptc_of_resources(profile);
      found.iptc = records.empty() && kind == "iptc" ? std::move(profile) : records;
    } else if (kind == "icc" || kind == "icm") {
      if (found.icc.empty()) found.icc = std::move(profile);
    } else if (found.xmp.empty()) {
      // XMP in an APP1 has its name before it.
      bool const marked = starts_with(profile, xmp_mark);
      auto const skipped = static_cast<std::ptrdiff_t>(marked ? xmp_mark.size() : 0);
      if (kind == "xmp" || marked) found.xmp.assign(profile.begin() + skipped, profile.end());
    }
  }
};

/// The chunks that are handed over as they are.
constexpr char kept_chunks[] = "iCCP\0eXIf\0pHYs\0sRGB\0gAMA\0cHRM\0cICP\0acTL\0iTXt\0zTXt\0tEXt";
constexpr int kept_chunks_count = sizeof kept_chunks / 5;

// --- Reading: libpng's errors come as jumps, so nothing with a destructor may live where it is called ----------------

struct PngReader {
  PngReader() = default;
  PngReader(PngReader const&) = delete;
  PngReader& operator=(PngReader const&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }

  /// Reads up to the pixels. False where libpng has failed, and `message` says why.
  bool begin(View file) {
    rest = file;
    auto const fail = [](png_structp reader, png_const_charp text) {
      auto& self = *static_cast<PngReader*>(png_get_error_ptr(reader));
      std::snprintf(self.message, sizeof self.message, "%s", text);
      png_longjmp(reader, 1);
    };
    png = png_create_read_struct_2(
        PNG_LIBPNG_VER_STRING, this, fail, [](png_structp, png_const_charp) {}, this, take_png_memory<PngReader>,
        give_back_png_memory);
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png, most_metadata);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_ALWAYS, reinterpret_cast<png_const_bytep>(kept_chunks),
                                kept_chunks_count);
    png_set_read_user_chunk_fn(png, this, [](png_structp reader, png_unknown_chunkp chunk) {
      return static_cast<PngReader*>(png_get_user_chunk_ptr(reader))->keep(*chunk);
    });
    png_set_read_fn(png, this, [](png_structp reader, png_bytep to, std::size_t size) {
      auto& self = *static_cast<PngReader*>(png_get_io_ptr(reader));
      if (size > self.rest.size()) {
        self.ended = true;
        png_error(reader, "the end of the file");
      }
      std::memcpy(to, self.rest.data(), size);
      self.rest = self.rest.subspan(size);
    });
    png_read_info(png, info);
    width = png_get_image_width(png, info);
    height = png_get_image_height(png, info);
    // Palettes become colours, fewer than 8 bits a sample 8 of them, a transparent colour an alpha channel.
    png_set_expand(png);
    deep = png_get_bit_depth(png, info) == 16;
    if (deep && std::endian::native == std::endian::little) png_set_swap(png);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    channels = png_get_channels(png, info);
    return true;
  }

  bool read_pixels(std::byte* to) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    auto const row = png_get_rowbytes(png, info);
    for (int pass = 0; pass < passes; ++pass) {
      for (std::size_t y = 0; y < height; ++y) png_read_row(png, reinterpret_cast<png_bytep>(to + y * row), nullptr);
    }
    return true;
  }

  bool read_end() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_read_end(png, info);
    return true;
  }

  int keep(png_unknown_chunk const& chunk) noexcept {
    try {
      auto const* const from = reinterpret_cast<std::byte const*>(chunk.data);
      chunks.all.push_back({{static_cast<char>(chunk.name[0]), static_cast<char>(chunk.name[1]),
                             static_cast<char>(chunk.name[2]), static_cast<char>(chunk.name[3])},
                            {from, from + chunk.size}});
    } catch (...) {
      memory_is_left = false;
    }
    return 1;
  }

  Error error(char const* name) const {
    if (!memory_is_left) return no_memory_for_decoding(name);
    if (ended) return ends_before_pixels(name, "PNG");
    return {ErrorCode::input, "%s: damaged PNG file: %s", name, message};
  }

  png_structp png = nullptr;
  png_infop info = nullptr;
  View rest;
  Chunks chunks;
  std::size_t width = 0, height = 0;
  Index channels = 0;
  int passes = 0;
  bool deep = false, ended = false, memory_is_left = true;
  char message[256] = "";
};

// --- Writing ---------------------------------------------------------------------------------------------------------

struct PngFormat {
  PngFormat() = default;
  PngFormat(PngFormat const&) = delete;
  PngFormat& operator=(PngFormat const&) = delete;
  ~PngFormat() { png_destroy_write_struct(&png, &info); }

  bool begin(Metadata const& metadata) {
    auto const fail = [](png_structp writer, png_const_charp message) {
      static_cast<EncodingTarget*>(png_get_error_ptr(writer))->say(message);
      png_longjmp(writer, 1);
    };
    png = png_create_write_struct_2(
        PNG_LIBPNG_VER_STRING, &target, fail, [](png_structp, png_const_charp) {}, &target,
        take_png_memory<EncodingTarget>, give_back_png_memory);
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_write_fn(
        png, &target,
        [](png_structp writer, png_bytep data, std::size_t size) {
          if (!static_cast<EncodingTarget*>(png_get_io_ptr(writer))->append(data, size)) png_error(writer, "no memory");
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
    png_write_info_before_PLTE(png, info);
    write_chunks(metadata);
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

  /// Makes the bodies of the chunks. Before begin, as this takes memory that has an owner.
  void prepare(Metadata const& metadata) {
    if (!metadata.icc.empty()) {
      iccp = text_of("ICC profile");
      iccp.push_back(std::byte{0});  // compressed by zlib
      auto size = compressBound(static_cast<uLong>(metadata.icc.size()));
      auto const start = iccp.size();
      iccp.resize(start + size);
      if (compress(reinterpret_cast<Bytef*>(iccp.data() + start), &size,
                   reinterpret_cast<Bytef const*>(metadata.icc.data()),
                   static_cast<uLong>(metadata.icc.size())) != Z_OK) {
        throw std::bad_alloc();
      }
      iccp.resize(start + size);
    }
    if (!metadata.xmp.empty()) {
      xmp = text_of(xmp_keyword);
      xmp.insert(xmp.end(), 4, std::byte{0});  // not compressed, no language, no translated keyword
      xmp.insert(xmp.end(), metadata.xmp.begin(), metadata.xmp.end());
    }
    if (!metadata.iptc.empty()) {
      auto const resources = resources_of_iptc(metadata.iptc);
      std::string text = "\niptc\n" + std::to_string(resources.size());
      constexpr char digits[] = "0123456789abcdef";
      for (std::size_t i = 0; i < resources.size(); ++i) {
        if (i % 36 == 0) text += '\n';
        text += digits[std::to_integer<std::size_t>(resources[i] >> 4)];
        text += digits[std::to_integer<std::size_t>(resources[i] & std::byte{15})];
      }
      text += '\n';
      iptc = text_of("Raw profile type iptc");
      auto const bytes = std::as_bytes(std::span(text));
      iptc.insert(iptc.end(), bytes.begin(), bytes.end());
    }
  }

  EncodingTarget target{};
  png_structp png = nullptr;
  png_infop info = nullptr;
  Bytes iccp, xmp, iptc;

 private:
  /// A text with the zero that ends it.
  static Bytes text_of(std::string_view text) {
    auto const bytes = std::as_bytes(std::span(text));
    Bytes result(bytes.begin(), bytes.end());
    result.push_back(std::byte{0});
    return result;
  }

  void chunk(char const* name, View body) {
    png_write_chunk(png, reinterpret_cast<png_const_bytep>(name), reinterpret_cast<png_const_bytep>(body.data()),
                    body.size());
  }

  /// A profile says more than sRGB, gAMA and cHRM, which readers use that know no profiles (PNG, 4.3).
  void write_chunks(Metadata const& metadata) {
    auto const& colour = metadata.colour;
    std::byte body[32];
    auto const put = [&](std::size_t i, std::uint32_t value) { mirnet::store_big(body + 4 * i, value); };
    if (colour.has_cicp()) chunk("cICP", std::as_bytes(std::span(colour.cicp)));
    if (!iccp.empty()) {
      chunk("iCCP", iccp);
    } else if (colour.intent >= 0) {
      body[0] = static_cast<std::byte>(colour.intent);
      chunk("sRGB", std::span(body, 1));
    }
    if (colour.gamma != 0) {
      put(0, colour.gamma);
      chunk("gAMA", std::span(body, 4));
    }
    if (colour.has_chromaticities()) {
      for (std::size_t i = 0; i < 8; ++i) put(i, colour.chromaticities[i]);
      chunk("cHRM", std::span(body, 32));
    }
    if (!metadata.resolution.empty()) {
      constexpr double inches_a_metre = 1 / 0.0254;
      auto const& resolution = metadata.resolution;
      double const factor = resolution.per_inch ? inches_a_metre : 1;
      put(0, static_cast<std::uint32_t>(std::clamp(factor * resolution.x + 0.5, 1.0, 2147483647.0)));
      put(1, static_cast<std::uint32_t>(std::clamp(factor * resolution.y + 0.5, 1.0, 2147483647.0)));
      body[8] = static_cast<std::byte>(resolution.per_inch ? 1 : 0);
      chunk("pHYs", std::span(body, 9));
    }
    if (!metadata.exif.empty()) chunk("eXIf", metadata.exif);
    if (!xmp.empty()) chunk("iTXt", xmp);
    if (!iptc.empty()) chunk("tEXt", iptc);
  }
};

}  // namespace

mirnet::Result<Decoded> decode_png(View file, char const* name, mirnet::ReadOptions const& options) {
  // The header is the first chunk. libpng refuses sizes of 0 in a sentence that does not name them.
  constexpr std::size_t width_at = 16, height_at = 20;
  if (file.size() < height_at + 4) {
    return Error(ErrorCode::input, "%s: truncated PNG file, it ends before the end of its header", name);
  }
  auto const size = mirnet::detail::check_size(name, "PNG", big(&file[width_at]), big(&file[height_at]), options);
  if (!size) return size.error();
  PngReader reader;
  if (!reader.begin(file)) return reader.error(name);
  if (std::cmp_not_equal(reader.width, size->width) || std::cmp_not_equal(reader.height, size->height)) {
    return Error(ErrorCode::input, "%s: damaged PNG file: its first chunk is not its header", name);
  }
  Decoded decoded;
  auto image =
      mirnet::Image::create(size->width, size->height, reader.channels, reader.deep ? SampleType::u16 : SampleType::u8);
  if (!image) return image.error();
  decoded.image = *std::move(image);
  if (!reader.read_pixels(decoded.image.bytes().data())) return reader.error(name);
  bool const whole = reader.read_end();
  if (!reader.memory_is_left) return reader.error(name);
  if (!whole) decoded.warnings.push_back("the file ends, or is damaged, behind its pixels");
  decoded.metadata = reader.chunks.metadata(decoded.warnings);
  decoded.metadata.orientation = exif_orientation(decoded.metadata.exif);
  return decoded;
}

mirnet::Result<std::unique_ptr<RowEncoder>> encode_png(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const& metadata) {
  MIRNET_ASSERT(layout.type != SampleType::f32);
  return start_rows<PngFormat>(layout, metadata);
}

}  // namespace cli

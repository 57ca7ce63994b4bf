// What decoders and encoders of picture files have in common. A decoder takes a whole file from memory and runs in the
// sandbox; an encoder takes rows as they are computed.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/image/image.hpp>
#include <mirnet/io/bytes.hpp>
#include <mirnet/io/image_info.hpp>

#include "metadata.hpp"

namespace cli {

/// What a file holds. Decoders take what is there and warn of what is left out: one sentence each, which goes behind
/// the file's name and a colon.
struct Decoded {
  mirnet::Image image;  ///< as it is stored; `metadata.orientation` says how it was held
  Metadata metadata;
  std::vector<std::string> warnings;
  bool lossless = false;  ///< of formats that have both: nothing was lost in this file
};

/// Decodes a file whose format has been told. `name` is for the sentences. Errors: input, also where the header claims
/// more than `options.max_pixels`; memory.
using Decoder = mirnet::Result<Decoded>(std::span<std::byte const> file, char const* name,
                                        mirnet::ReadOptions const& options);

inline mirnet::Error no_memory_for_decoding(char const* name) {
  return {mirnet::ErrorCode::memory, "%s: not enough memory to decode this picture", name};
}
/// Of a file whose pixels are not all there.
inline mirnet::Error ends_before_pixels(char const* name, char const* format) {
  return {mirnet::ErrorCode::input, "%s: truncated %s file, it ends before the end of its pixels", name, format};
}

/// What an encoder must know of an image before its first row.
struct ImageLayout {
  mirnet::Index width, height, channels;
  mirnet::SampleType type;

  static ImageLayout of(mirnet::Image const& image) {
    return {image.width(), image.height(), image.channels(), image.type()};
  }
  mirnet::Index row_bytes() const { return width * channels * mirnet::sample_bytes(type); }
  bool has_alpha() const { return channels == 2 || channels == 4; }
  mirnet::Index colours() const { return channels < 3 ? 1 : 3; }
};

struct EncodeOptions {
  int quality = 95;       ///< 1 to 100, of formats with loss; a JPEG has colours in full resolution from 90 on
  bool lossless = false;  ///< of formats that have both
};

/// Compresses an image whose rows come one after the other.
class RowEncoder {
 public:
  RowEncoder(RowEncoder const&) = delete;
  RowEncoder& operator=(RowEncoder const&) = delete;
  virtual ~RowEncoder() = default;

  /// The next rows, whole ones and no more than the image has. Errors: memory; output, where the library refuses them.
  virtual mirnet::Result<void> append(std::span<std::byte const> rows) = 0;

  /// The file, after the last row. Errors: as above.
  virtual mirnet::Result<mirnet::ByteBuffer> finish() = 0;

 protected:
  RowEncoder() = default;
};

/// Starts a file for an image that the format can hold (check_encodable), with the metadata that it can hold
/// (what_fits). Errors: memory; output, where the library refuses the size.
using Encoder = mirnet::Result<std::unique_ptr<RowEncoder>>(ImageLayout const& layout, EncodeOptions const& options,
                                                            Metadata const& metadata);

/// For encoders that need the whole image: keeps the rows, and calls encode(image) at the end, which returns a
/// Result<ByteBuffer>.
template <class Encode>
class WholeImageEncoder final : public RowEncoder {
 public:
  static mirnet::Result<std::unique_ptr<RowEncoder>> start(ImageLayout const& layout, Encode encode) {
    auto image = mirnet::Image::create(layout.width, layout.height, layout.channels, layout.type);
    if (!image) return image.error();
    return std::unique_ptr<RowEncoder>(new WholeImageEncoder(*std::move(image), std::move(encode)));
  }

  mirnet::Result<void> append(std::span<std::byte const> rows) override {
    MIRNET_ASSERT(rows.size() <= image_.bytes().size() - filled_);
    std::memcpy(image_.bytes().data() + filled_, rows.data(), rows.size());
    filled_ += rows.size();
    return {};
  }
  mirnet::Result<mirnet::ByteBuffer> finish() override { return encode_(std::as_const(image_)); }

 private:
  WholeImageEncoder(mirnet::Image image, Encode encode) : image_(std::move(image)), encode_(std::move(encode)) {}

  mirnet::Image image_;
  Encode encode_;
  std::size_t filled_ = 0;
};

// --- The codecs, each in a file of its own ---------------------------------------------------------------------------

Decoder decode_png, decode_jpeg, decode_tiff, decode_webp, decode_jxl, decode_avif, decode_heic, decode_raw;
Encoder encode_png, encode_jpeg, encode_tiff, encode_webp, encode_jxl;

/// Loads the library of a codec (library.hpp), which works no more in a sandbox. `name` is for the sentence. Errors:
/// input, where the system has no such library.
using Loader = mirnet::Result<void>(char const* name);
Loader load_tiff, load_jxl, load_avif, load_raw;
/// Of such a library: what the program was built with, and what is loaded, which is empty where nothing can be.
struct LibraryVersions {
  std::string built, running;
};
LibraryVersions tiff_versions(), jxl_versions(), avif_versions(), raw_versions();

/// Whether a picture of so many colours can have this profile.
bool jxl_takes_profile(std::span<std::byte const> icc, mirnet::Index colours);

/// BMP, TGA, PNM, PAM and PFM, by the library's headers.
Decoder decode_simple;
Encoder encode_bmp, encode_pgm, encode_ppm, encode_pnm, encode_pam, encode_pfm;

}  // namespace cli

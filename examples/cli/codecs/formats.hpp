// The formats of picture files that the program reads and writes: one table says of each how files are told, decoded
// and encoded, what they hold besides pixels, and where the limits are. A format whose library the build lacks stays in
// the table without a decoder and an encoder, so that its files get a sentence that says so.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "codec.hpp"

namespace cli {

enum class Format { png, jpeg, tiff, webp, jxl, avif, heic, raw, bmp, tga, pbm, pgm, ppm, pnm, pam, pfm };

/// Whether the pixels of a file are those that went into it.
enum class Loss { none, always, wanted };

/// What a file of a format can say besides its pixels.
struct Holds {
  bool icc = false, exif = false, xmp = false, iptc = false, resolution = false;
  bool colour_tags = false;    ///< ColourTags
  bool other_profile = false;  ///< a colour profile for RGB beside gray pixels, or the other way round
};

struct FormatTraits {
  Format format;
  char const* name;
  std::span<std::string_view const> extensions;       ///< without the dot; the first is the one that results get
  bool (*matches)(std::span<std::byte const> start);  ///< whether a file that starts so is of this format
  Decoder* decode = nullptr;                          ///< null: not read
  Encoder* encode = nullptr;                          ///< null: not written
  Format result;  ///< what a picture that is read from such a file is written as, unless the user says otherwise
  char const* library = nullptr;  ///< that the build needs for it, where it can do without
  Loader* load = nullptr;         ///< of the library, before a sandbox; null: it is linked
  char const* plugin = nullptr;   ///< the program that decodes such files, beside this one

  // Of formats that are written:
  mirnet::SampleType deepest = mirnet::SampleType::u8;  ///< f32: floats alone
  bool alpha = false;
  bool gray = true;                 ///< otherwise gray becomes RGB
  mirnet::Index longest_side = 0;   ///< that the format or its library has; 0: no limit
  std::size_t longest_segment = 0;  ///< the most bytes of EXIF and of XMP; 0: no limit
  Loss loss = Loss::none;
  double bytes_a_sample = 0;  ///< what encoding takes besides the file and a copy of it
  Holds holds = {};
  /// Whether a picture of so many colours can have this profile; null: every one that is not damaged.
  bool (*takes_profile)(std::span<std::byte const> icc, mirnet::Index colours) = nullptr;
};

/// All of them. A file is of the first that matches.
std::span<FormatTraits const> formats();

FormatTraits const& traits(Format format);

/// Whether this program or a plug-in of it decodes the format.
inline bool is_read(FormatTraits const& format) { return format.decode != nullptr || format.plugin != nullptr; }

/// The format that a file shows by its first bytes; nothing where it is of none.
FormatTraits const* format_of(std::span<std::byte const> start);

/// Whether this is enough of a file to load the library for its format, or to choose a plug-in. What looks like a TIFF
/// may still be a raw file.
bool shows_format(std::span<std::byte const> start);

/// The format that an extension names, without its dot and in small letters; nothing where it names none.
FormatTraits const* format_named(std::string_view extension);

/// The names of the formats that are read, or written, as in "PNG, JPEG and BMP".
std::string readable_names();
std::string writable_names();

/// The extensions of the formats that are written, without their dots.
std::vector<std::string> writable_extensions();

/// Whether an image of this layout, as it is read, fits the format. `name` is for the sentences. Errors: output.
mirnet::Result<void> check_encodable(ImageLayout const& layout, Format format, char const* name);

/// The most memory that an encoder takes until its file is finished, in bytes.
double encoder_bytes(ImageLayout const& layout, Format format);

/// An image that is there, encoded at once. Errors: as of encoders.
mirnet::Result<mirnet::ByteBuffer> encode(mirnet::Image const& image, Format format, EncodeOptions const& options,
                                          Metadata const& metadata);

/// The part of the metadata that a file of this format holds beside pixels of so many colours, 1 or 3. What is left out
/// is told in `warnings`.
Metadata what_fits(Metadata metadata, Format format, mirnet::Index colours, std::vector<std::string>& warnings);

}  // namespace cli

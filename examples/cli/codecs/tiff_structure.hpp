// The structure that TIFF files and EXIF data share (TIFF 6.0, section 2): directories of entries, which are found,
// copied and put together here. Also the variant with offsets of 64 bits, BigTIFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "metadata.hpp"

namespace cli {

namespace tiff_tag {
inline constexpr std::uint16_t processing_software = 0x000B, image_width = 0x0100, image_length = 0x0101,
                               strip_offsets = 0x0111, orientation = 0x0112, strip_counts = 0x0117,
                               x_resolution = 0x011A, y_resolution = 0x011B, resolution_unit = 0x0128,
                               thumbnail = 0x0201, thumbnail_length = 0x0202, xmp = 700, iptc = 33723,
                               photoshop = 34377, icc = 34675, exif_directory = 0x8769, gps_directory = 0x8825,
                               interoperability_directory = 0xA005, pixel_x = 0xA002, pixel_y = 0xA003, make = 0x010F,
                               model = 0x0110, date = 0x0132, exposure_time = 0x829A, f_number = 0x829D,
                               sensitivity = 0x8827, original_date = 0x9003, focal_length = 0x920A, lens_model = 0xA434;
// Of the directory for GPS.
inline constexpr std::uint16_t latitude = 2, longitude = 4;
}

/// What the values of an entry are.
namespace tiff_type {
inline constexpr std::uint16_t byte = 1, ascii = 2, u16 = 3, u32 = 4, rational = 5, undefined = 7, directory = 13,
                               u64 = 16, directory_64 = 18;
}

/// Reads numbers in the structure's byte order. Those outside of it are 0.
class TiffStructure {
 public:
  /// Of an entry: where it and its values stand, how many there are, and of what type.
  struct Entry {
    std::size_t at, tag, type, values_at, count;
  };

  /// Nothing where the bytes do not start as such a structure, as EXIF data is one.
  static std::optional<TiffStructure> open(std::span<std::byte const> bytes);
  /// The same of a file, which may be a BigTIFF.
  static std::optional<TiffStructure> open_file(std::span<std::byte const> bytes);

  std::size_t number(std::size_t at, std::size_t size) const;

  std::size_t first_directory() const { return number(big_ ? 8 : 4, offset_size()); }
  /// Where the offset of the directory after this one stands.
  std::size_t next_at(std::size_t directory) const {
    return directory + count_size() + entry_size() * number(directory, count_size());
  }
  /// Without those behind the end.
  std::size_t entry_count(std::size_t directory) const;

  /// Nothing of a type that is not known, or of more values than the structure has bytes.
  std::optional<Entry> entry(std::size_t directory, std::size_t i) const;
  std::optional<Entry> find(std::size_t directory, std::size_t tag) const;

  /// The bytes of an entry's values; empty where they are not all there.
  std::span<std::byte const> bytes_of(Entry const& entry) const;

  /// A value of an entry: a whole number, whatever its size.
  std::size_t value(Entry const& entry, std::size_t i = 0) const;
  std::optional<std::size_t> value_of(std::size_t directory, std::size_t tag) const;
  double rational_of(std::size_t directory, std::size_t tag) const;

  /// Writes a number to bytes of a structure, if it is inside of them.
  static void put(std::span<std::byte> bytes, bool little, std::size_t at, std::size_t size, std::uint64_t value);

  /// Of a value, in bytes; 0: not known.
  static std::size_t size_of(std::size_t type);
  bool little() const { return little_; }
  bool big() const { return big_; }

 private:
  TiffStructure(std::span<std::byte const> bytes, bool little) : bytes_(bytes), little_(little) {}

  std::size_t offset_size() const { return big_ ? 8 : 4; }
  std::size_t count_size() const { return big_ ? 8 : 2; }
  std::size_t entry_size() const { return big_ ? 20 : 12; }

  std::span<std::byte const> bytes_;
  bool little_, big_ = false;
};

/// An entry that has been taken out. Its values are in the byte order of the structure that they come from.
struct TiffField {
  std::uint16_t tag, type;
  std::size_t count;
  Bytes values;
};

struct TiffDirectory {
  struct Inner;

  bool empty() const;
  bool has(std::uint16_t tag) const;

  std::vector<TiffField> fields;
  std::vector<Inner> inner;
};

/// What an entry with this tag leads to.
struct TiffDirectory::Inner {
  std::uint16_t tag;
  TiffDirectory directory;
};

/// All fields of a directory.
TiffDirectory fields_of(TiffStructure const& structure, std::size_t directory);

/// What the directory of a picture says of the photograph and not of how its pixels are stored, with the directories
/// for EXIF, interoperability and GPS. No thumbnails, colour profile, XMP and IPTC.
TiffDirectory description_of(TiffStructure const& structure, std::size_t directory);

/// Which structure a directory goes to.
struct TiffKind {
  bool little, big;
};

/// A directory with its values and the directories in it, for this place in a structure. No directory comes after it.
Bytes directory_bytes(TiffDirectory directory, TiffKind kind, std::size_t at);

/// A structure with this alone in it, as EXIF data; nothing of an empty directory.
Bytes exif_of(TiffDirectory const& directory, bool little);

}  // namespace cli

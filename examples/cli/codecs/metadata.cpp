#include "metadata.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cli {
namespace {

using View = std::span<std::byte const>;
using mirnet::Index;

constexpr std::size_t orientation_tag = 0x0112, image_width_tag = 0x0100, image_length_tag = 0x0101,
                      x_resolution_tag = 0x011A, y_resolution_tag = 0x011B, resolution_unit_tag = 0x0128,
                      exif_directory_tag = 0x8769, pixel_x_tag = 0xA002, pixel_y_tag = 0xA003,
                      strip_offsets_tag = 0x0111, strip_counts_tag = 0x0117, thumbnail_tag = 0x0201,
                      thumbnail_length_tag = 0x0202;
constexpr std::size_t type_byte = 1, type_short = 3, type_long = 4, type_rational = 5;

/// A TIFF structure (TIFF 6.0, section 2), in its byte order. Numbers outside of it are 0.
class Tiff {
 public:
  /// Of an entry: where its values stand, how many there are, and of what type.
  struct Entry {
    std::size_t at, type, values_at, count;
  };

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

  std::size_t first_directory() const { return number(4, 4); }
  /// Where the offset of the directory after this one stands.
  std::size_t next_at(std::size_t directory) const { return directory + 2 + 12 * number(directory, 2); }

  std::optional<Entry> find(std::size_t directory, std::size_t tag) const {
    for (std::size_t i = 0, entries = number(directory, 2); i < entries; ++i) {
      auto const at = directory + 2 + 12 * i;
      if (at > bytes_.size() || bytes_.size() - at < 12) return {};
      if (number(at, 2) != tag) continue;
      Entry const entry{at, number(at + 2, 2), at + 8, number(at + 4, 4)};
      auto const size = size_of(entry.type);
      if (size == 0 || entry.count == 0 || entry.count > bytes_.size()) return {};
      if (entry.count * size <= 4) return entry;
      return Entry{at, entry.type, number(at + 8, 4), entry.count};
    }
    return {};
  }

  /// A value of an entry: a whole number, whatever its size.
  std::size_t value(Entry const& entry, std::size_t i = 0) const {
    auto const size = size_of(entry.type);
    return i < entry.count && size <= 4 ? number(entry.values_at + i * size, size) : 0;
  }
  std::optional<std::size_t> value_of(std::size_t directory, std::size_t tag) const {
    auto const entry = find(directory, tag);
    if (!entry || entry->type == type_rational) return {};
    return value(*entry);
  }
  double rational_of(std::size_t directory, std::size_t tag) const {
    auto const entry = find(directory, tag);
    if (!entry || entry->type != type_rational) return 0;
    auto const below = number(entry->values_at + 4, 4);
    return below == 0 ? 0 : static_cast<double>(number(entry->values_at, 4)) / static_cast<double>(below);
  }

  /// Of the entry's first value, in bytes of the structure to write to.
  static void put(std::span<std::byte> bytes, bool little, std::size_t at, std::size_t size, std::size_t value) {
    if (at > bytes.size() || size > bytes.size() - at) return;
    for (std::size_t i = 0; i < size; ++i) {
      bytes[at + (little ? i : size - 1 - i)] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
    }
  }

  static std::size_t size_of(std::size_t type) {
    constexpr std::size_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
    return type < std::size(sizes) ? sizes[type] : 0;
  }
  bool little() const { return little_; }

 private:
  Tiff(View bytes, bool little) : bytes_(bytes), little_(little) {}

  View bytes_;
  bool little_;
};

bool is_whole_number(std::size_t type) { return type == type_byte || type == type_short || type == type_long; }

/// Writes to the first value of an entry, if there is one and it can hold the number.
void replace(Bytes& exif, Tiff const& tiff, std::size_t directory, std::size_t tag, std::size_t value) {
  auto const entry = tiff.find(directory, tag);
  if (!entry || !is_whole_number(entry->type)) return;
  auto const size = Tiff::size_of(entry->type);
  if (size < 4 && value >> (8 * size) != 0) return;
  Tiff::put(exif, tiff.little(), entry->values_at, size, value);
}

/// Makes a range zeros; one that is the end of the structure is cut off.
void erase(Bytes& exif, std::size_t at, std::size_t size) {
  if (at > exif.size()) return;
  size = std::min(size, exif.size() - at);
  if (at + size == exif.size() && at >= 8) {
    exif.resize(at);
  } else {
    std::fill_n(exif.begin() + static_cast<std::ptrdiff_t>(at), size, std::byte{0});
  }
}

/// Takes out the directories after the first, which describe thumbnails, and the pictures that these lead to.
void erase_thumbnails(Bytes& exif) {
  struct Range {
    std::size_t at, size;
  };
  std::vector<Range> ranges;
  auto const tiff = Tiff::open(exif);
  auto const link = tiff->next_at(tiff->first_directory());
  auto directory = tiff->number(link, 4);
  constexpr int most_directories = 8;  // links may lead in circles
  for (int i = 0; directory != 0 && i < most_directories; ++i) {
    if (auto const at = tiff->value_of(directory, thumbnail_tag)) {
      ranges.push_back({*at, tiff->value_of(directory, thumbnail_length_tag).value_or(0)});
    }
    auto const strips = tiff->find(directory, strip_offsets_tag), counts = tiff->find(directory, strip_counts_tag);
    for (std::size_t strip = 0; strips && counts && strip < std::min(strips->count, counts->count); ++strip) {
      ranges.push_back({tiff->value(*strips, strip), tiff->value(*counts, strip)});
    }
    auto const end = tiff->next_at(directory);
    auto const next = tiff->number(end, 4);
    ranges.push_back({directory, end + 4 - directory});
    directory = next;
  }
  auto const first = tiff->first_directory(), first_end = link + 4;
  Tiff::put(exif, tiff->little(), link, 4, 0);
  // From the back, so that what is cut off goes at once. What overlaps the first directory is damage, and stays.
  std::sort(ranges.begin(), ranges.end(), [](Range const& a, Range const& b) { return a.at > b.at; });
  for (auto const& [at, size] : ranges) {
    bool const overlaps = at < first_end && size > first - std::min(first, at);
    if (at >= 8 && !overlaps) erase(exif, at, size);
  }
}

constexpr std::string_view resource_mark = "8BIM";
constexpr std::uint16_t iptc_resource = 0x0404;

std::size_t big(View bytes, std::size_t at, std::size_t size) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | std::to_integer<std::size_t>(bytes[at + i]);
  return value;
}

}  // namespace

int exif_orientation(View exif) {
  auto const tiff = Tiff::open(exif);
  auto const value = tiff ? tiff->value_of(tiff->first_directory(), orientation_tag).value_or(1) : 1;
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Resolution exif_resolution(View exif) {
  auto const tiff = Tiff::open(exif);
  if (!tiff) return {};
  auto const directory = tiff->first_directory();
  constexpr std::size_t inch = 2, centimetre = 3;
  auto const unit = tiff->value_of(directory, resolution_unit_tag).value_or(inch);
  double const factor = unit == centimetre ? 2.54 : 1;
  return {factor * tiff->rational_of(directory, x_resolution_tag),
          factor * tiff->rational_of(directory, y_resolution_tag), unit == inch || unit == centimetre};
}

Bytes upright_exif(Bytes exif, Index width, Index height) {
  auto const tiff = Tiff::open(exif);
  if (!tiff) return {};
  auto const directory = tiff->first_directory();
  auto const orientation = exif_orientation(exif);
  auto const columns = static_cast<std::size_t>(width), rows = static_cast<std::size_t>(height);
  replace(exif, *tiff, directory, orientation_tag, 1);
  replace(exif, *tiff, directory, image_width_tag, columns);
  replace(exif, *tiff, directory, image_length_tag, rows);
  if (auto const inner = tiff->value_of(directory, exif_directory_tag)) {
    replace(exif, *tiff, *inner, pixel_x_tag, columns);
    replace(exif, *tiff, *inner, pixel_y_tag, rows);
  }
  if (orientation >= 5) {
    auto const x = tiff->find(directory, x_resolution_tag), y = tiff->find(directory, y_resolution_tag);
    auto const fits = [&](auto const& entry) {
      return entry && entry->type == type_rational && entry->values_at <= exif.size() &&
             exif.size() - entry->values_at >= 8;
    };
    if (fits(x) && fits(y) && (x->values_at + 8 <= y->values_at || y->values_at + 8 <= x->values_at)) {
      std::swap_ranges(exif.begin() + static_cast<std::ptrdiff_t>(x->values_at),
                       exif.begin() + static_cast<std::ptrdiff_t>(x->values_at + 8),
                       exif.begin() + static_cast<std::ptrdiff_t>(y->values_at));
    }
  }
  erase_thumbnails(exif);
  return exif;
}

Bytes upright_xmp(Bytes xmp) {
  // As an attribute, tiff:Orientation="6", or as an element, <tiff:Orientation>6</tiff:Orientation>.
  constexpr std::string_view name = "tiff:Orientation";
  std::string_view const text(reinterpret_cast<char const*>(xmp.data()), xmp.size());
  for (auto at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    auto digit = at + name.size();
    while (digit < text.size() && std::string_view(" \t\r\n=\"'>").find(text[digit]) != std::string_view::npos) ++digit;
    if (digit < text.size() && text[digit] >= '1' && text[digit] <= '8') xmp[digit] = std::byte{'1'};
  }
  return xmp;
}

Bytes iptc_of_resources(View resources) {
  // Each: "8BIM", a number, a name with its length before it, the length of the data, and the data; all even.
  for (std::size_t at = 0; resources.size() - at >= 12;) {
    if (std::memcmp(resources.data() + at, resource_mark.data(), resource_mark.size()) != 0) return {};
    auto const kind = big(resources, at + 4, 2);
    auto const name = big(resources, at + 6, 1);
    auto const length_at = at + 6 + (name + 2) / 2 * 2;
    if (length_at > resources.size() || resources.size() - length_at < 4) return {};
    auto const length = big(resources, length_at, 4);
    auto const data = resources.subspan(length_at + 4);
    if (length > data.size()) return {};
    if (kind == iptc_resource) return {data.begin(), data.begin() + static_cast<std::ptrdiff_t>(length)};
    at = std::min(length_at + 4 + (length + 1) / 2 * 2, resources.size());
  }
  return {};
}

Bytes resources_of_iptc(View iptc) {
  Bytes resources;
  auto const put = [&](std::size_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) resources.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
  };
  for (char const c : resource_mark) resources.push_back(static_cast<std::byte>(c));
  put(iptc_resource, 2);
  put(0, 2);  // no name
  put(iptc.size(), 4);
  resources.insert(resources.end(), iptc.begin(), iptc.end());
  if (iptc.size() % 2 != 0) put(0, 1);
  return resources;
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

mirnet::Result<void> make_upright(mirnet::Image& image, Metadata& metadata) {
  int const orientation = std::exchange(metadata.orientation, 1);
  if (orientation != 1) {
    auto turned = upright(image, orientation);
    if (!turned) return turned.error();
    image = *std::move(turned);
    if (orientation >= 5) std::swap(metadata.resolution.x, metadata.resolution.y);
  }
  metadata.exif = upright_exif(std::move(metadata.exif), image.width(), image.height());
  metadata.xmp = upright_xmp(std::move(metadata.xmp));
  return {};
}

}  // namespace cli

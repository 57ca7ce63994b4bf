#include "tiff_structure.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace cli {
namespace {

using View = std::span<std::byte const>;

constexpr std::size_t classic_mark = 42, big_mark = 43;

/// What descriptions are made of, in ascending order.
constexpr std::uint16_t descriptive[] = {
    tiff_tag::processing_software,
    0x010D,  // document name
    0x010E,  // image description
    0x010F,  // make
    0x0110,  // model
    tiff_tag::orientation,
    tiff_tag::x_resolution,
    tiff_tag::y_resolution,
    0x011D,  // page name
    tiff_tag::resolution_unit,
    0x0131,  // software
    0x0132,  // date and time
    0x013B,  // artist
    0x013C,  // host computer
    0x013E,  // white point
    0x013F,  // primary chromaticities
    0x4746,  // rating
    0x4749,  // rating in percent
    0x8298,  // copyright
    0x829A,  // exposure time
    0x829D,  // f-number
    0x830E,  // GeoTIFF: the size of a pixel
    0x8482,  // points
    0x85D8,  // transformation
    0x87AF,  // keys
    0x87B0,  // numbers
    0x87B1,  // texts
    0x8827,  // sensitivity
    0x9003,  // date and time of the original
    0x9C9B,
    0x9C9C,
    0x9C9D,
    0x9C9E,
    0x9C9F,  // Windows: title, comment, author, keywords, subject
    0xA480,  // GDAL: metadata
    0xA481,  // the value of samples without data
    0xC4A5,  // print image matching
};
static_assert(std::is_sorted(std::begin(descriptive), std::end(descriptive)));

bool describes(std::size_t tag) { return std::binary_search(std::begin(descriptive), std::end(descriptive), tag); }

/// Takes fields out of a structure, whose entries may all claim the same bytes: no more than `most_metadata` in all.
class Collector {
 public:
  explicit Collector(TiffStructure const& structure) : structure_(structure) {}

  template <class Wanted>
  TiffDirectory fields(std::size_t directory, Wanted const& wanted) {
    TiffDirectory found;
    for (std::size_t i = 0, count = structure_.entry_count(directory); i < count; ++i) {
      auto const entry = structure_.entry(directory, i);
      if (!entry || !wanted(entry->tag)) continue;
      auto const tag = static_cast<std::uint16_t>(entry->tag);
      auto const values = structure_.bytes_of(*entry);
      if (values.empty() || values.size() > left_) continue;
      left_ -= values.size();
      found.fields.push_back(
          {tag, static_cast<std::uint16_t>(entry->type), entry->count, Bytes(values.begin(), values.end())});
    }
    auto& fields = found.fields;
    auto const before = [](TiffField const& a, TiffField const& b) { return a.tag < b.tag; };
    auto const same = [](TiffField const& a, TiffField const& b) { return a.tag == b.tag; };
    std::stable_sort(fields.begin(), fields.end(), before);
    fields.erase(std::unique(fields.begin(), fields.end(), same), fields.end());
    return found;
  }

  /// Adds the directory that an entry leads to, if there is something in it.
  template <class Wanted>
  TiffDirectory* inner(std::size_t directory, std::uint16_t tag, TiffDirectory& to, Wanted const& wanted) {
    auto const at = structure_.value_of(directory, tag);
    if (!at || *at == 0) return nullptr;
    auto found = fields(*at, wanted);
    if (found.empty()) return nullptr;
    to.inner.push_back({tag, std::move(found)});
    return &to.inner.back().directory;
  }

 private:
  TiffStructure const& structure_;
  std::size_t left_ = most_metadata / 2;
};

std::size_t even(std::size_t size) { return size + size % 2; }

/// Room for a directory and what belongs to it, in the order in which it is written.
class DirectoryWriter {
 public:
  explicit DirectoryWriter(TiffKind kind) : kind_(kind) {}

  void write(TiffDirectory& directory, std::size_t at, Bytes& to) {
    for (auto const& [tag, inner] : directory.inner) {
      auto const type = kind_.big ? tiff_type::directory_64 : tiff_type::u32;
      directory.fields.push_back({tag, type, 1, Bytes(TiffStructure::size_of(type))});
    }
    auto& fields = directory.fields;
    std::sort(fields.begin(), fields.end(), [](auto const& a, auto const& b) { return a.tag < b.tag; });
    auto end = at + count_size() + entry_size() * fields.size() + inline_size();
    auto const values_at = end;
    for (auto const& field : fields) end += outside(field);
    std::vector<Bytes> inner_bytes;
    for (auto& [tag, inner] : directory.inner) {
      auto const pointer = std::find_if(fields.begin(), fields.end(), [t = tag](auto const& f) { return f.tag == t; });
      TiffStructure::put(pointer->values, kind_.little, 0, pointer->values.size(), end);
      write(inner, end, inner_bytes.emplace_back());
      end += inner_bytes.back().size();
    }

    put(to, count_size(), fields.size());
    auto next_values = values_at;
    for (auto const& field : fields) {
      put(to, 2, field.tag);
      put(to, 2, field.type);
      put(to, inline_size(), field.count);
      if (outside(field) > 0) {
        put(to, inline_size(), next_values);
        next_values += outside(field);
      } else {
        append(to, field.values, inline_size());
      }
    }
    put(to, inline_size(), 0);
    for (auto const& field : fields) {
      if (outside(field) > 0) append(to, field.values, outside(field));
    }
    for (auto const& bytes : inner_bytes) append(to, bytes, bytes.size());
  }

 private:
  std::size_t count_size() const { return kind_.big ? 8 : 2; }
  std::size_t entry_size() const { return kind_.big ? 20 : 12; }
  std::size_t inline_size() const { return kind_.big ? 8 : 4; }
  /// What a field's values take outside of the directory.
  std::size_t outside(TiffField const& field) const {
    return field.values.size() > inline_size() ? even(field.values.size()) : 0;
  }

  void put(Bytes& to, std::size_t size, std::uint64_t value) const {
    to.resize(to.size() + size);
    TiffStructure::put(to, kind_.little, to.size() - size, size, value);
  }
  static void append(Bytes& to, View bytes, std::size_t size) {
    to.insert(to.end(), bytes.begin(), bytes.end());
    to.resize(to.size() + (size - bytes.size()));
  }

  TiffKind kind_;
};

}  // namespace

std::optional<TiffStructure> TiffStructure::open(View bytes) {
  auto const structure = open_file(bytes);
  return structure && !structure->big() ? structure : std::nullopt;
}

std::optional<TiffStructure> TiffStructure::open_file(View bytes) {
  if (bytes.size() < 8) return {};
  bool const little = bytes[0] == std::byte{'I'} && bytes[1] == std::byte{'I'};
  bool const big = bytes[0] == std::byte{'M'} && bytes[1] == std::byte{'M'};
  if (!little && !big) return {};
  TiffStructure structure(bytes, little);
  auto const mark = structure.number(2, 2);
  structure.big_ = mark == big_mark && structure.number(4, 2) == 8;
  if (mark != classic_mark && !structure.big_) return {};
  return structure;
}

std::size_t TiffStructure::number(std::size_t at, std::size_t size) const {
  if (at > bytes_.size() || size > bytes_.size() - at) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes_[at + (little_ ? size - 1 - i : i)]);
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(value, (std::numeric_limits<std::size_t>::max)()));
}

std::size_t TiffStructure::entry_count(std::size_t directory) const {
  auto const count = number(directory, count_size());
  if (count == 0) return 0;
  return std::min(count, (bytes_.size() - directory - count_size()) / entry_size());
}

std::optional<TiffStructure::Entry> TiffStructure::entry(std::size_t directory, std::size_t i) const {
  auto const at = directory + count_size() + entry_size() * i;
  auto const values_at = at + 4 + offset_size();
  Entry entry{at, number(at, 2), number(at + 2, 2), values_at, number(at + 4, offset_size())};
  auto const size = size_of(entry.type);
  if (size == 0 || entry.count == 0 || entry.count > bytes_.size()) return {};
  if (entry.count * size > offset_size()) entry.values_at = number(values_at, offset_size());
  return entry;
}

std::optional<TiffStructure::Entry> TiffStructure::find(std::size_t directory, std::size_t tag) const {
  for (std::size_t i = 0, count = entry_count(directory); i < count; ++i) {
    if (number(directory + count_size() + entry_size() * i, 2) == tag) return entry(directory, i);
  }
  return {};
}

View TiffStructure::bytes_of(Entry const& entry) const {
  auto const size = entry.count * size_of(entry.type);
  if (entry.values_at > bytes_.size() || size > bytes_.size() - entry.values_at) return {};
  return bytes_.subspan(entry.values_at, size);
}

std::size_t TiffStructure::value(Entry const& entry, std::size_t i) const {
  auto const size = size_of(entry.type);
  bool const whole = size <= 4 || entry.type == tiff_type::u64 || entry.type == tiff_type::directory_64;
  return i < entry.count && whole ? number(entry.values_at + i * size, size) : 0;
}

std::optional<std::size_t> TiffStructure::value_of(std::size_t directory, std::size_t tag) const {
  auto const entry = find(directory, tag);
  if (!entry || entry->type == tiff_type::rational) return {};
  return value(*entry);
}

double TiffStructure::rational_of(std::size_t directory, std::size_t tag) const {
  auto const entry = find(directory, tag);
  if (!entry || entry->type != tiff_type::rational) return 0;
  auto const below = number(entry->values_at + 4, 4);
  return below == 0 ? 0 : static_cast<double>(number(entry->values_at, 4)) / static_cast<double>(below);
}

void TiffStructure::put(std::span<std::byte> bytes, bool little, std::size_t at, std::size_t size,
                        std::uint64_t value) {
  if (at > bytes.size() || size > bytes.size() - at) return;
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + (little ? i : size - 1 - i)] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  }
}

std::size_t TiffStructure::size_of(std::size_t type) {
  constexpr std::size_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
  return type < std::size(sizes) ? sizes[type] : 0;
}

bool TiffDirectory::empty() const { return fields.empty() && inner.empty(); }

bool TiffDirectory::has(std::uint16_t tag) const {
  return std::any_of(fields.begin(), fields.end(), [=](TiffField const& field) { return field.tag == tag; });
}

TiffDirectory fields_of(TiffStructure const& structure, std::size_t directory) {
  return Collector(structure).fields(directory, [](std::size_t) { return true; });
}

TiffDirectory description_of(TiffStructure const& structure, std::size_t directory) {
  Collector collector(structure);
  auto found = collector.fields(directory, describes);
  auto const no_directory = [](std::size_t tag) {
    return tag != tiff_tag::exif_directory && tag != tiff_tag::gps_directory &&
           tag != tiff_tag::interoperability_directory;
  };
  if (auto const at = structure.value_of(directory, tiff_tag::exif_directory)) {
    auto* const exif = collector.inner(directory, tiff_tag::exif_directory, found, no_directory);
    if (exif != nullptr) collector.inner(*at, tiff_tag::interoperability_directory, *exif, no_directory);
  }
  collector.inner(directory, tiff_tag::gps_directory, found, no_directory);
  // Numbers of 64 bits are a BigTIFF's alone.
  auto const drop = [](TiffDirectory& in) { std::erase_if(in.fields, [](auto const& f) { return f.type > 13; }); };
  drop(found);
  for (auto& [tag, inner] : found.inner) drop(inner);
  return found;
}

Bytes directory_bytes(TiffDirectory directory, TiffKind kind, std::size_t at) {
  Bytes bytes;
  DirectoryWriter(kind).write(directory, at, bytes);
  return bytes;
}

Bytes exif_of(TiffDirectory const& directory, bool little) {
  if (directory.empty()) return {};
  constexpr std::size_t header = 8;
  Bytes bytes(header, std::byte(little ? 'I' : 'M'));
  TiffStructure::put(bytes, little, 2, 2, classic_mark);
  TiffStructure::put(bytes, little, 4, 4, header);
  auto const body = directory_bytes(directory, {little, false}, header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

}  // namespace cli

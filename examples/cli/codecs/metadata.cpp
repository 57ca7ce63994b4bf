#include "metadata.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <mirnet/io/bytes.hpp>

#include "tiff_structure.hpp"

namespace cli {
namespace {

using View = std::span<std::byte const>;
using mirnet::Index;

using Tiff = TiffStructure;

bool is_whole_number(std::size_t type) {
  return type == tiff_type::byte || type == tiff_type::u16 || type == tiff_type::u32;
}

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
    if (auto const at = tiff->value_of(directory, tiff_tag::thumbnail)) {
      ranges.push_back({*at, tiff->value_of(directory, tiff_tag::thumbnail_length).value_or(0)});
    }
    auto const strips = tiff->find(directory, tiff_tag::strip_offsets),
               counts = tiff->find(directory, tiff_tag::strip_counts);
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

}  // namespace

int exif_orientation(View exif) {
  auto const tiff = Tiff::open(exif);
  auto const value = tiff ? tiff->value_of(tiff->first_directory(), tiff_tag::orientation).value_or(1) : 1;
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Resolution exif_resolution(View exif) {
  auto const tiff = Tiff::open(exif);
  if (!tiff) return {};
  auto const directory = tiff->first_directory();
  constexpr std::size_t inch = 2, centimetre = 3;
  auto const unit = tiff->value_of(directory, tiff_tag::resolution_unit).value_or(inch);
  double const factor = unit == centimetre ? 2.54 : 1;
  return {factor * tiff->rational_of(directory, tiff_tag::x_resolution),
          factor * tiff->rational_of(directory, tiff_tag::y_resolution), unit == inch || unit == centimetre};
}

PhotographData photograph_data(View exif) {
  PhotographData data;
  auto const tiff = Tiff::open(exif);
  if (!tiff) return data;
  auto const text = [&](std::size_t directory, std::size_t tag) {
    constexpr std::size_t longest = 200;
    std::string found;
    auto const entry = tiff->find(directory, tag);
    if (!entry || entry->type != tiff_type::ascii) return found;
    for (auto const byte : tiff->bytes_of(*entry)) {
      if (byte == std::byte{0} || found.size() == longest) break;
      found += static_cast<char>(byte);
    }
    auto const last = found.find_last_not_of(' ');
    return found.substr(std::min(found.find_first_not_of(' '), found.size()),
                        last == std::string::npos ? 0 : last + 1 - found.find_first_not_of(' '));
  };
  auto const first = tiff->first_directory();
  data.make = text(first, tiff_tag::make);
  data.model = text(first, tiff_tag::model);
  data.date = text(first, tiff_tag::date);
  if (auto const inner = tiff->value_of(first, tiff_tag::exif_directory)) {
    data.lens = text(*inner, tiff_tag::lens_model);
    if (auto const original = text(*inner, tiff_tag::original_date); !original.empty()) data.date = original;
    data.exposure = tiff->rational_of(*inner, tiff_tag::exposure_time);
    data.aperture = tiff->rational_of(*inner, tiff_tag::f_number);
    data.iso = static_cast<double>(tiff->value_of(*inner, tiff_tag::sensitivity).value_or(0));
    data.focal_length = tiff->rational_of(*inner, tiff_tag::focal_length);
  }
  if (data.date.size() >= 10 && data.date[4] == ':' && data.date[7] == ':') data.date[4] = data.date[7] = '-';
  // Cameras write the date as spaces or zeros where their clock is not set.
  if (data.date.find_first_of("123456789") == std::string::npos) data.date.clear();
  if (auto const gps = tiff->value_of(first, tiff_tag::gps_directory)) {
    data.has_position = tiff->find(*gps, tiff_tag::latitude) && tiff->find(*gps, tiff_tag::longitude);
  }
  return data;
}

std::string profile_name(View icc) {
  // The header, a count, and for each tag its signature, offset and size (7.3). The description is of type desc with
  // ASCII (version 2), or mluc with UTF-16 in several languages (version 4), of which the first is taken.
  constexpr std::size_t header = 128, most_tags = 200;
  auto const number = [&](std::size_t at) -> std::size_t {
    return at <= icc.size() && icc.size() - at >= 4 ? mirnet::load_big<std::uint32_t>(&icc[at]) : 0;
  };
  constexpr std::size_t description = 0x64657363, languages = 0x6D6C7563;  // desc, mluc
  for (std::size_t i = 0, tags = std::min(number(header), most_tags); i < tags; ++i) {
    auto const entry = header + 4 + 12 * i;
    if (number(entry) != description) continue;
    auto const at = number(entry + 4);
    bool const wide = number(at) == languages;
    if (!wide && number(at) != description) return {};
    auto const size = number(at + (wide ? 20 : 8)), start = at + (wide ? number(at + 24) : 12);
    std::string name;
    for (std::size_t k = 0; k < std::min<std::size_t>(size, 200) && start + k < icc.size(); ++k) {
      auto const letter = std::to_integer<unsigned char>(icc[start + k]);
      if (wide && k % 2 == 0) {
        if (letter != 0) return name;
        continue;
      }
      if (letter < ' ' || letter > '~') break;
      name += static_cast<char>(letter);
    }
    return name;
  }
  return {};
}

Bytes upright_exif(Bytes exif, Index width, Index height) {
  auto const tiff = Tiff::open(exif);
  if (!tiff) return {};
  auto const directory = tiff->first_directory();
  auto const orientation = exif_orientation(exif);
  auto const columns = static_cast<std::size_t>(width), rows = static_cast<std::size_t>(height);
  replace(exif, *tiff, directory, tiff_tag::orientation, 1);
  replace(exif, *tiff, directory, tiff_tag::image_width, columns);
  replace(exif, *tiff, directory, tiff_tag::image_length, rows);
  if (auto const inner = tiff->value_of(directory, tiff_tag::exif_directory)) {
    replace(exif, *tiff, *inner, tiff_tag::pixel_x, columns);
    replace(exif, *tiff, *inner, tiff_tag::pixel_y, rows);
  }
  if (orientation >= 5) {
    auto const x = tiff->find(directory, tiff_tag::x_resolution), y = tiff->find(directory, tiff_tag::y_resolution);
    auto const fits = [&](auto const& entry) {
      return entry && entry->type == tiff_type::rational && entry->values_at <= exif.size() &&
             exif.size() - entry->values_at >= 8;
    };
    if (fits(x) && fits(y) && (x->values_at + 8 <= y->values_at || y->values_at + 8 <= x->values_at)) {
      std::swap_ranges(exif.begin() + static_cast<std::ptrdiff_t>(x->values_at),
                       exif.begin() + static_cast<std::ptrdiff_t>(x->values_at + 8),
                       exif.begin() + static_cast<std::ptrdiff_t>(y->values_at));
    }
  }
  erase_thumbnails(exif);
  // Entries of damaged data may lie over each other, so that a size has been written over the orientation.
  return exif_orientation(exif) == 1 ? exif : Bytes();
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
    auto const kind = mirnet::load_big<std::uint16_t>(&resources[at + 4]);
    auto const name = std::to_integer<std::size_t>(resources[at + 6]);
    auto const length_at = at + 6 + (name + 2) / 2 * 2;
    if (length_at > resources.size() || resources.size() - length_at < 4) return {};
    std::size_t const length = mirnet::load_big<std::uint32_t>(&resources[length_at]);
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

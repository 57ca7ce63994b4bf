#include "result_mark.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include <mirnet/io/file.hpp>
#include <mirnet/version.hpp>

#include "codecs/tiff_structure.hpp"
#include "system.hpp"

namespace cli {
namespace {

constexpr std::size_t entry_size = 12;

Bytes text_bytes(std::string_view text) {
  auto const* const begin = reinterpret_cast<std::byte const*>(text.data());
  Bytes bytes(begin, begin + text.size());
  bytes.push_back(std::byte{0});
  return bytes;
}

}  // namespace

std::string result_mark(std::string const& verb, std::string const& model, std::string const& checksum) {
  return "mirnet " + verb + " " MIRNET_VERSION ", model " + model + " (" + checksum + ")";
}

Bytes with_result_mark(Bytes exif, std::string const& mark, std::size_t most) {
  auto const text = text_bytes(mark);
  if (exif.empty()) {
    TiffDirectory directory;
    directory.fields.push_back({tiff_tag::processing_software, tiff_type::ascii, text.size(), text});
    auto made = exif_of(directory, true);
    return made.size() <= most ? std::move(made) : std::move(exif);
  }
  auto const tiff = TiffStructure::open(exif);
  if (!tiff) return exif;
  auto const old = tiff->first_directory();
  auto const count = tiff->entry_count(old);
  bool const whole = old >= 8 && old + 2 <= exif.size() && count == tiff->number(old, 2);
  if (!whole) return exif;

  // A copy of the directory, with the mark, behind everything else: nothing that offsets lead to moves.
  std::vector<std::size_t> kept;  // where the entries stand
  for (std::size_t i = 0; i < count; ++i) {
    auto const at = old + 2 + i * entry_size;
    if (tiff->number(at, 2) != tiff_tag::processing_software) kept.push_back(at);
  }
  auto const start = (exif.size() + 1) / 2 * 2;
  auto const text_at = start + 2 + (kept.size() + 1) * entry_size + 4;
  if (kept.size() >= 65535 || text_at + text.size() > most) return exif;
  Bytes result = exif;
  result.resize(text_at);
  bool const little = tiff->little();
  auto const put = [&](std::size_t at, std::size_t size, std::size_t value) {
    TiffStructure::put(result, little, at, size, value);
  };
  put(4, 4, start);
  put(start, 2, kept.size() + 1);
  auto at = start + 2;
  bool marked = false;
  auto const put_mark = [&] {
    marked = true;
    put(at, 2, tiff_tag::processing_software);
    put(at + 2, 2, tiff_type::ascii);
    put(at + 4, 4, text.size());
    put(at + 8, 4, text_at);
    at += entry_size;
  };
  for (auto const from : kept) {
    if (!marked && tiff->number(from, 2) > tiff_tag::processing_software) put_mark();
    std::copy_n(exif.begin() + static_cast<std::ptrdiff_t>(from), entry_size,
                result.begin() + static_cast<std::ptrdiff_t>(at));
    at += entry_size;
  }
  if (!marked) put_mark();
  put(at, 4, tiff->number(tiff->next_at(old), 4));
  result.insert(result.end(), text.begin(), text.end());
  return result;
}

std::string result_mark_of(std::span<std::byte const> exif) {
  auto const tiff = TiffStructure::open(exif);
  if (!tiff) return {};
  auto const entry = tiff->find(tiff->first_directory(), tiff_tag::processing_software);
  if (!entry || entry->type != tiff_type::ascii) return {};
  auto const bytes = tiff->bytes_of(*entry);
  std::string_view text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  text = text.substr(0, text.find('\0'));
  return text.starts_with(result_mark_start) ? std::string(text) : std::string();
}

bool has_result_mark(std::filesystem::path const& path) {
  auto const file = mirnet::InputFile::open(text_of(path).c_str(), mirnet::ErrorCode::input);
  if (!file) return false;
  // EXIF data in a JPEG is at most 64 KiB, and comes first. WebP and TIFF have it at the end.
  constexpr std::uint64_t part = 192 << 10;
  std::vector<char> buffer(static_cast<std::size_t>(std::min(part, file->size())));
  auto const is_marked = [&](std::uint64_t offset) {
    return file->read(offset, std::as_writable_bytes(std::span(buffer))) &&
           std::string_view(buffer.data(), buffer.size()).find(result_mark_start) != std::string_view::npos;
  };
  return is_marked(0) || (file->size() > part && is_marked(file->size() - part));
}

}  // namespace cli

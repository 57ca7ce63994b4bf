#include "raw_detection.hpp"

#include <algorithm>
#include <string_view>

#include <mirnet/io/image_info.hpp>

#include "tiff_structure.hpp"

namespace cli {
namespace {

using View = std::span<std::byte const>;
using mirnet::detail::starts_with;

constexpr std::size_t photometric_tag = 0x0106, directories_tag = 0x014A, dng_version_tag = 0xC612;
/// What the samples of a sensor stand for: an array of colour filters, or DNG's colours before any processing.
constexpr std::size_t filter_array = 32803, linear_raw = 34892;

bool holds_sensor_data(TiffStructure const& tiff, std::size_t directory) {
  auto const meaning = tiff.value_of(directory, photometric_tag);
  return meaning == filter_array || meaning == linear_raw || tiff.find(directory, dng_version_tag).has_value();
}

/// Looks at the directories that follow one another, and at those that each names.
bool is_raw_tiff(View file) {
  auto const tiff = TiffStructure::open(file);
  if (!tiff) return false;
  constexpr std::size_t most = 16;  // links may lead in circles
  auto directory = tiff->first_directory();
  for (std::size_t i = 0; directory != 0 && i < most; ++i) {
    if (holds_sensor_data(*tiff, directory)) return true;
    auto const inner = tiff->find(directory, directories_tag);
    for (std::size_t j = 0; inner && j < std::min(inner->count, most); ++j) {
      if (holds_sensor_data(*tiff, tiff->value(*inner, j))) return true;
    }
    directory = tiff->number(tiff->next_at(directory), 4);
  }
  return false;
}

}  // namespace

bool is_raw(View start) {
  // Fujifilm, Foveon (Sigma), Minolta, Olympus, Panasonic, Canon's CRW; and in the place of a TIFF's version or behind
  // its header Canon's CR2 and Phase One.
  constexpr std::string_view marks[] = {"FUJIFILMCCD-RAW", "FOVb", {"\0MRM", 4}, "IIRO", "IIRS", "MMOR", {"IIU\0", 4}};
  constexpr std::string_view behind_header[] = {{"CR\2\0", 4}, "IIII", "MMMM"};
  constexpr std::string_view crw = "HEAPCCDR";
  if (std::any_of(std::begin(marks), std::end(marks), [=](auto mark) { return starts_with(start, mark); })) return true;
  if (start.size() < 16) return false;
  bool const tiff = starts_with(start, {"II*\0", 4}) || starts_with(start, {"MM\0*", 4});
  auto const at = [=](std::size_t offset, std::string_view mark) { return starts_with(start.subspan(offset), mark); };
  if (tiff && std::any_of(std::begin(behind_header), std::end(behind_header), [=](auto mark) { return at(8, mark); })) {
    return true;
  }
  return at(6, crw) || (at(4, "ftypcrx ")) || (tiff && is_raw_tiff(start));
}

}  // namespace cli

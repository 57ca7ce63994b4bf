// make_comparison_page FILE: a page with three pictures for test_comparison_page.py.
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include <mirnet/io/file.hpp>

#include "comparison_page.hpp"

namespace {

using mirnet::Image;
using mirnet::Index;

/// A colour that grows brighter to the right, with noise or without.
Image picture(Index width, Index height, Index colour, bool noise) {
  auto image = Image::create(width, height, 3, mirnet::SampleType::u8).value();
  auto const samples = image.samples<std::uint8_t>();
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    auto const x = static_cast<Index>(i / 3) % width;
    auto const value = static_cast<Index>(i % 3) == colour ? 60 + 160 * x / width : 40;
    samples[i] = static_cast<std::uint8_t>(value + (noise ? static_cast<Index>(state >> 27) : 16));
  }
  return image;
}

std::vector<cli::Comparison> crops(int count, Index width, Index height) {
  std::vector<cli::Comparison> result;
  for (Index i = 0; i < count; ++i) {
    result.push_back(
        {"at " + std::to_string(100 * i) + ", 0, " + std::to_string(width) + " x " + std::to_string(height),
         picture(width, height, i % 3, true), picture(width, height, i % 3, false)});
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  cli::ComparisonPage page;
  cli::ComparisonFacts const facts = {{"size", "6000 x 4000"}, {"time", "12.3 s"}, {"settings", "quality standard"}};
  // A name that a careless page would take for its own end, then one of bytes that are not UTF-8.
  auto added = page.add("<b>&<!--</script>.png", crops(4, 256, 200), facts);
  if (added) added = page.add("all of \xFF.jpg", crops(1, 1600, 1200), facts);
  if (added) added = page.add("third.png", crops(1, 40, 30), facts);
  if (added) added = mirnet::write_file(argv[1], std::as_bytes(std::span<char const>(page.html())), true);
  if (added) return 0;
  std::fprintf(stderr, "%s\n", added.error().message());
  return 1;
}

#include "preview.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <system_error>

#include "codecs/pixels.hpp"
#include "commands.hpp"

namespace cli {

using mirnet::Index;

namespace {

long long number(Index value) { return static_cast<long long>(value); }

// --- What the picture is like, cell by cell --------------------------------------------------------------------------

/// A cell is a square of a few pixels: small enough for edges, large enough that noise averages out.
struct Cell {
  float mean[3] = {};  ///< brightness, red - green, blue - green
  float variance = 0;  ///< of the brightness: noise and the finest detail
  float clipped = 0;   ///< share of pixels that are black or white: there is no noise in them
};

struct CellGrid {
  Index side = 0;  ///< of a cell, in pixels
  Index width = 0, height = 0;
  std::vector<Cell> cells;

  Cell const& at(Index x, Index y) const { return cells[static_cast<std::size_t>(y * width + x)]; }
};

/// Samples outside of 0 to 1, and NaN, which images of floats may have, count as the nearest end.
template <class T>
float unit(T sample) {
  float const value = mirnet::to_unit(sample);
  return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
}

template <class T>
Cell measure_cell(T const* pixels, Index row_pitch, Index channels, Index side) {
  // A quarter of the pixels say enough.
  Index const step = side >= 4 ? 2 : 1;
  bool const gray = channels < 3;
  float sums[3] = {}, squares = 0, clipped = 0, count = 0;
  for (Index y = 0; y < side; y += step) {
    for (Index x = 0; x < side; x += step) {
      T const* const pixel = pixels + y * row_pitch + x * channels;
      float const red = unit(pixel[0]), green = gray ? red : unit(pixel[1]), blue = gray ? red : unit(pixel[2]);
      float const brightness = 0.299f * red + 0.587f * green + 0.114f * blue;
      sums[0] += brightness;
      sums[1] += red - green;
      sums[2] += blue - green;
      squares += brightness * brightness;
      clipped += brightness < 0.01f || brightness > 0.99f ? 1.0f : 0.0f;
      count += 1;
    }
  }
  Cell cell;
  for (int c = 0; c < 3; ++c) cell.mean[c] = sums[c] / count;
  cell.variance = (std::max)(squares / count - cell.mean[0] * cell.mean[0], 0.0f);
  cell.clipped = clipped / count;
  return cell;
}

/// Pixels right of and below the last whole cell are left out.
CellGrid measure_cells(mirnet::Image const& image, Index side) {
  CellGrid grid{side, image.width() / side, image.height() / side, {}};
  grid.cells.reserve(static_cast<std::size_t>(grid.width * grid.height));
  image.visit([&](auto samples) {
    Index const row_pitch = image.width() * image.channels();
    for (Index y = 0; y < grid.height; ++y) {
      for (Index x = 0; x < grid.width; ++x) {
        grid.cells.push_back(measure_cell(samples.data() + y * side * row_pitch + x * side * image.channels(),
                                          row_pitch, image.channels(), side));
      }
    }
  });
  return grid;
}

/// Sums over any rectangle of cells in four look-ups.
class SumTable {
 public:
  /// Of value(x, y).
  template <class Value>
  SumTable(Index width, Index height, Value value)
      : pitch_(width + 1), sums_(static_cast<std::size_t>(pitch_ * (height + 1))) {
    for (Index y = 0; y < height; ++y) {
      double row = 0;
      for (Index x = 0; x < width; ++x) {
        row += static_cast<double>(value(x, y));
        sums_[at(x + 1, y + 1)] = sums_[at(x + 1, y)] + row;
      }
    }
  }

  double mean(Rectangle const& cells) const {
    Index const right = cells.x + cells.width, bottom = cells.y + cells.height;
    double const sum =
        sums_[at(right, bottom)] - sums_[at(right, cells.y)] - sums_[at(cells.x, bottom)] + sums_[at(cells.x, cells.y)];
    return sum / static_cast<double>(cells.width * cells.height);
  }

 private:
  std::size_t at(Index x, Index y) const { return static_cast<std::size_t>(y * pitch_ + x); }

  Index pitch_;
  std::vector<double> sums_;
};

// --- Candidates ------------------------------------------------------------------------------------------------------

struct Candidate {
  Rectangle part;
  double brightness = 0, detail = 0, colour = 0, noise = 0, clipped = 0;
};

/// The first pixels of crops of `size` in `length` pixels, `step` apart, the last one at the end.
std::vector<Index> positions(Index length, Index size, Index step) {
  std::vector<Index> result;
  for (Index at = 0; at < length - size; at += step) result.push_back(at);
  result.push_back(length - size);
  return result;
}

std::vector<Candidate> measure_candidates(mirnet::Image const& image, Index width, Index height) {
  // Bounds on the work, whatever the sizes: at most 1100 x 1100 cells or so in a square picture, and 130 x 130
  // candidates.
  Index const longer = (std::max)(image.width(), image.height()), shorter = (std::min)(width, height);
  Index const few_enough = static_cast<Index>(std::sqrt(static_cast<double>(image.pixels())) / 1024) + 1;
  Index const side = (std::min)((std::max)(std::clamp<Index>(shorter / 16, 1, 8), few_enough), shorter);
  Index const step = (std::max)({Index{1}, (std::max)(width, height) / 8, longer / 128});
  auto const grid = measure_cells(image, side);

  auto const table = [&](auto value) { return SumTable(grid.width, grid.height, value); };
  // How much a mean differs from those of the neighbours right and below.
  auto const change = [&](Index x, Index y, int which) {
    auto const here = grid.at(x, y).mean[which];
    auto const right = x + 1 < grid.width ? grid.at(x + 1, y).mean[which] : here;
    auto const below = y + 1 < grid.height ? grid.at(x, y + 1).mean[which] : here;
    return std::abs(right - here) + std::abs(below - here);
  };
  auto const brightness = table([&](Index x, Index y) { return grid.at(x, y).mean[0]; });
  auto const detail = table([&](Index x, Index y) { return change(x, y, 0); });
  auto const colour = table([&](Index x, Index y) { return change(x, y, 1) + change(x, y, 2); });
  auto const noise = table([&](Index x, Index y) { return std::sqrt(grid.at(x, y).variance); });
  auto const clipped = table([&](Index x, Index y) { return grid.at(x, y).clipped; });

  std::vector<Candidate> candidates;
  for (Index const y : positions(image.height(), height, step)) {
    for (Index const x : positions(image.width(), width, step)) {
      Rectangle cells{x / side, y / side, (std::max)(width / side, Index{1}), (std::max)(height / side, Index{1})};
      cells.width = (std::min)(cells.width, grid.width - cells.x);
      cells.height = (std::min)(cells.height, grid.height - cells.y);
      candidates.push_back({{x, y, width, height},
                            brightness.mean(cells),
                            detail.mean(cells),
                            colour.mean(cells),
                            noise.mean(cells),
                            clipped.mean(cells)});
    }
  }
  return candidates;
}

/// Replaces a figure by the share of candidates that have less of it, 0 to 1: pictures differ too much for thresholds.
void rank(std::vector<Candidate>& candidates, double Candidate::*figure) {
  std::vector<double> sorted;
  sorted.reserve(candidates.size());
  for (auto const& candidate : candidates) sorted.push_back(candidate.*figure);
  std::sort(sorted.begin(), sorted.end());
  for (auto& candidate : candidates) {
    auto const less = std::lower_bound(sorted.begin(), sorted.end(), candidate.*figure) - sorted.begin();
    candidate.*figure = static_cast<double>(less) / static_cast<double>(sorted.size());
  }
}

// --- Kinds of crops. Detail, colour and noise are ranks here; brightness and the clipped share are as measured. ------

double most_detail(Candidate const& crop) { return crop.detail; }

double dark_and_flat(Candidate const& crop) {
  return -crop.detail - 2 * crop.brightness - 2 * crop.clipped + 0.3 * crop.noise;
}

double flat_and_medium(Candidate const& crop) {
  return -crop.detail - 2 * std::abs(crop.brightness - 0.55) - 2 * crop.clipped;
}

/// Things and faces in colour rather than the busiest texture.
double colour_edges(Candidate const& crop) {
  return crop.colour - 0.5 * std::abs(crop.detail - 0.6) - 0.5 * std::abs(crop.brightness - 0.5) - crop.clipped;
}

constexpr double (*kinds[])(Candidate const&) = {most_detail, dark_and_flat, flat_and_medium, colour_edges};

Index overlap(Rectangle const& a, Rectangle const& b) {
  Index const width = (std::min)(a.x + a.width, b.x + b.width) - (std::max)(a.x, b.x);
  Index const height = (std::min)(a.y + a.height, b.y + b.height) - (std::max)(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

}  // namespace

std::string text(Rectangle const& part) {
  return format("at %lld, %lld, %lld x %lld", number(part.x), number(part.y), number(part.width), number(part.height));
}

mirnet::Result<Rectangle> parse_rectangle(std::string_view text) {
  auto const wrong = [&](std::string const& why) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "\"%s\" %s; expected X,Y,WIDTH,HEIGHT in pixels",
                         std::string(text.substr(0, 100)).c_str(), why.c_str());
  };
  auto const numbers = 1 + std::count(text.begin(), text.end(), ',');
  if (numbers != 4) return wrong(format("has %lld part%s", static_cast<long long>(numbers), numbers == 1 ? "" : "s"));
  Rectangle part;
  auto rest = text;
  for (Index* const value : {&part.x, &part.y, &part.width, &part.height}) {
    auto const word = rest.substr(0, rest.find(','));
    rest.remove_prefix((std::min)(word.size() + 1, rest.size()));
    auto const [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value);
    if (error == std::errc::result_out_of_range) return wrong("has a number that is too large");
    if (error != std::errc() || end != word.data() + word.size() || *value < 0) {
      return wrong("has \"" + std::string(word.substr(0, 20)) + "\" in the place of a number");
    }
  }
  if (part.width == 0 || part.height == 0) return wrong("has no pixels");
  return part;
}

mirnet::Result<void> check_inside(Rectangle const& part, mirnet::Image const& image, std::string const& name) {
  // Without sums, which may be more than an Index holds.
  bool const inside = part.x >= 0 && part.y >= 0 && part.width >= 1 && part.height >= 1 &&
                      part.width <= image.width() && part.x <= image.width() - part.width &&
                      part.height <= image.height() && part.y <= image.height() - part.height;
  if (inside) return {};
  return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                       "%s: the crop of %lld x %lld pixels at %lld, %lld reaches beyond the picture's %lld x %lld",
                       name.c_str(), number(part.width), number(part.height), number(part.x), number(part.y),
                       number(image.width()), number(image.height()));
}

mirnet::Result<mirnet::Image> crop(mirnet::Image const& image, Rectangle const& part) {
  if (auto const inside = check_inside(part, image, "crop"); !inside) return inside.error();
  return crop_to(image, part.x, part.y, part.width, part.height);
}

std::vector<Rectangle> telling_crops(mirnet::Image const& image, int count, Index side) {
  MIRNET_ASSERT(count >= 1 && side >= 1 && image.pixels() > 0);
  Index const width = (std::min)(side, image.width()), height = (std::min)(side, image.height());
  if (width == image.width() && height == image.height()) return {{0, 0, width, height}};
  auto candidates = measure_candidates(image, width, height);
  for (auto const figure : {&Candidate::detail, &Candidate::colour, &Candidate::noise}) rank(candidates, figure);

  std::vector<Rectangle> crops;
  for (std::size_t kind = 0; crops.size() < static_cast<std::size_t>(count); ++kind) {
    auto const score = kinds[kind % std::size(kinds)];
    // The best of those that overlap least with the crops before, so that one lies beside the others if any can.
    Candidate const* best = nullptr;
    Index best_overlap = 0;
    for (auto const& candidate : candidates) {
      Index most = 0;
      for (auto const& taken : crops) most = (std::max)(most, overlap(taken, candidate.part));
      if (most > width * height / 4) continue;
      if (best == nullptr || most < best_overlap || (most == best_overlap && score(candidate) > score(*best))) {
        best = &candidate;
        best_overlap = most;
      }
    }
    if (best == nullptr) break;
    crops.push_back(best->part);
  }
  return crops;
}

}  // namespace cli

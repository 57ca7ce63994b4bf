// How noisy a photograph is, measured in the picture alone: the deviation of its brightness and of its colours, in its
// dark and in its bright parts, and how far the noise of neighbouring pixels goes together.
//
// The picture is sampled in blocks of 8 x 8 pixels, whose cosine transform holds the noise in all coefficients and what
// is smooth in few. Where a block is flat, the rest is noise (Ponomarenko et al., "An automatic approach to lossy
// compression of AVIRIS images", IGARSS 2007). The flattest of the blocks of about the same brightness are measured.
// To choose blocks because they vary little and then to measure how much they vary would find less noise than there is:
// half of the coefficients, as on the white fields of a chessboard, chooses the blocks in which the other half is
// measured, and the other way round. The average spectrum of these blocks gives the deviation also of noise that is not
// white, as that of developed and of resized photographs.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Standard deviations on the scale where white is 1. Brightness is Y, colours are Cb and Cr of JPEG files (ITU-T
/// T.871): independent noise of deviation s in red, green and blue has 0.669 s of brightness and 0.640 s of colour.
struct NoiseEstimate {
  float brightness = 0;   ///< root of the mean variance of Y, over the dark and the bright half
  float colour = 0;       ///< root of the mean variance of Cb and Cr; 0 in gray pictures
  float dark = 0;         ///< of Y, in the darker half of the picture
  float bright = 0;       ///< of Y, in the brighter half
  float correlation = 0;  ///< of Y, between a pixel and the next across or down: 0 for white noise, at most 1
};

namespace detail {

/// 8 x 8 pixels of Y, Cb and Cr as coefficients of the orthonormal cosine transform, rows first.
struct NoiseBlock {
  static constexpr Index side = 8, size = side * side;

  float coefficients[3][size];
  float mean;  ///< of Y
  bool usable;
};

using NoiseSpectrum = std::array<double, NoiseBlock::size>;

/// The basis of the cosine transform: [frequency][position].
inline std::array<std::array<float, 8>, 8> cosine_basis() noexcept {
  std::array<std::array<float, 8>, 8> basis{};
  for (std::size_t u = 0; u < 8; ++u) {
    for (std::size_t x = 0; x < 8; ++x) {
      double const angle = std::numbers::pi * (2.0 * static_cast<double>(x) + 1.0) * static_cast<double>(u) / 16.0;
      basis[u][x] = static_cast<float>(std::cos(angle) * (u == 0 ? std::sqrt(0.125) : 0.5));
    }
  }
  return basis;
}

/// Where blocks are taken: on a grid that is as fine as the number of blocks allows.
struct NoiseGrid {
  static constexpr Index most_blocks = 16384;

  NoiseGrid(Index width, Index height) noexcept {
    if (width < NoiseBlock::side || height < NoiseBlock::side) return;
    do {
      step += step < NoiseBlock::side ? 1 : 2;  // beyond blocks, odd: not always at the same place of a JPEG's blocks
      columns = (width - NoiseBlock::side) / step + 1;
      rows = (height - NoiseBlock::side) / step + 1;
    } while (columns > most_blocks / rows);
  }
  Index blocks() const noexcept { return columns * rows; }

  Index step = 3, columns = 0, rows = 0;
};

/// What a block of a picture shows; `most_clipped` of its samples may be black or white.
template <class T>
void read_noise_block(T const* samples, Index row, Index channels, Index most_clipped,
                      std::array<std::array<float, 8>, 8> const& basis, NoiseBlock& block) noexcept {
  constexpr Index side = NoiseBlock::side;
  Index const colours = channels < 3 ? 1 : 3;
  bool const has_alpha = channels % 2 == 0;
  float pixels[3][NoiseBlock::size];
  constexpr Index few = 4;
  float levels[few] = {};
  Index clipped = 0, level_count = 0;
  float lowest = 1e30f, highest = -1e30f;
  block.usable = false;
  for (Index i = 0; i < NoiseBlock::size; ++i) {
    T const* const pixel = samples + i / side * row + i % side * channels;
    if (has_alpha && !(pixel[channels - 1] > T{0})) return;
    for (Index c = 0; c < colours; ++c) {
      float const value = to_unit(pixel[c]);
      if (!(value > 0.0f && value < 1.0f)) ++clipped;
    }
    auto const [red, green, blue] = unit_colours(pixel, colours);
    float const y = 0.299f * red + 0.587f * green + 0.114f * blue;
    pixels[0][i] = y;
    pixels[1][i] = (blue - y) / 1.772f;
    pixels[2][i] = (red - y) / 1.402f;
    lowest = (std::min)(lowest, y);
    highest = (std::max)(highest, y);
    if (level_count <= few &&
        std::find(levels, levels + (std::min)(level_count, few), y) == levels + (std::min)(level_count, few)) {
      if (level_count < few) levels[level_count] = y;
      ++level_count;
    }
  }
  if (clipped * 3 > most_clipped * colours) return;
  // One level, or a few that are far apart: a graphic or a dither.
  if (level_count == 1 || (level_count <= few && highest - lowest > 8.5f / 255.0f)) return;
  if (!std::isfinite(highest - lowest)) return;
  for (Index c = 0; c < (colours == 1 ? 1 : 3); ++c) {
    float half[NoiseBlock::size];
    for (std::size_t y = 0; y < 8; ++y) {
      for (std::size_t u = 0; u < 8; ++u) {
        float sum = 0;
        for (std::size_t x = 0; x < 8; ++x) sum += basis[u][x] * pixels[c][8 * y + x];
        half[8 * y + u] = sum;
      }
    }
    for (std::size_t v = 0; v < 8; ++v) {
      for (std::size_t u = 0; u < 8; ++u) {
        float sum = 0;
        for (std::size_t y = 0; y < 8; ++y) sum += basis[v][y] * half[8 * y + u];
        block.coefficients[c][8 * v + u] = sum;
      }
    }
  }
  block.mean = block.coefficients[0][0] / 8.0f;
  block.usable = true;
}

/// Whether a coefficient belongs to one half of the chessboard. The three lowest are in neither: they hold what is
/// smooth.
constexpr bool in_half(std::size_t v, std::size_t u, std::size_t half) noexcept {
  return u + v > 1 && (u + v) % 2 == half;
}

/// The mean spectrum of the `chosen` flattest of some blocks, whose order changes.
inline NoiseSpectrum flattest_spectrum(NoiseBlock const* blocks, std::span<std::uint32_t> of, std::size_t channel,
                                       std::size_t chosen, NoiseSpectrum const& weights, float* energies) noexcept {
  NoiseSpectrum spectrum{};
  for (std::size_t half = 0; half < 2; ++half) {
    for (auto const index : of) {
      auto const& coefficients = blocks[index].coefficients[channel];
      double energy = 0;
      for (std::size_t v = 0; v < 8; ++v) {
        for (std::size_t u = 0; u < 8; ++u) {
          if (in_half(v, u, half))
            energy += weights[8 * v + u] * static_cast<double>(coefficients[8 * v + u]) *
                      static_cast<double>(coefficients[8 * v + u]);
        }
      }
      energies[index] = static_cast<float>(energy);
    }
    auto const flatter = [&](std::uint32_t a, std::uint32_t b) {
      return energies[a] < energies[b] || (energies[a] == energies[b] && a < b);
    };
    std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(chosen - 1), of.end(), flatter);
    std::sort(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(chosen));  // sums do not depend on the library
    for (auto const index : of.first(chosen)) {
      auto const& coefficients = blocks[index].coefficients[channel];
      for (std::size_t v = 0; v < 8; ++v) {
        for (std::size_t u = 0; u < 8; ++u) {
          double const power =
              static_cast<double>(coefficients[8 * v + u]) * static_cast<double>(coefficients[8 * v + u]);
          if (!in_half(v, u, half)) spectrum[8 * v + u] += u + v > 1 ? power : power / 2;
        }
      }
    }
  }
  for (double& power : spectrum) power /= static_cast<double>(chosen);
  return spectrum;
}

/// Limits a spectrum to what noise can have: that of white noise which a Gaussian of up to 1.1 pixels has blurred,
/// whose logarithm falls as the square of the frequency. What is above at some frequencies is shading and texture. The
/// height and the fall are those on which the closest half of the coefficients agree best. `floor` is the power of
/// rounding.
inline bool limit_to_noise(NoiseSpectrum& spectrum, double floor) noexcept {
  constexpr double step = std::numbers::pi * std::numbers::pi / 64;
  std::array<double, NoiseBlock::size> ratios;
  double best_width = 1e30, best_height = 0, best_fall = 0;
  auto const frequency = [](std::size_t i) { return static_cast<double>(i / 8 * (i / 8) + i % 8 * (i % 8)); };
  for (int steps = 0; steps <= 24; ++steps) {
    double const fall = 0.05 * steps * step;
    std::size_t count = 0;
    for (std::size_t i = 0; i < spectrum.size(); ++i) {
      double const above = spectrum[i] - floor;
      if (i / 8 + i % 8 >= 5 && above > floor) ratios[count++] = std::log(above) + fall * frequency(i);
    }
    if (count < 8) {
      // Nothing but low frequencies, as where files hold colours at half of the resolution.
      double const second = (spectrum[2] + spectrum[9] + spectrum[16]) / 3;
      for (auto const i : {std::size_t{1}, std::size_t{8}}) spectrum[i] = (std::min)(spectrum[i], 1.5 * second);
      spectrum[0] = (spectrum[1] + spectrum[8]) / 2;
      return true;
    }
    std::sort(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(count));
    std::size_t const half = count / 2;
    for (std::size_t i = 0; i + half < count; ++i) {
      double const width = ratios[i + half] - ratios[i];
      if (width >= best_width) continue;
      best_width = width;
      double sum = 0;
      for (std::size_t j = i; j <= i + half; ++j) sum += ratios[j];
      best_height = sum / static_cast<double>(half + 1);
      best_fall = fall;
    }
  }
  std::size_t agree = 0;
  for (std::size_t i = 0; i < spectrum.size(); ++i)
    agree += i / 8 + i % 8 > 1 && spectrum[i] < 1.5 * std::exp(best_height - best_fall * frequency(i)) + 2 * floor;
  if (agree < 54 && best_fall < 0.3 * step) {
    // Texture: the fall is rather its than the noise's.
    double const fall = 1.5 * (std::max)(0.0, best_fall - 0.1 * step);
    best_height -= (best_fall - fall) * 50;
    best_fall = fall;
  }
  for (std::size_t i = 0; i < spectrum.size(); ++i) {
    double const limit = std::exp(best_height - best_fall * frequency(i));
    spectrum[i] = i == 0 ? limit : (std::min)(spectrum[i], 1.15 * limit + floor);
  }
  return agree >= 54;
}

inline double variance_of(NoiseSpectrum const& spectrum) noexcept {
  double sum = 0;
  for (double const power : spectrum) sum += power;
  return sum / NoiseBlock::size;
}

/// The mean power at high frequencies, of which texture has least.
inline double highest_power(NoiseSpectrum const& spectrum) noexcept {
  double sum = 0;
  Index count = 0;
  for (std::size_t i = 0; i < spectrum.size(); ++i) {
    if (i / 8 + i % 8 < 9) continue;
    sum += spectrum[i];
    ++count;
  }
  return sum / static_cast<double>(count);
}

/// The mean product of neighbouring pixels, across and down.
inline double covariance_of(NoiseSpectrum const& spectrum, std::array<std::array<float, 8>, 8> const& basis) noexcept {
  double sum = 0;
  for (std::size_t v = 0; v < 8; ++v) {
    for (std::size_t u = 0; u < 8; ++u) {
      double products = 0;
      for (std::size_t x = 0; x + 1 < 8; ++x) {
        products +=
            static_cast<double>(basis[u][x] * basis[u][x + 1]) + static_cast<double>(basis[v][x] * basis[v][x + 1]);
      }
      sum += spectrum[8 * v + u] * products;
    }
  }
  return sum / (2 * 7 * 8);
}

/// The spectrum of the noise of a channel.
struct MeasuredSpectrum {
  NoiseSpectrum spectrum;
  bool reliable;  ///< no texture in it
};

/// Of blocks in the order of brightness, a few of which are chosen among each of several ranges of brightness. Ranges
/// with less noise, or less texture, count more, and more so where there is texture in the others. `energies` has room
/// for all blocks.
inline MeasuredSpectrum measure_spectrum(NoiseBlock const* blocks, std::span<std::uint32_t> by_brightness,
                                         std::size_t channel, double floor, float* energies) noexcept {
  std::size_t const count = by_brightness.size();
  std::size_t const ranges = std::clamp<std::size_t>(count / 128, 1, 6);
  double const share = channel == 0 ? 0.015 : 0.1;  // there is less texture in colours
  NoiseSpectrum weights;
  weights.fill(1.0);
  MeasuredSpectrum result{};
  double power_of_range = 0.5;
  for (int pass = 0; pass < 3; ++pass) {
    NoiseSpectrum sum{};
    double total = 0;
    for (std::size_t range = 0; range < ranges; ++range) {
      auto const first = range * count / ranges, last = (range + 1) * count / ranges;
      auto const of = by_brightness.subspan(first, last - first);
      auto const wanted = static_cast<std::size_t>(share * static_cast<double>(of.size()));
      auto const spectrum = flattest_spectrum(
          blocks, of, channel, (std::min)((std::max<std::size_t>)(wanted, 16), of.size()), weights, energies);
      double const weight = std::pow(1 / (highest_power(spectrum) + 1e-9), power_of_range);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * spectrum[i];
      total += weight;
    }
    for (std::size_t i = 0; i < sum.size(); ++i) result.spectrum[i] = sum[i] / total;
    bool const reliable = limit_to_noise(result.spectrum, floor);
    if (pass == 1) result.reliable = reliable;
    if (pass == 1 && reliable) break;
    if (pass == 1) power_of_range = 4;
    double const mean = variance_of(result.spectrum);
    for (std::size_t i = 0; i < sum.size(); ++i) weights[i] = 1 / (std::max)(result.spectrum[i], 0.02 * mean + 1e-12);
  }
  return result;
}

}  // namespace detail

/// The noise of a picture; zeros where a side is shorter than 8 pixels and where nothing but flat areas, drawings and
/// dither is seen. Pixels that are fully transparent, and areas that are clipped to black or white, do not count. Takes
/// about 13 MB and a time that does not grow with the picture. The result is the same for any number of threads.
///
/// Measured on photographs to which noise of 3 to 50 of 255 was added in sRGB, their own grain counted in: colour
/// within 6 %; brightness within 10 % where something in the picture is flat. Where texture covers all of it,
/// brightness is up to twice as much as the noise at 3, and a fifth more at 15. For noise blurred by 0.5 to 1 pixel the
/// same holds of brightness, and colour comes out up to 20 % too low. Of noise coarser than a block, as the blotches of
/// colour in developed photographs, only a part is seen. Errors: memory.
inline Result<NoiseEstimate> measure_noise(Image const& image, ParallelFor const& parallel = {}) noexcept {
  detail::NoiseGrid const grid(image.width(), image.height());
  NoiseEstimate estimate;
  if (grid.blocks() == 0) return estimate;
  auto const count = static_cast<std::size_t>(grid.blocks());
  auto const memory = Memory::allocate(grid.blocks() * static_cast<Index>(sizeof(detail::NoiseBlock) + 8));
  if (!memory) return memory.error();
  auto* const blocks = reinterpret_cast<detail::NoiseBlock*>(memory->bytes().data());
  auto* const energies = reinterpret_cast<float*>(blocks + count);
  auto* const order = reinterpret_cast<std::uint32_t*>(energies + count);
  auto const basis = detail::cosine_basis();
  std::size_t usable = 0;
  for (Index const most_clipped : {8, 19, 96}) {
    image.visit([&](auto samples) {
      parallel(grid.rows, [&](Index y, Index) {
        for (Index x = 0; x < grid.columns; ++x) {
          auto const at = (y * image.width() + x) * grid.step * image.channels();
          detail::read_noise_block(samples.data() + at, image.width() * image.channels(), image.channels(),
                                   most_clipped, basis, blocks[y * grid.columns + x]);
        }
      });
    });
    usable = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (blocks[i].usable) order[usable++] = static_cast<std::uint32_t>(i);
    }
    if (usable >= count / 5) break;
  }
  if (usable == 0) return estimate;
  std::span<std::uint32_t> const all(order, usable);
  std::sort(all.begin(), all.end(), [&](std::uint32_t a, std::uint32_t b) {
    return blocks[a].mean < blocks[b].mean || (blocks[a].mean == blocks[b].mean && a < b);
  });
  std::span<std::uint32_t> const halves[] = {all.first((usable + 1) / 2), all.subspan(usable / 2)};
  // Of rounding to whole levels, each channel for itself.
  double const rounding = image.type() == SampleType::u8 ? 1.0 / (12 * 255.0 * 255.0) : 0.0;
  double variances[2] = {}, covariances[2] = {}, colour = 0;
  bool reliable[2] = {};
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t c = 0; c < (image.colours() == 1 ? 1 : 3); ++c) {
      double const share = c == 0 ? 0.447 : 0.41;  // of independent noise in red, green and blue
      auto const measured = detail::measure_spectrum(blocks, halves[half], c, share * rounding, energies);
      double const variance = detail::variance_of(measured.spectrum);
      if (c > 0) {
        colour += variance / 4;
        continue;
      }
      variances[half] = variance;
      covariances[half] = detail::covariance_of(measured.spectrum, basis);
      reliable[half] = measured.reliable;
    }
  }
  // Where one half is all texture, its noise is not far from that of the other.
  for (std::size_t half = 0; half < 2; ++half) {
    double const limit = 1.7 * variances[1 - half];
    if (reliable[half] || !reliable[1 - half] || variances[half] <= limit) continue;
    covariances[half] *= limit / variances[half];
    variances[half] = limit;
  }
  double const variance = (variances[0] + variances[1]) / 2, covariance = (covariances[0] + covariances[1]) / 2;
  estimate.dark = static_cast<float>(std::sqrt(variances[0]));
  estimate.bright = static_cast<float>(std::sqrt(variances[1]));
  estimate.brightness = static_cast<float>(std::sqrt(variance));
  estimate.colour = static_cast<float>(std::sqrt(colour));
  if (variance > 0) estimate.correlation = static_cast<float>(covariance / variance);
  return estimate;
}

}  // namespace mirnet::inline MIRNET_ABI

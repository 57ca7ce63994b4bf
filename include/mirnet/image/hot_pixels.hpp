// Hot and dead pixels of sensors: single samples far above, or far below, all that is around them. A network takes them
// for light and smears them; they are to be replaced before it runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <mirnet/image/image.hpp>
#include <mirnet/runtime/parallel.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Finds single samples that do not belong where they are. Beyond the border, the picture is mirrored.
template <class T>
class HotPixels {
 public:
  /// `marks` has a byte for each pixel.
  HotPixels(Image& image, std::uint8_t* marks) noexcept
      : samples_(image.samples<T>().data()),
        width_(image.width()),
        height_(image.height()),
        channels_(image.channels()),
        colours_(image.colours()),
        marks_(marks) {}

  /// Marks samples of a row that are beyond all of their neighbours by more than what varies around them, and pixels
  /// that are so by less.
  void find(Index y) noexcept {
    for (Index x = 0; x < width_; ++x) {
      unsigned found = 0;
      for (Index c = 0; c < colours_ && is_visible(y, x); ++c) {
        auto const own = [&](Index row, Index column) { return value(row, column, c); };
        // A defect of one colour shows against the others, also in texture. What is in all colours may be texture.
        auto const against_others = [&](Index row, Index column) { return difference(row, column, c); };
        float const beyond = excess(y, x, own);
        if (beyond > 1.2f) found |= weak;
        if (beyond > 2.4f || (colours_ == 3 && !others_are_clipped(y, x, c) && excess(y, x, against_others) > 1.4f))
          found |= weak | 1u << c;
      }
      mark(y, x) = static_cast<std::uint8_t>(found);
    }
  }

  /// Confirms those marks of a row that are not part of a pattern.
  void confirm(Index y) noexcept {
    for (Index x = 0; x < width_; ++x) {
      for (Index c = 0; c < colours_; ++c) {
        if ((mark(y, x) >> c & 1) == 0 || is_pattern(y, x, c)) continue;
        mark(y, x) |= static_cast<std::uint8_t>(confirmed << c);
      }
    }
  }

  /// Replaces the confirmed samples of a row by the median of their neighbours, without those that are replaced, too.
  /// Returns the number of pixels changed.
  Index replace(Index y) noexcept {
    Index replaced = 0;
    for (Index x = 0; x < width_; ++x) {
      if ((mark(y, x) & 7 * confirmed) == 0) continue;
      bool changed = false;
      for (Index c = 0; c < colours_; ++c) {
        if ((mark(y, x) & confirmed << c) != 0) changed |= replace(y, x, c);
      }
      replaced += changed;
    }
    return replaced;
  }

 private:
  static constexpr unsigned confirmed = 8;  ///< times the bit of a colour
  static constexpr unsigned weak = 64;
  static constexpr float least_step = 0.06f;

  static Index mirrored(Index i, Index size) noexcept { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; }
  T const* pixel(Index y, Index x) const noexcept { return samples_ + (y * width_ + x) * channels_; }
  float value(Index y, Index x, Index c) const noexcept {
    return to_unit(pixel(mirrored(y, height_), mirrored(x, width_))[c]);
  }
  std::uint8_t& mark(Index y, Index x) const noexcept { return marks_[y * width_ + x]; }
  bool is_visible(Index y, Index x) const noexcept {
    return colours_ == channels_ || pixel(y, x)[channels_ - 1] > T{0};
  }

  /// By how much a sample differs from the other colours of its pixel. Texture is in all of them, and cancels.
  float difference(Index y, Index x, Index c) const noexcept {
    return value(y, x, c) - (value(y, x, (c + 1) % 3) + value(y, x, (c + 2) % 3)) / 2;
  }

  /// Then their difference says nothing.
  bool others_are_clipped(Index y, Index x, Index c) const noexcept {
    auto const clipped = [&](Index other) {
      float const found = value(y, x, other % 3);
      return !(found > 0.0f && found < 1.0f);
    };
    return clipped(c + 1) || clipped(c + 2);
  }

  /// How far value_at(y, x) is beyond that of all neighbours, in units of their range; 0 where it is among them or
  /// where they are lit up with it.
  template <class ValueAt>
  float excess(Index y, Index x, ValueAt const& value_at) const noexcept {
    float const sample = value_at(y, x), left = value_at(y, x - 1), right = value_at(y, x + 1);
    bool const hot = sample > (std::max)(left, right) + least_step,
               dead = sample < (std::min)(left, right) - least_step;
    if (!hot && !dead) return 0;  // nearly all
    float const sign = hot ? 1.0f : -1.0f;
    std::array<float, 24> around;
    std::size_t count = 0;
    float nearest = sign * left, beside = 0;  // what of the 8 that touch it comes closest; the mean of the 4 beside it
    for (Index dy = -2; dy <= 2; ++dy) {
      for (Index dx = -2; dx <= 2; ++dx) {
        if (dy == 0 && dx == 0) continue;
        float const other = sign * value_at(y + dy, x + dx);
        around[count++] = other;
        if (dy * dy + dx * dx <= 2) nearest = (std::max)(nearest, other);
        if (dy * dy + dx * dx == 1) beside += other / 4;
      }
    }
    float const step = sign * sample - nearest;
    if (!(step > least_step)) return 0;
    std::sort(around.begin(), around.end());
    // Two at either end may be other defects. What is left is 2.4 deviations of noise.
    float const range = around[21] - around[2], median = (around[11] + around[12]) / 2;
    // Of a dotted line, two others are near.
    if (around[22] > (sign * sample + median) / 2) return 0;
    // What optics draw, stars and highlights, also lights up the pixels beside it.
    if (beside - median > 0.12f * (sign * sample - median) + 0.25f * range) return 0;
    return step / (range + 1e-6f);
  }

  /// Whether more pixels around stand out than sensors have defects, as in a dither or on glittering water; or whether
  /// the pixel is on an even ground that other things are drawn on, as a full stop in a text.
  bool is_pattern(Index y, Index x, Index c) const noexcept {
    constexpr Index radius = 8, most = 4;
    Index others = -1;
    Index const top = (std::max)(y - radius, Index{0}), bottom = (std::min)(y + radius, height_ - 1);
    Index const left = (std::max)(x - radius, Index{0}), right = (std::min)(x + radius, width_ - 1);
    bool even = true, drawn = false;
    float const ground = value(y, x - 1, c);
    for (Index row = top; row <= bottom; ++row) {
      for (Index column = left; column <= right; ++column) {
        bool const marked = (mark(row, column) & weak) != 0;
        others += marked;
        if (marked || to_unit(pixel(row, column)[c]) == ground) continue;
        drawn = true;
        even &= (std::max)(row > y ? row - y : y - row, column > x ? column - x : x - column) > 2;
      }
    }
    return others > most || (even && drawn);
  }

  bool replace(Index y, Index x, Index c) noexcept {
    std::array<T, 8> around;
    std::size_t count = 0;
    for (Index dy = -1; dy <= 1; ++dy) {
      for (Index dx = -1; dx <= 1; ++dx) {
        Index const row = mirrored(y + dy, height_), column = mirrored(x + dx, width_);
        if ((dy == 0 && dx == 0) || (mark(row, column) & confirmed << c) != 0) continue;
        T const value = pixel(row, column)[c];
        std::size_t at = count++;
        for (; at > 0 && around[at - 1] > value; --at) around[at] = around[at - 1];
        around[at] = value;
      }
    }
    if (count == 0) return false;
    samples_[(y * width_ + x) * channels_ + c] = around[count / 2];
    return true;
  }

  T* samples_;
  Index width_, height_, channels_, colours_;
  std::uint8_t* marks_;
};

}  // namespace detail

/// Replaces isolated samples that are brighter, or darker, than all of their neighbours by more than variation and
/// noise around them explain by the median of these. Lines, edges, stars that optics have blurred, dither and text
/// stay; so does alpha, and so do fully transparent pixels. Returns the number of pixels changed; 0 where a side is
/// shorter than 5 pixels. Errors: memory.
inline Result<Index> remove_hot_pixels(Image& image, ParallelFor const& parallel = {}) noexcept {
  constexpr Index shortest = 5;
  if (image.width() < shortest || image.height() < shortest) return Index{0};
  auto const counts = round_up(image.pixels(), alignment_bytes);
  auto const bytes = checked_sum(counts, image.height() * static_cast<Index>(sizeof(Index)));
  if (!bytes) return Error(ErrorCode::memory, "the marks of hot pixels need more memory than can be addressed");
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  auto* const marks = reinterpret_cast<std::uint8_t*>(memory->bytes().data());
  auto* const replaced = reinterpret_cast<Index*>(memory->bytes().data() + counts);
  image.visit([&](auto samples) {
    detail::HotPixels<typename decltype(samples)::value_type> hot(image, marks);
    parallel(image.height(), [&](Index y, Index) { hot.find(y); });
    // A row's marks are read by others while its own are confirmed, so one thread does it; there are few.
    for (Index y = 0; y < image.height(); ++y) hot.confirm(y);
    parallel(image.height(), [&](Index y, Index) { replaced[y] = hot.replace(y); });
  });
  Index sum = 0;
  for (Index y = 0; y < image.height(); ++y) sum += replaced[y];
  return sum;
}

}  // namespace mirnet::inline MIRNET_ABI

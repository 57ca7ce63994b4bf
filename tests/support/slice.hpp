// Maps as kernels of pixels get them: some channels of each pixel, the padding of their last line, what lies between
// these and the next pixel (as in a slice of a wider map), and guards around all of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/base/half.hpp>
#include <mirnet/tensor/shape.hpp>

#include "support/buffer.hpp"
#include "support/random.hpp"

namespace test {

/// Of a result in T of sums or functions in Accumulator<T>.
template <class T>
inline constexpr double rounding = epsilon<T> + epsilon<mirnet::Accumulator<T>>;

/// Random numbers that each type holds exactly.
inline std::vector<double> numbers(Index count, Random& random, float low = -1.0f, float high = 1.0f) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    value = static_cast<double>(static_cast<float>(mirnet::bfloat16(random.uniform(low, high))));
  }
  return values;
}

/// The same numbers in lines of channels, the padding zero.
template <class T>
Buffer<T> in_lines(std::vector<double> const& values) {
  Buffer<T> buffer(mirnet::pixel_pitch<T>(static_cast<Index>(values.size())));
  std::transform(values.begin(), values.end(), buffer.data(), [](double value) { return static_cast<T>(value); });
  return buffer;
}

/// `pixels` x `channels` of T, with so many lines between the pixels.
template <class T>
class Slice {
 public:
  Slice(Index pixels, Index channels, Index lines_between = 0)
      : pixels_(pixels),
        channels_(channels),
        lines_(mirnet::pixel_pitch<T>(channels)),
        pitch_(lines_ + lines_between * mirnet::channels_per_line<T>),
        buffer_(pixels * pitch_ + 2 * around, static_cast<T>(untouched)) {}

  /// Holds these numbers, pixel by pixel; the padding is zero.
  Slice(std::vector<double> const& values, Index pixels, Index channels, Index lines_between = 0)
      : Slice(pixels, channels, lines_between) {
    for (Index pixel = 0; pixel < pixels; ++pixel) {
      for (Index c = 0; c < lines_; ++c) {
        data()[pixel * pitch_ + c] = static_cast<T>(c < channels ? values[index(pixel, c)] : 0.0);
      }
    }
  }

  T* data() noexcept { return buffer_.data() + around; }
  T const* data() const noexcept { return buffer_.data() + around; }
  Index pitch() const noexcept { return pitch_; }
  Buffer<T> const& buffer() const noexcept { return buffer_; }
  double operator()(Index pixel, Index channel) const noexcept {
    return static_cast<double>(data()[pixel * pitch_ + channel]);
  }

  /// Empty where it holds expected(pixel, channel) within bound(pixel, channel), zeros in the padding and what lay
  /// around before, else what is wrong first. Infinities and NaN have to be what is expected.
  template <class Expected, class Bound>
  std::string mismatch(Expected expected, Bound bound) const {
    std::ostringstream text;
    text.precision(17);
    for (Index i = 0; i < buffer_.size(); ++i) {
      Index const at = i - around, pixel = at < 0 ? -1 : at / pitch_, c = at < 0 ? 0 : at % pitch_;
      bool const inside = at >= 0 && pixel < pixels_ && c < lines_;
      double const found = static_cast<double>(buffer_[i]);
      double const wanted = !inside         ? static_cast<double>(static_cast<T>(untouched))
                            : c < channels_ ? static_cast<double>(expected(pixel, c))
                                            : 0.0;
      double const most = inside && c < channels_ ? static_cast<double>(bound(pixel, c)) : 0.0;
      bool const same = found == wanted || (std::isnan(found) && std::isnan(wanted));
      if (same || std::abs(found - wanted) <= most) continue;
      text << "pixel " << pixel << ", channel " << c << " is " << found << ", not " << wanted << " within " << most;
      return text.str();
    }
    return {};
  }

  std::size_t index(Index pixel, Index channel) const noexcept {
    return static_cast<std::size_t>(pixel * channels_ + channel);
  }

 private:
  static constexpr Index around = 32;  // a line of the narrowest type

  Index pixels_, channels_, lines_, pitch_;
  Buffer<T> buffer_;
};

/// body(pixels, channels, lines between the pixels of the first map, and of the second): the sizes at which loops of
/// registers, of lines and of several pixels begin and end, then others.
template <class Body>
void each_size(Random& random, Body&& body) {
  for (Index const channels : {1, 3, 4, 8, 15, 16, 17, 31, 32, 33, 48, 70}) {
    for (Index const pixels : {1, 2, 3, 4, 5, 9}) body(pixels, channels, random.between(0, 2), random.between(0, 2));
  }
  for (int i = 0; i < 20; ++i) {
    body(random.between(1, 40), random.between(1, 200), random.between(0, 3), random.between(0, 3));
  }
}

}  // namespace test

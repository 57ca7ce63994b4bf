// Photographs as files hold them, interleaved samples of 8 or 16 bits or floats, and the way into the network's
// feature maps and back: three colour channels in [0, 1]. Gray is replicated to three channels and averaged
// afterwards; alpha never enters the network.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

enum class SampleType : std::uint8_t {
  u8,   ///< 0 to 255
  u16,  ///< 0 to 65535, in the machine's byte order
  f32,  ///< black is 0 and white is 1; values outside are kept
};

constexpr Index sample_bytes(SampleType type) noexcept {
  return type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
}

template <class T>
constexpr SampleType sample_type() noexcept {
  using Sample = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Sample, std::uint8_t>) return SampleType::u8;
  if constexpr (std::is_same_v<Sample, std::uint16_t>) return SampleType::u16;
  if constexpr (std::is_same_v<Sample, float>) return SampleType::f32;
}

/// Move-only. Rows top to bottom, pixels left to right, the samples of a pixel side by side, no padding anywhere.
/// Channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
class Image {
 public:
  Image() = default;

  /// An image whose samples are not initialised. Errors: memory, where it is too large to count or for the machine.
  static Result<Image> create(Index width, Index height, Index channels, SampleType type) noexcept {
    MIRNET_ASSERT(width >= 0 && height >= 0 && channels >= 1 && channels <= 4);
    auto const pixels = checked_product(width, height);
    auto const bytes = pixels ? checked_product(*pixels, channels * sample_bytes(type)) : pixels;
    if (!bytes) {
      return Error(ErrorCode::memory, "an image of %lld x %lld pixels has no size that can be counted",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    auto memory = Memory::allocate(*bytes);
    if (!memory) return memory.error();
    Image image;
    image.memory_ = *std::move(memory);
    image.width_ = width;
    image.height_ = height;
    image.channels_ = channels;
    image.type_ = type;
    return image;
  }

  Index width() const noexcept { return width_; }
  Index height() const noexcept { return height_; }
  Index pixels() const noexcept { return width_ * height_; }
  Index channels() const noexcept { return channels_; }
  Index colours() const noexcept { return channels_ < 3 ? 1 : 3; }
  bool has_alpha() const noexcept { return channels_ == 2 || channels_ == 4; }
  SampleType type() const noexcept { return type_; }

  std::span<std::byte> bytes() noexcept { return memory_.bytes().first(size()); }
  std::span<std::byte const> bytes() const noexcept { return memory_.bytes().first(size()); }

  /// The samples; T must be what type() says.
  template <class T>
  std::span<T> samples() noexcept {
    return typed<T>(*this);
  }
  template <class T>
  std::span<T const> samples() const noexcept {
    return typed<T const>(*this);
  }

  /// body(samples) with the span of the type that the image holds.
  template <class Body>
  decltype(auto) visit(Body&& body) {
    return visit_typed(*this, body);
  }
  template <class Body>
  decltype(auto) visit(Body&& body) const {
    return visit_typed(*this, body);
  }

 private:
  std::size_t size() const noexcept { return static_cast<std::size_t>(pixels() * channels_ * sample_bytes(type_)); }

  template <class T, class Self>
  static std::span<T> typed(Self& self) noexcept {
    MIRNET_ASSERT(sample_type<T>() == self.type_);
    auto const bytes = self.bytes();
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

  template <class Self, class Body>
  static decltype(auto) visit_typed(Self& self, Body& body) {
    switch (self.type_) {
      case SampleType::u8: return body(self.template samples<std::uint8_t>());
      case SampleType::u16: return body(self.template samples<std::uint16_t>());
      case SampleType::f32: break;
    }
    return body(self.template samples<float>());
  }

  Memory memory_;
  Index width_ = 0;
  Index height_ = 0;
  Index channels_ = 1;
  SampleType type_ = SampleType::u8;
};

/// What white is in samples of type T.
template <class T>
inline constexpr float white = std::is_same_v<T, float>          ? 1.0f
                               : std::is_same_v<T, std::uint8_t> ? 255.0f
                                                                 : 65535.0f;

/// A sample on the scale where black is 0 and white is 1. It is divided, as PyTorch programs do, not multiplied by a
/// reciprocal, which differs in the last bit.
template <class T>
constexpr float to_unit(T sample) noexcept {
  return static_cast<float>(sample) / white<T>;
}

/// The nearest sample to a value on that scale. Integers are clamped, and NaN becomes 0; floats are kept as they are.
template <class T>
constexpr T from_unit(float value) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    float const scaled = value * white<T>;
    float const clamped = scaled > 0.0f ? (scaled < white<T> ? scaled : white<T>) : 0.0f;
    return static_cast<T>(clamped + 0.5f);
  }
}

/// The same picture in samples of another type. Errors: memory.
inline Result<Image> convert_samples(Image const& image, SampleType type) noexcept {
  auto converted = Image::create(image.width(), image.height(), image.channels(), type);
  if (!converted) return converted;
  image.visit([&](auto from) {
    converted->visit([&](auto to) {
      using To = typename decltype(to)::value_type;
      for (std::size_t i = 0; i < to.size(); ++i) to[i] = from_unit<To>(to_unit(from[i]));
    });
  });
  return converted;
}

namespace detail {

/// The three colours of a pixel of an image with so many colours, on the scale where white is 1.
template <class T>
constexpr std::array<float, 3> unit_colours(T const* pixel, Index colours) noexcept {
  Index const green = colours == 3 ? 1 : 0;
  return {to_unit(pixel[0]), to_unit(pixel[green]), to_unit(pixel[2 * green])};
}

}  // namespace detail

/// Writes the colours of a rectangle of an image, from pixel (first_row, first_column) on, to a map with three
/// channels.
inline void to_map(Image const& image, Index first_row, Index first_column, View<float> map) noexcept {
  MIRNET_ASSERT(map.channels() == 3 && first_row + map.height() <= image.height() &&
                first_column + map.width() <= image.width());
  image.visit([&](auto samples) {
    for (Index y = 0; y < map.height(); ++y) {
      auto const* from = samples.data() + ((first_row + y) * image.width() + first_column) * image.channels();
      float* to = map.row(y);
      for (Index x = 0; x < map.width(); ++x, from += image.channels(), to += map.pitch()) {
        auto const colours = detail::unit_colours(from, image.colours());
        std::copy(colours.begin(), colours.end(), to);
      }
    }
  });
}

/// All of an image to a map of its size.
inline void to_map(Image const& image, View<float> map) noexcept {
  MIRNET_ASSERT((map.shape() == Shape{image.height(), image.width(), 3}));
  to_map(image, 0, 0, map);
}

/// Writes a map of three channels that is as wide as the image over its colours, from row `first_row` on.
inline void put_rows(View<float const> map, Image& image, Index first_row) noexcept {
  MIRNET_ASSERT(map.channels() == 3 && map.width() == image.width() && first_row + map.height() <= image.height());
  image.visit([&](auto samples) {
    using T = typename decltype(samples)::value_type;
    T* to = samples.data() + first_row * image.width() * image.channels();
    for (Index y = 0; y < map.height(); ++y) {
      float const* from = map.row(y);
      for (Index x = 0; x < map.width(); ++x, to += image.channels(), from += map.pitch()) {
        if (image.colours() == 1) {
          to[0] = from_unit<T>((from[0] + from[1] + from[2]) / 3.0f);
        } else {
          for (Index c = 0; c < 3; ++c) to[c] = from_unit<T>(from[c]);
        }
      }
    }
  });
}

/// An image with the size, the channels, the sample type and the alpha of `original`; its colours are not set.
/// Errors: memory.
inline Result<Image> colourless_copy(Image const& original) noexcept {
  auto image = Image::create(original.width(), original.height(), original.channels(), original.type());
  if (image && original.has_alpha()) {
    std::memcpy(image->bytes().data(), original.bytes().data(), original.bytes().size());
  }
  return image;
}

/// The image that a map of three channels shows, with the size, the channels, the sample type and the alpha of
/// `original`. Errors: memory.
inline Result<Image> from_map(View<float const> map, Image const& original) noexcept {
  MIRNET_ASSERT(map.height() == original.height());
  auto image = colourless_copy(original);
  if (image) put_rows(map, *image, 0);
  return image;
}

}  // namespace mirnet::inline MIRNET_ABI

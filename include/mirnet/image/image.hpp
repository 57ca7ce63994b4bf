// Photographs in memory, as files hold them: interleaved samples of 8 or 16 bits, or floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/image/samples.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

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

  /// Calls body(samples) with a span of the image's sample type.
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

/// The rows of an image, or those from some column on, as samples of type T.
template <class T>
struct ImageRows {
  using Sample = std::remove_const_t<T>;
  using Byte = std::conditional_t<std::is_const_v<T>, std::byte const, std::byte>;

  Byte* first;
  std::ptrdiff_t stride;  ///< bytes from a row to the next

  T* operator()(Index y) const noexcept { return reinterpret_cast<T*>(first + y * stride); }
};

/// An image in somebody else's memory, passed by value. Rows may lie any number of bytes apart, and the distance is
/// negative where they go from bottom to top. Samples are aligned to their type. Byte is std::byte, or std::byte const
/// if the samples are only read; images convert to views, and views to those that only read.
template <class Byte>
class BasicImageView {
  using Owner = std::conditional_t<std::is_const_v<Byte>, Image const, Image>;

 public:
  BasicImageView() = default;
  /// `samples` is where row 0 begins. It is null where only the format counts, as in plans.
  BasicImageView(Byte* samples, Index width, Index height, Index channels, SampleType type,
                 std::ptrdiff_t stride) noexcept
      : samples_(samples), stride_(stride), width_(width), height_(height), channels_(channels), type_(type) {}
  BasicImageView(Owner& image) noexcept
      : BasicImageView(image.bytes().data(), image.width(), image.height(), image.channels(), image.type(),
                       static_cast<std::ptrdiff_t>(image.width() * image.channels() * sample_bytes(image.type()))) {}
  template <class Other>
    requires std::is_same_v<Other const, Byte> BasicImageView(BasicImageView<Other> const& other)
  noexcept
      : BasicImageView(other.samples(), other.width(), other.height(), other.channels(), other.type(), other.stride()) {
  }

  Byte* samples() const noexcept { return samples_; }
  std::ptrdiff_t stride() const noexcept { return stride_; }
  Index width() const noexcept { return width_; }
  Index height() const noexcept { return height_; }
  Index channels() const noexcept { return channels_; }
  Index colours() const noexcept { return channels_ < 3 ? 1 : 3; }
  bool has_alpha() const noexcept { return channels_ == 2 || channels_ == 4; }
  SampleType type() const noexcept { return type_; }
  /// Of the samples of a row.
  Index row_bytes() const noexcept { return width_ * channels_ * sample_bytes(type_); }

  /// Calls body(rows) with an ImageRows of the image's sample type; rows(y) is the pixel of row y in column `first`.
  template <class Body>
  decltype(auto) visit(Body&& body, Index first = 0) const {
    switch (type_) {
      case SampleType::u8: return body(rows<std::uint8_t>(first));
      case SampleType::u16: return body(rows<std::uint16_t>(first));
      case SampleType::f32: break;
    }
    return body(rows<float>(first));
  }

  /// The rows from column `first` on; T must be what type() says.
  template <class T>
  auto rows(Index first = 0) const noexcept {
    MIRNET_ASSERT(sample_type<T>() == type_);
    using Sample = std::conditional_t<std::is_const_v<Byte>, T const, T>;
    return ImageRows<Sample>{samples_ + first * channels_ * static_cast<Index>(sizeof(T)), stride_};
  }

 private:
  Byte* samples_ = nullptr;
  std::ptrdiff_t stride_ = 0;
  Index width_ = 0, height_ = 0, channels_ = 1;
  SampleType type_ = SampleType::u8;
};

using ImageView = BasicImageView<std::byte const>;
using MutableImageView = BasicImageView<std::byte>;

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

/// An image with the size, the channels, the sample type and the alpha of `original`; its colours are not set.
/// Errors: memory.
inline Result<Image> colourless_copy(Image const& original) noexcept {
  auto image = Image::create(original.width(), original.height(), original.channels(), original.type());
  if (image && original.has_alpha()) {
    std::memcpy(image->bytes().data(), original.bytes().data(), original.bytes().size());
  }
  return image;
}

}  // namespace mirnet::inline MIRNET_ABI

// A feature map that somebody else owns.
#pragma once

#include <type_traits>

#include <mirnet/config.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// p + n, and null for null: while a network is rehearsed without memory its maps have none.
template <class T>
constexpr T* advance(T* p, Index n) noexcept {
  return p == nullptr ? nullptr : p + n;
}

/// Element (y, x, c) is at data[(y*width + x)*pitch + c]; channels from `channels` up to the pitch are padding,
/// which kernels read as zeros and keep at zero. Passed by value; View<T> converts to View<T const>.
template <class T>
class View {
 public:
  constexpr View() = default;
  constexpr View(T* data, Shape shape) noexcept
      : View(data, shape, pixel_pitch<std::remove_const_t<T>>(shape.channels)) {}
  constexpr View(T* data, Shape shape, Index pitch) noexcept : data_(data), shape_(shape), pitch_(pitch) {
    MIRNET_ASSERT(pitch >= shape.channels);
  }
  template <class U>
    requires std::is_same_v<U const, T>
  constexpr View(View<U> other) noexcept : View(other.data(), other.shape(), other.pitch()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr Shape shape() const noexcept { return shape_; }
  constexpr Index height() const noexcept { return shape_.height; }
  constexpr Index width() const noexcept { return shape_.width; }
  constexpr Index channels() const noexcept { return shape_.channels; }
  constexpr Index pixels() const noexcept { return shape_.pixels(); }
  constexpr Index pitch() const noexcept { return pitch_; }

  constexpr T* row(Index y) const noexcept { return data_ + y * shape_.width * pitch_; }
  constexpr T* pixel(Index y, Index x) const noexcept { return data_ + (y * shape_.width + x) * pitch_; }
  constexpr T& operator()(Index y, Index x, Index c) const noexcept {
    MIRNET_ASSERT(y >= 0 && y < height() && x >= 0 && x < width() && c >= 0 && c < channels());
    return pixel(y, x)[c];
  }

 private:
  T* data_ = nullptr;
  Shape shape_{};
  Index pitch_ = 0;
};

/// Channels [first, first + count) of a map, for instance to let a layer write its part of what would otherwise be a
/// concatenation. Layers take slices of whole 64-byte lines: `first` is a multiple of channels_per_line<T>, and so is
/// `count`, unless the slice goes to the map's last channel.
template <class T>
constexpr View<T> channel_slice(View<T> map, Index first, Index count) noexcept {
  [[maybe_unused]] constexpr Index line = channels_per_line<std::remove_const_t<T>>;
  MIRNET_ASSERT(first >= 0 && count >= 0 && first + count <= map.channels() && first % line == 0);
  MIRNET_ASSERT(count % line == 0 || first + count == map.channels());
  return {advance(map.data(), first), {map.height(), map.width(), count}, map.pitch()};
}

/// Parameters of functions whose T is the context's: maps, and views of other constness, convert to them.
template <class T>
using ViewOf = View<std::type_identity_t<T>>;

}  // namespace mirnet::inline MIRNET_ABI

// Random numbers that are the same on every machine, and the ways tests fill memory with them.
#pragma once

#include <cstdint>
#include <span>

#include <mirnet/tensor/view.hpp>

namespace test {

using mirnet::Index;

/// SplitMix64: the standard library's engines are the same everywhere, its distributions are not.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t bits() noexcept {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }

  /// From [low, high), a float whatever it is kept in: the same values can be given to kernels of both types.
  float uniform(float low = -1.0f, float high = 1.0f) noexcept {
    return low + (high - low) * (static_cast<float>(bits() >> 40) * 0x1p-24f);
  }

  /// From [first, last], both included.
  Index between(Index first, Index last) noexcept {
    return first + static_cast<Index>(bits() % static_cast<std::uint64_t>(last - first + 1));
  }

  /// One of a list.
  template <class T, std::size_t n>
  T pick(T const (&list)[n]) noexcept {
    return list[bits() % n];
  }

 private:
  std::uint64_t state_;
};

template <class T>
void fill(std::span<T> values, Random& random, float low = -1.0f, float high = 1.0f) noexcept {
  for (T& value : values) value = static_cast<T>(random.uniform(low, high));
}

/// All channels; the padding stays as it is.
template <class T>
void fill(mirnet::View<T> map, Random& random, float low = -1.0f, float high = 1.0f) noexcept {
  for (Index pixel = 0; pixel < map.pixels(); ++pixel) {
    T* const first = map.pixel(pixel / map.width(), pixel % map.width());
    fill(std::span<T>(first, static_cast<std::size_t>(map.channels())), random, low, high);
  }
}

/// body(first, last) for ranges of at most `most` that make up [0, total): whole ones in order, or with `random` some
/// of any length, the last one first.
template <class Body>
void in_ranges(Index total, Index most, Random* random, Body&& body) {
  if (random == nullptr) {
    for (Index first = 0; first < total; first += most) body(first, first + most < total ? first + most : total);
  } else {
    for (Index last = total, first; last > 0; last = first) {
      first = last - random->between(1, most < last ? most : last);
      body(first, last);
    }
  }
}

}  // namespace test

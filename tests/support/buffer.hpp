// Memory for kernels to work on, and its comparison with what should be there: outputs lie between guards, whole
// buffers are compared, and what a kernel has no business with must be as it was.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/base/half.hpp>
#include <mirnet/tensor/shape.hpp>

namespace test {

using mirnet::Index;

template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{mirnet::alignment_bytes};

  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(AlignedAllocator<U> const&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
  void deallocate(T* p, std::size_t) noexcept { ::operator delete(p, alignment); }
  friend bool operator==(AlignedAllocator const&, AlignedAllocator const&) = default;
};

/// A vector that starts at a multiple of 64 bytes, and counts in Index. Its end is where a sanitizer says it is.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size, T value = T(0)) : elements_(static_cast<std::size_t>(size), value) {}

  /// The same numbers in another type.
  template <class U>
  explicit Buffer(Buffer<U> const& other) : elements_(other.begin(), other.end()) {}

  Index size() const noexcept { return static_cast<Index>(elements_.size()); }
  T* data() noexcept { return elements_.data(); }
  T const* data() const noexcept { return elements_.data(); }
  auto begin() const noexcept { return elements_.begin(); }
  auto end() const noexcept { return elements_.end(); }
  T& operator[](Index i) noexcept { return elements_[static_cast<std::size_t>(i)]; }
  T const& operator[](Index i) const noexcept { return elements_[static_cast<std::size_t>(i)]; }
  std::span<T> span() noexcept { return elements_; }

  /// All elements without their signs.
  Buffer magnitudes() const {
    Buffer result = *this;
    for (T& x : result.elements_) x = std::abs(x);
    return result;
  }

 private:
  std::vector<T, AlignedAllocator<T>> elements_;
};

/// What outputs hold before a kernel runs. Not a NaN, which a kernel might spread unnoticed.
inline constexpr float untouched = -12345.0f;

/// Elements before and behind an output.
inline constexpr Index guard = 16;

/// An output of `size` elements between its guards: it starts at data() + guard.
template <class T>
Buffer<T> guarded(Index size) {
  return Buffer<T>(size + 2 * guard, static_cast<T>(untouched));
}

/// Empty where |actual[i] - expected[i]| <= bound(i) for all i, else what is wrong first. Both are guarded.
template <class T, class Expected, std::invocable<Index> Bound>
std::string mismatch(Buffer<T> const& actual, Buffer<Expected> const& expected, Bound bound) {
  std::ostringstream text;
  text.precision(std::numeric_limits<T>::max_digits10);
  if (actual.size() != expected.size()) {
    text << actual.size() << " elements, not " << expected.size();
    return text.str();
  }
  for (Index i = 0; i < actual.size(); ++i) {
    double const error = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    if (error <= static_cast<double>(bound(i))) continue;
    text << "element " << i - guard << " is " << actual[i] << ", not " << expected[i] << " within " << bound(i);
    return text.str();
  }
  return {};
}

template <class T, class Expected>
std::string mismatch(Buffer<T> const& actual, Buffer<Expected> const& expected, double bound = 0.0) {
  return mismatch(actual, expected, [bound](Index) { return bound; });
}

template <class T>
bool same_bits(Buffer<T> const& a, Buffer<T> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

/// The distance from 1 to the next number.
template <class T>
inline constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
template <>
inline constexpr double epsilon<mirnet::bfloat16> = 0x1p-7;

}  // namespace test

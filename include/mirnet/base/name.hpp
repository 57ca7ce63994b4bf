// Dotted names of layers and tensors, as checkpoints have them, without a heap.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include <mirnet/base/integer.hpp>
#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// "body.0.body.1.conv_out": Name("body") / 0 / "body" / 1 / "conv_out". At most 120 characters.
class Name {
 public:
  static constexpr std::size_t capacity = 120;

  Name() = default;
  explicit constexpr Name(std::string_view text) noexcept { append(text); }

  constexpr Name& operator+=(std::string_view text) noexcept {
    append(text);
    return *this;
  }
  constexpr Name& operator+=(Index number) noexcept {
    char digits[24] = {};
    char* first = digits + sizeof digits;
    do *--first = static_cast<char>('0' + number % 10);
    while ((number /= 10) > 0);
    return *this += std::string_view(first, static_cast<std::size_t>(digits + sizeof digits - first));
  }
  /// Joined by a dot.
  template <class Part>
  constexpr Name& operator/=(Part part) noexcept {
    if (size_ > 0) append(".");
    return *this += part;
  }

  // Not inlined: networks join many names.
  template <class Part>
  MIRNET_NOINLINE friend constexpr Name operator+(Name const& name, Part part) noexcept {
    Name result = name;
    result += part;
    return result;
  }
  template <class Part>
  MIRNET_NOINLINE friend constexpr Name operator/(Name const& name, Part part) noexcept {
    Name result = name;
    result /= part;
    return result;
  }

  constexpr std::string_view view() const noexcept { return {text_, size_}; }
  /// Ends with a zero.
  constexpr char const* c_str() const noexcept { return text_; }

 private:
  constexpr void append(std::string_view text) noexcept {
    MIRNET_ASSERT(text.size() <= capacity - size_);
    std::copy(text.begin(), text.end(), text_ + size_);
    size_ += text.size();
    text_[size_] = '\0';
  }

  std::size_t size_ = 0;
  char text_[capacity + 1] = {};
};

/// Takes the place of Name where names are not needed: joining it with anything gives nothing.
struct Unnamed {
  template <class Part>
  friend constexpr Unnamed operator+(Unnamed, Part const&) noexcept {
    return {};
  }
  template <class Part>
  friend constexpr Unnamed operator/(Unnamed, Part const&) noexcept {
    return {};
  }
};

}  // namespace mirnet::inline MIRNET_ABI

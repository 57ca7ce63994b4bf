// Errors as values. Whatever can fail because of its input returns a Result: a value, or an Error with a code
// and one sentence that names the thing, what was found and what was expected. Nothing here allocates.
#pragma once

#include <cstdarg>
#include <utility>
#include <variant>

#include <mirnet/config.hpp>

#if MIRNET_EXCEPTIONS
#include <stdexcept>
#endif

namespace mirnet::inline MIRNET_ABI {

/// What kind of thing went wrong; the command-line program has an exit code for each.
enum class ErrorCode {
  internal = 1,          ///< a defect of this library
  invalid_argument = 2,  ///< an option or argument of the caller
  input = 3,             ///< an input that is missing, unreadable or damaged
  model = 4,             ///< a weight file that is missing, damaged or of another kind
  memory = 5,            ///< memory that cannot be had, or a size that no memory can hold
  unmet = 6,             ///< a figure that the caller demands is not reached
  partial = 7,           ///< some of several inputs failed
  output = 8,            ///< an output that cannot be written
  cancelled = 130,       ///< stopped by the user: what shells say of a program ended by Ctrl-C
};

/// A code and a sentence without a full stop; sentences of more than 511 bytes are cut. An expression that has to be
/// constant and comes to an error does not compile; compilers show the sentence.
class Error {
 public:
  MIRNET_PRINTF(3, 4) Error(ErrorCode code, char const* format, ...) noexcept : code_(code) {
    std::va_list arguments;
    va_start(arguments, format);
    MIRNET_VSNPRINTF(message_, sizeof message_, format, arguments);
    va_end(arguments);
  }

  ErrorCode code() const noexcept { return code_; }
  char const* message() const noexcept { return message_; }

 private:
  template <class>
  friend class Result;
  constexpr Error() noexcept {}  // never called: makes a Result possible in constant expressions

  ErrorCode code_;
  char message_[512];
};

namespace detail {

[[noreturn]] inline void no_value([[maybe_unused]] Error const& error) {
#if MIRNET_EXCEPTIONS
  throw std::runtime_error(error.message());
#else
  MIRNET_FATAL(error.message());
#endif
}

}  // namespace detail

/// A T or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T held) noexcept : state_(std::in_place_index<0>, std::move(held)) {}
  constexpr Result(Error const& error) noexcept : state_(std::in_place_index<1>, error) {}

  constexpr bool ok() const noexcept { return state_.index() == 0; }
  explicit constexpr operator bool() const noexcept { return ok(); }

  /// The value, which must be there.
  constexpr T& operator*() & noexcept { return *checked(); }
  constexpr T const& operator*() const& noexcept { return *const_cast<Result*>(this)->checked(); }
  constexpr T&& operator*() && noexcept { return std::move(*checked()); }
  constexpr T* operator->() noexcept { return checked(); }
  constexpr T const* operator->() const noexcept { return const_cast<Result*>(this)->checked(); }

  /// The error, which must be there.
  constexpr Error const& error() const noexcept {
    MIRNET_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

  /// The value; throws std::runtime_error with the sentence if there is none (MIRNET_FATAL without exceptions).
  constexpr T& value() & {
    if (!ok()) detail::no_value(error());
    return **this;
  }
  constexpr T const& value() const& {
    if (!ok()) detail::no_value(error());
    return **this;
  }
  constexpr T value() && {
    if (!ok()) detail::no_value(error());
    return std::move(**this);
  }

 private:
  constexpr T* checked() noexcept {
    MIRNET_ASSERT(ok());
    // GCC 12 has no constant std::get_if of a temporary. Anywhere else std::get would bring an exception with it, and
    // the standard library's question a function that is called where nothing is optimised.
    if (__builtin_is_constant_evaluated()) return &std::get<0>(state_);
    return std::get_if<0>(&state_);
  }

  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  constexpr Result() noexcept = default;
  constexpr Result(Error const& error) noexcept : state_(std::in_place_index<1>, error) {}

  constexpr bool ok() const noexcept { return state_.index() == 0; }
  explicit constexpr operator bool() const noexcept { return ok(); }
  constexpr Error const& error() const noexcept {
    MIRNET_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  void value() const {
    if (!ok()) detail::no_value(error());
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace mirnet::inline MIRNET_ABI

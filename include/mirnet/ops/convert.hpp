// Converts maps from one type of numbers to another.
//
// Integers of 8 and 16 bits are samples of images: 0 to 255 or 65535 stand for 0 to 1. Conversion to samples
// multiplies, clamps to that range and rounds to the nearest (halves up); NaN becomes 0. Conversion from samples
// divides. Between 8 and 16 bits the result is the nearest sample, exactly. Everything else is computed in float, or in
// double if either type is double. Conversion between floating-point types rounds to the nearest, ties to even; from
// double to 16 bits it goes by way of float. Numbers that are too large become infinity, and NaN stays NaN.
#pragma once

#include <mirnet/ops/copy.hpp>
#include <mirnet/ops/operands.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

namespace ops_detail {

template <class T>
inline constexpr bool is_sample = std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::uint16_t>;

template <class T>
inline constexpr bool is_convertible_number = is_sample<T> || std::is_same_v<T, float> || std::is_same_v<T, double> ||
                                              std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

/// The sample that stands for 1.
template <class T>
inline constexpr float one_in_samples = std::is_same_v<T, std::uint8_t> ? 255.0f : 65535.0f;

template <class To, class From>
MIRNET_ALWAYS_INLINE To converted(From value) noexcept {
  if constexpr (std::is_same_v<From, To>) {
    return value;
  } else if constexpr (is_sample<From> && is_sample<To>) {
    if constexpr (sizeof(To) > sizeof(From)) return static_cast<To>(value * 257);
    return static_cast<To>((value + 128) / 257);
  } else if constexpr (is_sample<From>) {
    using Real = Accumulator<To>;
    return static_cast<To>(static_cast<Real>(value) / static_cast<Real>(one_in_samples<From>));
  } else if constexpr (is_sample<To>) {
    using Real = Accumulator<From>;
    constexpr Real most = static_cast<Real>(one_in_samples<To>);
    Real const scaled = static_cast<Real>(value) * most;
    Real const clamped = scaled > Real(0) ? (most > scaled ? scaled : most) : Real(0);
    return static_cast<To>(clamped + Real(0.5));
  } else {
    return static_cast<To>(static_cast<Accumulator<From>>(value));
  }
}

/// Converts as much of a run as fills whole registers; returns how many numbers that is.
template <class From, class To>
MIRNET_ALWAYS_INLINE Index convert_packs([[maybe_unused]] From const* from, [[maybe_unused]] Index count,
                                         [[maybe_unused]] To* to) noexcept {
  Index i = 0;
#if !MIRNET_NO_SIMD
  using namespace simd;
  if constexpr (has_packs<From> && has_packs<To>) {
    for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  } else if constexpr (has_packs<From> && is_sample<To>) {
    Pack const zero = broadcast(0.0f), most = broadcast(one_in_samples<To>), half = broadcast(0.5f);
    for (; i + lanes <= count; i += lanes) {
      Pack const scaled = load(from + i) * most;
      Pack const positive = where_greater(scaled, zero, scaled, zero);
      alignas(64) float number[lanes];
      store(number, where_greater(most, positive, positive, most) + half);
      for (Index lane = 0; lane < lanes; ++lane)
        to[i + lane] = static_cast<To>(static_cast<std::int32_t>(number[lane]));
    }
  } else if constexpr (is_sample<From> && has_packs<To>) {
    Pack const most = broadcast(one_in_samples<From>);
    for (; i + lanes <= count; i += lanes) {
      alignas(64) float number[lanes];
      for (Index lane = 0; lane < lanes; ++lane) number[lane] = static_cast<float>(from[i + lane]);
      store(to + i, divide(load(number), most));
    }
  }
#endif
  return i;
}

}  // namespace ops_detail

/// Converts between any two of float, double, bfloat16, float16 (base/half.hpp), std::uint8_t and std::uint16_t.
/// Errors: invalid_argument, where the shapes differ.
template <class From, class To>
Result<void> convert(View<From> from, View<To> to) noexcept {
  using Source = std::remove_const_t<From>;
  static_assert(ops_detail::is_convertible_number<Source> && ops_detail::is_convertible_number<std::remove_const_t<To>>,
                "convert: there are float, double, bfloat16, float16, std::uint8_t and std::uint16_t");
  ops_detail::check_types<To>();
  if constexpr (std::is_same_v<Source, To>) return copy(from, to);
  auto const checked = ops_detail::check_same("convert", from.shape(), to.shape());
  if (!checked) return checked;
  ops_detail::each_run(
      [](Index count, Source const* run, To* into) MIRNET_INLINE_LAMBDA {
        for (Index i = ops_detail::convert_packs(run, count, into); i < count; ++i) {
          into[i] = ops_detail::converted<To>(run[i]);
        }
      },
      View<Source const>(from), to);
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA

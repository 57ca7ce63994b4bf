// Results and errors, arithmetic that must not wrap, names, checksums and 16-bit numbers.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <mirnet/base/crc32c.hpp>
#include <mirnet/base/half.hpp>
#include <mirnet/base/integer.hpp>
#include <mirnet/base/name.hpp>
#include <mirnet/base/result.hpp>

#include "support/random.hpp"

using namespace mirnet;

namespace {

constexpr Index largest = std::numeric_limits<Index>::max();

Result<std::unique_ptr<int>> parse(bool good) {
  if (!good) return Error(ErrorCode::input, "%s: %d where %d was expected", "a.png", 3, 4);
  return std::make_unique<int>(7);
}

}  // namespace

TEST_CASE("a result has a value, which may be move-only") {
  auto result = parse(true);
  REQUIRE(result.ok());
  CHECK(result);
  CHECK(**result == 7);
  CHECK(*result->get() == 7);
  CHECK(*std::as_const(result)->get() == 7);
  CHECK(*result.value() == 7);
  result.value() = std::make_unique<int>(8);
  std::unique_ptr<int> const taken = *std::move(result);
  CHECK(*taken == 8);
  CHECK(*parse(true).value() == 7);
}

TEST_CASE("or an error with a code and a sentence, which value() throws") {
  auto result = parse(false);
  CHECK(!result.ok());
  CHECK(!result);
  CHECK(result.error().code() == ErrorCode::input);
  CHECK(std::string(result.error().message()) == "a.png: 3 where 4 was expected");
  CHECK_THROWS_WITH_AS(result.value(), "a.png: 3 where 4 was expected", std::runtime_error);
  CHECK_THROWS_WITH_AS(parse(false).value(), "a.png: 3 where 4 was expected", std::runtime_error);
}

TEST_CASE("a result without a value is success or an error") {
  Result<void> const success, failure = Error(ErrorCode::output, "no");
  CHECK(success.ok());
  CHECK_NOTHROW(success.value());
  CHECK(!failure);
  CHECK(failure.error().code() == ErrorCode::output);
  CHECK_THROWS_WITH_AS(failure.value(), "no", std::runtime_error);
}

TEST_CASE("the sentence of an error is cut at 511 bytes") {
  for (int const length : {0, 1, 510, 511, 512, 5000}) {
    CAPTURE(length);
    std::string const text(static_cast<std::size_t>(length), 'x');
    CHECK(Error(ErrorCode::internal, "%s", text.c_str()).message() == text.substr(0, 511));
  }
}

TEST_CASE("division and rounding upwards") {
  CHECK(divide_up(0, 16) == 0);
  CHECK(divide_up(1, 16) == 1);
  CHECK(divide_up(16, 16) == 1);
  CHECK(divide_up(17, 16) == 2);
  CHECK(round_up(0, 16) == 0);
  CHECK(round_up(1, 16) == 16);
  CHECK(round_up(32, 16) == 32);
  CHECK(round_up(7, 1) == 7);
}

TEST_CASE("products and sums are right or nothing") {
  CHECK(checked_product(0, largest) == 0);
  CHECK(checked_product(largest, 0) == 0);
  CHECK(checked_product(1, largest) == largest);
  CHECK(checked_product(2, largest / 2) == largest - 1);
  CHECK(checked_product(2, largest / 2 + 1) == std::nullopt);
  CHECK(checked_product(largest, largest) == std::nullopt);
  CHECK(checked_sum(largest, 0) == largest);
  CHECK(checked_sum(largest - 1, 1) == largest);
  CHECK(checked_sum(largest, 1) == std::nullopt);
  CHECK(checked_sum(1, largest) == std::nullopt);
  CHECK(checked_sum(largest, largest) == std::nullopt);
}

TEST_CASE("names are joined by dots") {
  CHECK((Name("body") / 0 / "body" / 1 / "conv_out").view() == "body.0.body.1.conv_out");
  CHECK((Name() / "weight").view() == "weight");
  CHECK((Name() / 0).view() == "0");
  CHECK((Name("a") + "b" + 12).view() == "ab12");
  CHECK((Name("a") / largest).view() == "a." + std::to_string(largest));
  CHECK(Name().view().empty());
  CHECK(std::string(Name().c_str()).empty());

  std::string const longest(Name::capacity, 'x');
  CHECK(Name(longest).c_str() == longest);
  Name const prefix("down");
  CHECK((prefix / 1).view() == "down.1");
  CHECK(prefix.view() == "down");
}

TEST_CASE("CRC-32C: the check value, whatever the pieces") {
  auto const checksum = [](std::initializer_list<std::string_view> pieces) {
    Crc32c crc;
    for (auto const piece : pieces) crc.add(std::as_bytes(std::span(piece)));
    return crc.value();
  };
  CHECK(checksum({}) == 0);
  CHECK(checksum({"123456789"}) == 0xE3069283u);
  // RFC 3720, B.4: 32 bytes of zeros, and of ones.
  CHECK(checksum({std::string(32, '\0')}) == 0x8A9136AAu);
  CHECK(checksum({std::string(32, '\xFF')}) == 0x62A8AB43u);

  std::string text(41, '\0');
  test::Random random(1);
  for (char& c : text) c = static_cast<char>(random.bits());
  std::string_view const whole = text;
  for (std::size_t first = 0; first <= whole.size(); ++first) {
    for (std::size_t second = first; second <= whole.size(); ++second) {
      CAPTURE(first);
      CAPTURE(second);
      CHECK(checksum({whole.substr(0, first), whole.substr(first, second - first), whole.substr(second)}) ==
            checksum({whole}));
    }
  }
}

TEST_CASE("CRC-32C: the same with the processor's instruction and by tables, for every length and address") {
#if defined(__x86_64__) && defined(__GNUC__)
  CHECK(Crc32c::uses_instruction() == (__builtin_cpu_supports("sse4.2") != 0));
#elif defined(__ARM_FEATURE_CRC32) && !defined(__ARM_BIG_ENDIAN)
  CHECK(Crc32c::uses_instruction());
#else
  CHECK_FALSE(Crc32c::uses_instruction());
#endif
  std::vector<std::byte> bytes(20000);
  test::Random random(2);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.bits());
  // Bit by bit, as RFC 3720 defines it.
  auto const plain = [](std::uint32_t state, std::span<std::byte const> part) {
    for (std::byte const b : part) {
      state ^= std::to_integer<std::uint32_t>(b);
      for (int bit = 0; bit < 8; ++bit) state = state >> 1 ^ (state & 1 ? 0x82F63B78u : 0u);
    }
    return state;
  };
  auto const check = [&](std::size_t first, std::size_t size) {
    CAPTURE(first);
    CAPTURE(size);
    auto const part = std::span<std::byte const>(bytes).subspan(first, size);
    std::uint32_t const expected = plain(~0u, part);
    CHECK(detail::crc32c_by_tables(~0u, part) == expected);
    Crc32c crc;
    crc.add(part);
    CHECK(crc.value() == ~expected);
    // What was added before goes on behind.
    Crc32c twice = crc;
    twice.add(part);
    CHECK(twice.value() == ~detail::crc32c_by_tables(expected, part));
    Crc32c joined = crc;
    joined.append(crc, size);
    CHECK(joined.value() == twice.value());
  };
  for (std::size_t size = 0; size < 80; ++size) {
    for (std::size_t first = 0; first < 9; ++first) check(first, size);
  }
  // Around what is taken side by side.
  for (std::size_t const size : {1023u, 1024u, 3071u, 3072u, 3073u, 3079u, 6143u, 6144u, 6153u, 19990u}) {
    for (std::size_t first = 0; first < 9; ++first) check(first, size);
  }

  constexpr std::array<std::byte, 9> digits = {std::byte{'1'}, std::byte{'2'}, std::byte{'3'},
                                               std::byte{'4'}, std::byte{'5'}, std::byte{'6'},
                                               std::byte{'7'}, std::byte{'8'}, std::byte{'9'}};
  constexpr std::uint32_t when_compiled = [&] {
    Crc32c crc;
    crc.add(digits);
    return crc.value();
  }();
  static_assert(when_compiled == 0xE3069283u);
}

TEST_CASE("binary16: all 65536 numbers, to the bit") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    float const value = from_half(static_cast<std::uint16_t>(bits));
    int const exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    bool right = std::signbit(value) == (bits >> 15 != 0);
    if (exponent == 31) {
      right = right && (fraction == 0 ? std::isinf(value) : std::isnan(value));
    } else {
      float const magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                            : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
      right = right && std::abs(value) == magnitude;
    }
    wrong += !right;
  }
  CHECK(wrong == 0);
  CHECK(from_half(0x3C00) == 1.0f);
  CHECK(from_half(0xC000) == -2.0f);
  CHECK(from_half(0x7BFF) == 65504.0f);
  CHECK(from_half(0x0001) == 0x1p-24f);
}

TEST_CASE("binary16 takes the nearest number, ties to even") {
  for (std::uint32_t bits = 0; bits < 0x7C00; ++bits) {
    auto const half = static_cast<std::uint16_t>(bits);
    float const value = from_half(half);
    REQUIRE(to_half(value) == half);
    REQUIRE(to_half(-value) == (half | 0x8000));
    // Halfway to the next one, and right beside.
    float const next = bits == 0x7BFF ? 65536.0f : from_half(static_cast<std::uint16_t>(bits + 1));
    float const middle = (value + next) / 2;
    REQUIRE(to_half(middle) == bits + (bits & 1));
    REQUIRE(to_half(std::nextafter(middle, 0.0f)) == bits);
    REQUIRE(to_half(std::nextafter(middle, 1e9f)) == bits + 1);
  }
  float const infinity = std::numeric_limits<float>::infinity();
  CHECK(to_half(infinity) == 0x7C00);
  CHECK(to_half(-infinity) == 0xFC00);
  CHECK(to_half(1e30f) == 0x7C00);
  CHECK(std::isnan(from_half(to_half(std::nanf("")))));
  CHECK(std::isnan(from_half(to_half(std::bit_cast<float>(0x7F800001u)))));
  static_assert(float16(0.1f).bits == 0x2E66 && static_cast<float>(float16(1)) == 1.0f);
}

TEST_CASE("bfloat16 is the upper half of a float") {
  CHECK(from_bfloat16(0x3F80) == 1.0f);
  CHECK(from_bfloat16(0xC040) == -3.0f);
  CHECK(from_bfloat16(0x0001) == 0x1p-133f);
  CHECK(std::signbit(from_bfloat16(0x8000)));
  CHECK(std::isinf(from_bfloat16(0x7F80)));
  CHECK(std::isnan(from_bfloat16(0x7FC0)));
}

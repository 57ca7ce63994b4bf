// The operations on maps against loops over single numbers, on views of every kind. Compiled for several instruction
// sets (tests/CMakeLists.txt), as operations use that of the translation unit.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/ops/ops.hpp>
#include <mirnet/ops/stream.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/random.hpp"

using namespace mirnet;

namespace {

constexpr float sentinel = 77.0f;

/// Memory with a view of one kind in it, and nothing else that may change.
template <class T>
class Place {
 public:
  static constexpr int kinds = 8;

  Place(Shape shape, int kind) : kind_(kind) {
    Index const line = channels_per_line<T>;
    auto const whole = [&](Shape all, Index pitch) {
      memory_.assign(static_cast<std::size_t>(all.pixels() * pitch), static_cast<T>(sentinel));
      return View<T>(memory_.data(), all, pitch);
    };
    auto const [height, width, channels] = shape;
    switch (kind) {
      case 0: view = whole(shape, pixel_pitch<T>(channels)); break;
      case 1: view = whole(shape, channels); break;  // no padding
      case 2: view = crop(whole({height + 2, width + 3, channels}, channels), 1, 2, height, width); break;
      case 3: view = channel_slice(whole({height, width, line + channels}, line + channels + 3), line, channels); break;
      case 4:
        view = crop(whole({height + 2, width + 3, channels}, pixel_pitch<T>(channels)), 1, 2, height, width);
        break;
      case 5: view = every(whole({2 * height, 2 * width, channels}, channels + 1), 2); break;
      case 6: {
        View<T> const all = whole({3 * height + 7, 3 * width + 4, line + channels}, 2 * line + channels);
        view = crop(every(channel_slice(all, line, channels), 3), 1, 1, height, width);
        break;
      }
      case 7: {
        View<T> const all = whole({2 * height + 2, 2 * width + 5, channels}, channels);
        view = every(crop(rows(all, 1, 2 * height), 0, 3, 2 * height, 2 * width), 2);
        break;
      }
    }
    REQUIRE(view.shape() == shape);
  }

  Place(Shape shape, int kind, test::Random& random, float low = -1.0f, float high = 1.0f) : Place(shape, kind) {
    test::fill(view, random, low, high);
  }
  Place(Place const&) = delete;
  Place& operator=(Place const&) = delete;

  View<T const> in() const { return view; }
  int kind() const { return kind_; }

  /// Whether everything but the view's channels is as it was.
  bool untouched() const {
    std::vector<char> own(memory_.size());
    for (auto const& pixel : pixels(in())) {
      auto const first = static_cast<std::size_t>(pixel.channels.data() - memory_.data());
      for (std::size_t c = 0; c < pixel.channels.size(); ++c) own[first + c] = 1;
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!own[i] && static_cast<float>(memory_[i]) != sentinel) return false;
    }
    return true;
  }

  View<T> view;

 private:
  std::vector<T> memory_;
  int kind_;
};

/// The first place where the map differs from expected(y, x, c) by more than bound(y, x, c); empty if there is none.
template <class T, class Expected, class Bound>
std::string wrong(View<T> map, Expected expected, Bound bound) {
  for (Index y = 0; y < map.height(); ++y) {
    for (Index x = 0; x < map.width(); ++x) {
      for (Index c = 0; c < map.channels(); ++c) {
        double const is = static_cast<double>(map(y, x, c)), should = static_cast<double>(expected(y, x, c));
        if (is == should || (is != is && should != should)) continue;
        if (std::abs(is - should) <= bound(y, x, c)) continue;
        std::ostringstream text;
        text << "(" << y << ", " << x << ", " << c << ") is " << is << ", not " << should;
        return text.str();
      }
    }
  }
  return {};
}

template <class T, class Expected>
std::string wrong(View<T> map, Expected expected) {
  return wrong(map, expected, [](Index, Index, Index) { return 0.0; });
}

constexpr Shape shapes[] = {{1, 1, 1},  {3, 5, 7}, {2, 4, 16},  {4, 3, 17}, {5, 1, 33}, {1, 7, 64},
                            {2, 3, 70}, {2, 9, 3}, {1, 5, 150}, {3, 0, 4},  {0, 3, 4},  {2, 2, 0}};

/// Rounding to T, relative.
template <class T>
constexpr double rounding = std::is_same_v<T, double>  ? 0x1p-52
                            : std::is_same_v<T, float> ? 0x1p-23
                                                       : 0x1p-7;

template <class T>
double number(T value) {
  return static_cast<double>(static_cast<Accumulator<T>>(value));
}

#define CHECK_REFUSED(result, text)                               \
  do {                                                            \
    auto const refused = (result);                                \
    REQUIRE(!refused.ok());                                       \
    CHECK(refused.error().code() == ErrorCode::invalid_argument); \
    CHECK(std::string(refused.error().message()) == (text));      \
  } while (false)

#define EVERY_SHAPE_AND_KIND(T)    \
  for (Shape const shape : shapes) \
    for (int kind = 0; kind < Place<T>::kinds; ++kind)

#define CAPTURE_PLACE()                                                \
  INFO("shape ", shape.height, "x", shape.width, "x", shape.channels); \
  CAPTURE(kind)

}  // namespace

#define ANY_TYPE float, double, bfloat16, float16, std::uint8_t, std::uint16_t
#define ARITHMETIC float, double, bfloat16

TEST_CASE("operations are those of this translation unit") {
  MESSAGE("operations of " << MIRNET_ISA_NAME);
  static_assert(ops_detail::has_packs<float> == !MIRNET_NO_SIMD);
  static_assert(!ops_detail::has_packs<double>);
}

TEST_CASE_TEMPLATE("fill and copy", T, ANY_TYPE) {
  test::Random random(1);
  EVERY_SHAPE_AND_KIND(T) {
    CAPTURE_PLACE();
    Place<T> to(shape, kind);
    fill(to.view, 3);
    REQUIRE(wrong(to.view, [](auto...) { return 3; }) == "");
    REQUIRE(to.untouched());
    for (int other = 0; other < Place<T>::kinds; ++other) {
      CAPTURE(other);
      Place<T> const from(shape, other, random, 0.0f, 100.0f);
      REQUIRE(copy(from.in(), to.view).ok());
      REQUIRE(wrong(to.view, from.in()) == "");
      REQUIRE(to.untouched());
    }
    REQUIRE(copy(to.view, to.view).ok());
  }
}

TEST_CASE("copy and fill keep padding zero, and refuse another shape") {
  auto map = Tensor<float>::create({2, 3, 5}).value(), other = Tensor<float>::create({2, 4, 5}).value();
  fill(map.view(), 1);
  float const* const data = map.view().data();
  CHECK(std::count(data, data + 6 * 16, 0.0f) == 6 * 11);
  CHECK_REFUSED(copy(map.view(), other.view()),
                "copy: the source has 3x2 pixels of 5 channels, the destination 4x2 of 5; expected the same");
}

TEST_CASE_TEMPLATE("concat and split", T, ANY_TYPE) {
  test::Random random(2);
  EVERY_SHAPE_AND_KIND(T) {
    CAPTURE_PLACE();
    Index const more = 5;
    Place<T> const a(shape, kind, random, 0.0f, 100.0f);
    Place<T> const b({shape.height, shape.width, more}, static_cast<int>(random.between(0, 7)), random, 0.0f, 100.0f);
    Place<T> const c({shape.height, shape.width, 0}, 0);
    Place<T> to({shape.height, shape.width, shape.channels + more}, static_cast<int>(random.between(0, 7)));
    REQUIRE(concat(a.in(), c.view, b.in(), to.view).ok());
    REQUIRE(to.untouched());
    REQUIRE(wrong(to.view, [&](Index y, Index x, Index i) {
              return i < shape.channels ? a.in()(y, x, i) : b.in()(y, x, i - shape.channels);
            }) == "");
    View<T const> const parts[] = {b.in(), a.in()};
    REQUIRE(concat<T>(parts, to.view).ok());
    REQUIRE(wrong(to.view, [&](Index y, Index x, Index i) {
              return i < more ? b.in()(y, x, i) : a.in()(y, x, i - more);
            }) == "");

    Place<T> first({shape.height, shape.width, more}, kind), second(shape, static_cast<int>(random.between(0, 7)));
    REQUIRE(split(to.view, first.view, second.view).ok());
    REQUIRE(wrong(first.view, b.in()) == "");
    REQUIRE(wrong(second.view, a.in()) == "");
    REQUIRE(first.untouched());
    REQUIRE(second.untouched());
  }
  auto a = Tensor<T>::create({2, 3, 4}).value(), b = Tensor<T>::create({2, 2, 4}).value(),
       both = Tensor<T>::create({2, 3, 9}).value();
  CHECK_REFUSED(concat(a.view(), b.view(), both.view()),
                "concat: the part has 2x2 pixels of 4 channels, the destination 3x2 of 9; expected as many pixels");
  CHECK_REFUSED(concat(a.view(), a.view(), both.view()),
                "concat: the sum of the parts has 3x2 pixels of 8 channels, the destination 3x2 of 9; expected as many "
                "channels");
  CHECK_REFUSED(split(both.view(), a.view(), b.view()),
                "split: the source has 3x2 pixels of 9 channels, the part 2x2 of 4; expected as many pixels");
  CHECK_REFUSED(split(both.view(), a.view()),
                "split: the source has 3x2 pixels of 9 channels, the sum of the parts 3x2 of 4; expected as many "
                "channels");
}

namespace {

template <class T>
constexpr double one_as = std::is_same_v<T, std::uint8_t>    ? 255.0
                          : std::is_same_v<T, std::uint16_t> ? 65535.0
                                                             : 1.0;

/// What convert makes of a number, and how far off it may be.
template <class From, class To>
void check_conversion(From from, To to) {
  double const value = number(from) / one_as<From>, result = number(to);
  double const scaled = std::min(std::max(value * one_as<To>, 0.0), one_as<To>);
  CAPTURE(value);
  CAPTURE(result);
  if constexpr (one_as < To >> 1.0) {
    // The nearest, up to the product's rounding to float.
    REQUIRE(std::abs(result - (value != value ? 0.0 : scaled)) <= 0.5 + 0x1p-23 * one_as<To>);
  } else if constexpr (std::is_same_v<To, float16>) {
    REQUIRE(std::abs(result - value) <= std::max(0x1p-11 * std::abs(value), 0x1p-25) * 1.0001);
  } else {
    REQUIRE(std::abs(result - value) <= rounding<To> / 2 * std::abs(value) * 1.0001);
  }
}

template <class From, class To>
void check_conversions() {
  test::Random random(3);
  EVERY_SHAPE_AND_KIND(To) {
    CAPTURE_PLACE();
    int const other = static_cast<int>(random.between(0, 7));
    bool const samples = one_as<From> > 1.0;
    Place<From> const from(shape, other, random, samples ? 0.0f : -0.3f,
                           samples ? static_cast<float>(one_as<From>) : 1.3f);
    Place<To> to(shape, kind);
    REQUIRE(convert(from.in(), to.view).ok());
    REQUIRE(to.untouched());
    for (auto const pixel : pixels(from.in())) {
      for (Index c = 0; c < shape.channels; ++c) {
        check_conversion(pixel.channels[static_cast<std::size_t>(c)], to.view(pixel.y, pixel.x, c));
      }
    }
  }
}

template <class From>
void check_conversions_of() {
  check_conversions<From, float>();
  check_conversions<From, double>();
  check_conversions<From, bfloat16>();
  check_conversions<From, float16>();
  check_conversions<From, std::uint8_t>();
  check_conversions<From, std::uint16_t>();
}

/// Every number of `From` in one map, converted, and back.
template <class From, class To>
void check_round_trip() {
  constexpr Index count = Index{1} << (8 * sizeof(From));
  auto all = Tensor<From>::create({1, 4, count / 4}).value(), back = Tensor<From>::create({1, 4, count / 4}).value();
  auto there = Tensor<To>::create({1, 4, count / 4}).value();
  for (Index i = 0; i < count; ++i) all.view()(0, i % 4, i / 4) = static_cast<From>(i);
  REQUIRE(convert(all.view(), there.view()).ok());
  REQUIRE(convert(there.view(), back.view()).ok());
  CHECK(wrong(back.view(), all.view()) == "");
}

}  // namespace

TEST_CASE_TEMPLATE("convert", From, ANY_TYPE) { check_conversions_of<From>(); }

TEST_CASE("samples survive what has room for them") {
  check_round_trip<std::uint8_t, float>();
  check_round_trip<std::uint8_t, double>();
  check_round_trip<std::uint8_t, std::uint16_t>();
  check_round_trip<std::uint8_t, bfloat16>();
  check_round_trip<std::uint8_t, float16>();
  check_round_trip<std::uint16_t, float>();
  check_round_trip<std::uint16_t, double>();

  auto wide = Tensor<std::uint16_t>::create({1, 1, 65536}).value();
  auto narrow = Tensor<std::uint8_t>::create({1, 1, 65536}).value();
  for (Index i = 0; i < 65536; ++i) wide.view()(0, 0, i) = static_cast<std::uint16_t>(i);
  REQUIRE(convert(wide.view(), narrow.view()).ok());
  CHECK(wrong(narrow.view(), [](Index, Index, Index i) { return std::floor(static_cast<double>(i) / 257 + 0.5); }) ==
        "");
}

TEST_CASE_TEMPLATE("numbers that no sample stands for, and halves", T, ARITHMETIC) {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  // Twice, so that SIMD code and the scalar remainder see them.
  float const values[] = {nan, inf, -inf, -1.0f, 2.0f, 1e30f, 0.5f, 0.25f, -0.0f, 1.0f};
  std::uint8_t const bytes[] = {0, 255, 0, 0, 255, 255, 128, 64, 0, 255};  // 127.5 is rounded up
  std::uint16_t const words[] = {0, 65535, 0, 0, 65535, 65535, 32768, 16384, 0, 65535};
  for (Index const channels : {Index{10}, Index{100}}) {
    auto from = Tensor<T>::create({1, 1, channels}).value();
    for (Index c = 0; c < channels; ++c) from.view()(0, 0, c) = static_cast<T>(values[c % 10]);
    auto to8 = Tensor<std::uint8_t>::like(from.view()).value();
    auto to16 = Tensor<std::uint16_t>::like(from.view()).value();
    REQUIRE(convert(from.view(), to8.view()).ok());
    REQUIRE(convert(from.view(), to16.view()).ok());
    CHECK(wrong(to8.view(), [&](Index, Index, Index c) { return bytes[c % 10]; }) == "");
    CHECK(wrong(to16.view(), [&](Index, Index, Index c) { return words[c % 10]; }) == "");
    auto small = Tensor<bfloat16>::like(from.view()).value();
    REQUIRE(convert(from.view(), small.view()).ok());
    CHECK(wrong(small.view(), [&](Index, Index, Index c) { return number(bfloat16(values[c % 10])); }) == "");
  }
  auto a = Tensor<T>::create({2, 3, 4}).value();
  auto b = Tensor<std::uint8_t>::create({2, 3, 5}).value();
  CHECK_REFUSED(convert(a.view(), b.view()),
                "convert: the source has 3x2 pixels of 4 channels, the destination 3x2 of 5; expected the same");
}

TEST_CASE_TEMPLATE("transform of one map", T, ARITHMETIC) {
  using Number = Accumulator<T>;
  test::Random random(4);
  EVERY_SHAPE_AND_KIND(T) {
    CAPTURE_PLACE();
    Place<T> const from(shape, static_cast<int>(random.between(0, 7)), random);
    Place<T> to(shape, kind);
    auto const f = [](Number x) { return x > 0 ? 2 * x : x; };
    REQUIRE(transform(from.in(), to.view, f).ok());
    REQUIRE(to.untouched());
    REQUIRE(wrong(to.view, [&](auto... at) { return static_cast<T>(f(static_cast<Number>(from.in()(at...)))); }) == "");
    REQUIRE(transform(to.view, to.view, [](Number x) { return -x; }).ok());  // in place
    REQUIRE(wrong(to.view, [&](auto... at) { return static_cast<T>(-f(static_cast<Number>(from.in()(at...)))); }) ==
            "");
  }
}

TEST_CASE_TEMPLATE("transform of two maps, each whole or the same for all pixels or channels", T, ARITHMETIC) {
  using Number = Accumulator<T>;
  test::Random random(5);
  auto const check = [&](Place<T>& to, auto const& a, auto const& b, auto f) {
    REQUIRE(transform(a.in(), b.in(), to.view, f).ok());
    REQUIRE(to.untouched());
    auto const at = [](View<T const> map, Index y, Index x, Index c) {
      return static_cast<Number>(map(map.height() == 1 && map.width() == 1 ? 0 : y,
                                     map.height() == 1 && map.width() == 1 ? 0 : x, map.channels() == 1 ? 0 : c));
    };
    REQUIRE(wrong(to.view,
                  [&](auto... place) { return static_cast<T>(f(at(a.in(), place...), at(b.in(), place...))); }) == "");
  };
  EVERY_SHAPE_AND_KIND(T) {
    CAPTURE_PLACE();
    Shape const kinds[] = {shape, {1, 1, shape.channels}, {shape.height, shape.width, 1}, {1, 1, 1}};
    Place<T> to(shape, kind);
    for (Shape const first : kinds) {
      for (Shape const second : kinds) {
        INFO("first ", first.height, "x", first.width, "x", first.channels);
        INFO("second ", second.height, "x", second.width, "x", second.channels);
        Place<T> const a(first, static_cast<int>(random.between(0, 7)), random);
        Place<T> const b(second, static_cast<int>(random.between(0, 7)), random, 0.5f, 2.0f);
        check(to, a, b, Plus{});
        check(to, a, b, Minus{});
        check(to, a, b, Times{});
        check(to, a, b, DividedBy{});
        check(to, a, b, Larger{});
        check(to, a, b, Smaller{});
        check(to, a, b, [](Number p, Number q) { return p * p - q; });
      }
    }
    Place<T> const a(shape, static_cast<int>(random.between(0, 7)), random);
    Place<T> doubled(shape, kind);
    REQUIRE(copy(a.in(), doubled.view).ok());
    REQUIRE(transform(doubled.view, doubled.view, doubled.view, Plus{}).ok());
    REQUIRE(wrong(doubled.view, [&](auto... at) { return static_cast<T>(2 * static_cast<Number>(a.in()(at...))); }) ==
            "");
  }
}

TEST_CASE("the larger and the smaller of NaN is NaN") {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  for (Index const channels : {1, 40}) {
    auto a = Tensor<float>::create({1, 3, channels}).value(), b = Tensor<float>::create({1, 3, channels}).value(),
         to = Tensor<float>::create({1, 3, channels}).value();
    fill(rows(a.view(), 0, 1), 1.0f);
    fill(crop(a.view(), 0, 0, 1, 1), nan);
    fill(crop(b.view(), 0, 1, 1, 1), nan);
    REQUIRE(transform(a.view(), b.view(), to.view(), Larger{}).ok());
    CHECK(wrong(to.view(), [&](Index, Index x, Index) { return x < 2 ? nan : 1.0f; }) == "");
    REQUIRE(transform(a.view(), b.view(), to.view(), Smaller{}).ok());
    CHECK(wrong(to.view(), [&](Index, Index x, Index) { return x < 2 ? nan : 0.0f; }) == "");
  }
}

namespace {

/// Counts what it is called with.
struct Counted {
  static constexpr bool takes_packs = true;
  int* numbers;
  int* packs;
  float operator()(float x) const noexcept { return ++*numbers, x; }
#if !MIRNET_NO_SIMD
  simd::Pack operator()(simd::Pack x) const noexcept { return ++*packs, x; }
#endif
};

}  // namespace

TEST_CASE("functions of your own are called with registers where they say so") {
  auto map = Tensor<float>::create({2, 3, 37}).value();
  int numbers = 0, packs = 0;
  REQUIRE(transform(map.view(), map.view(), Counted{&numbers, &packs}).ok());
#if MIRNET_NO_SIMD
  CHECK(packs == 0);
  CHECK(numbers == 6 * 37);
#else
  CHECK(packs == 6 * (37 / simd::lanes));
  CHECK(numbers == 6 * (37 % simd::lanes));
#endif
}

TEST_CASE("transform refuses what does not fit") {
  auto a = Tensor<float>::create({2, 3, 4}).value(), b = Tensor<float>::create({2, 1, 4}).value(),
       c = Tensor<float>::create({2, 3, 3}).value();
  CHECK_REFUSED(transform(c.view(), a.view(), [](float x) { return x; }),
                "transform: the source has 3x2 pixels of 3 channels, the destination 3x2 of 4; expected the same, 1x1 "
                "pixels or 1 channel");
  CHECK_REFUSED(transform(a.view(), b.view(), a.view(), Plus{}),
                "transform: the second source has 1x2 pixels of 4 channels, the destination 3x2 of 4; expected the "
                "same, 1x1 pixels or 1 channel");
  CHECK_REFUSED(transform(a.view(), a.view(), c.view(), Plus{}),
                "transform: the first source has 3x2 pixels of 4 channels, the destination 3x2 of 3; expected the "
                "same, 1x1 pixels or 1 channel");
}

namespace {

/// The reduction of what `in(y, x, c)` chooses, in double; and the sum of its magnitudes.
template <class T, class In>
std::pair<double, double> reduced(View<T const> map, Reduction how, In in) {
  double sum = 0.0, magnitude = 0.0, count = 0.0, least = INFINITY, most = -INFINITY;
  for (auto const pixel : pixels(map)) {
    for (Index c = 0; c < map.channels(); ++c) {
      if (!in(pixel.y, pixel.x, c)) continue;
      double const value = number(pixel.channels[static_cast<std::size_t>(c)]);
      sum += value;
      magnitude += std::abs(value);
      least = std::min(least, value);
      most = std::max(most, value);
      count += 1.0;
    }
  }
  switch (how) {
    case Reduction::sum: return {sum, magnitude};
    case Reduction::mean: return {sum / count, magnitude / count};
    case Reduction::min: return {least, 0.0};
    case Reduction::max: return {most, 0.0};
  }
  return {};
}

constexpr Reduction reductions[] = {Reduction::sum, Reduction::mean, Reduction::min, Reduction::max};

}  // namespace

TEST_CASE_TEMPLATE("reduce over all, over the pixels and over the channels", T, ARITHMETIC) {
  constexpr double of_sums = std::is_same_v<T, double> ? 1e-14 : 1e-6;
  test::Random random(6);
  EVERY_SHAPE_AND_KIND(T) {
    if (shape.pixels() * shape.channels == 0) continue;
    CAPTURE_PLACE();
    Place<T> const from(shape, kind, random);
    for (Reduction const how : reductions) {
      CAPTURE(static_cast<int>(how));
      auto const [all, magnitude] = reduced(from.in(), how, [](auto...) { return true; });
      REQUIRE(std::abs(reduce(from.view, how) - all) <= of_sums * magnitude);
      for (Shape const wanted : {Shape{1, 1, 1}, {1, 1, shape.channels}, {shape.height, shape.width, 1}}) {
        INFO("destination ", wanted.height, "x", wanted.width, "x", wanted.channels);
        Place<T> to(wanted, static_cast<int>(random.between(0, 7)));
        REQUIRE(reduce(from.in(), to.view, how).ok());
        REQUIRE(to.untouched());
        auto const expected = [&](Index y, Index x, Index c) {
          return reduced(from.in(), how, [&](Index v, Index u, Index i) {
            return (wanted.height * wanted.width == 1 || (v == y && u == x)) && (wanted.channels == 1 || i == c);
          });
        };
        REQUIRE(wrong(
                    to.view, [&](auto... at) { return expected(at...).first; },
                    [&](auto... at) {
                      return of_sums * expected(at...).second + rounding<T> * std::abs(expected(at...).first);
                    }) == "");
      }
    }
  }
}

TEST_CASE("sums of large maps are accurate") {
  // Of three million times 0.1, a sum in float loses the third digit.
  auto map = Tensor<float>::create({1000, 375, 8}).value(), vector = Tensor<float>::create({1, 1, 8}).value();
  fill(map.view(), 0.1f);
  double const value = static_cast<double>(0.1f);
  CHECK(reduce(map.view(), Reduction::sum) == doctest::Approx(value * 3e6).epsilon(1e-6));
  REQUIRE(reduce(map.view(), vector.view(), Reduction::mean).ok());
  CHECK(wrong(
            vector.view(), [](auto...) { return 0.1f; }, [](auto...) { return 1e-7; }) == "");
  // All in one run.
  std::vector<float> many(3'000'000, 0.1f);
  View<float> const row(many.data(), {1, 1, 3'000'000}, 3'000'000);
  CHECK(reduce(row, Reduction::sum) == doctest::Approx(value * 3e6).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("extremes of NaN and infinity, and of nothing", T, ARITHMETIC) {
  double const inf = std::numeric_limits<double>::infinity();
  for (Index const channels : {1, 5, 16, 131}) {
    for (Index place = 0; place < 3 * channels; place += 1 + channels / 9) {
      CAPTURE(channels);
      CAPTURE(place);
      auto map = Tensor<T>::create({1, 3, channels}).value(), vector = Tensor<T>::create({1, 1, channels}).value();
      fill(map.view(), 1);
      T& one = map.view()(0, place % 3, place / 3);
      one = static_cast<T>(std::nanf(""));
      for (Reduction const how : reductions) {
        REQUIRE(std::isnan(reduce(map.view(), how)));
        REQUIRE(reduce(map.view(), vector.view(), how).ok());
        for (Index c = 0; c < channels; ++c) {
          REQUIRE(std::isnan(number(vector.view()(0, 0, c))) == (c == place / 3));
        }
      }
      one = static_cast<T>(-inf);
      REQUIRE(reduce(map.view(), Reduction::min) == -inf);
      one = static_cast<T>(inf);
      REQUIRE(reduce(map.view(), Reduction::max) == inf);
    }
  }
  View<T> const nothing(nullptr, {0, 3, 2});
  CHECK(reduce(nothing, Reduction::sum) == 0.0);
  CHECK(std::isnan(reduce(nothing, Reduction::mean)));
  CHECK(std::isnan(reduce(nothing, Reduction::min)));
  auto vector = Tensor<T>::create({1, 1, 2}).value(), other = Tensor<T>::create({1, 2, 2}).value();
  fill(vector.view(), 5);
  REQUIRE(reduce(nothing, vector.view(), Reduction::sum).ok());
  CHECK(number(vector.view()(0, 0, 1)) == 0.0);
  CHECK_REFUSED(reduce(nothing, vector.view(), Reduction::max),
                "reduce: the source has 3x0 pixels of 2 channels, the destination 1x1 of 2; expected numbers in the "
                "source");
  CHECK_REFUSED(reduce(vector.view(), other.view(), Reduction::sum),
                "reduce: the source has 1x1 pixels of 2 channels, the destination 2x1 of 2; expected 1x1 pixels, 1 "
                "channel or both");
  CHECK_REFUSED(reduce(other.view(), other.view(), Reduction::sum),
                "reduce: the source has 2x1 pixels of 2 channels, the destination 2x1 of 2; expected 1x1 pixels, 1 "
                "channel or both");
}

TEST_CASE_TEMPLATE("matmul", T, ARITHMETIC) {
  test::Random random(7);
  for (Index const rows_count : {1, 3, 4, 9}) {
    for (Index const depth : {0, 1, 7, 40}) {
      for (Index const columns : {1, 3, 8, 17, 33, 70}) {
        INFO(rows_count, "x", depth, " times ", depth, "x", columns);
        Place<T> const a({1, rows_count, depth}, static_cast<int>(random.between(0, 7)), random);
        Place<T> const b({1, depth, columns}, static_cast<int>(random.between(0, 7)), random);
        Place<T> to({1, rows_count, columns}, static_cast<int>(random.between(0, 7)));
        REQUIRE(matmul(a.in(), b.in(), to.view).ok());
        REQUIRE(to.untouched());
        auto const product = [&](Index r, Index c, bool magnitudes) {
          double sum = 0.0;
          for (Index k = 0; k < depth; ++k) {
            double const term = number(a.in()(0, r, k)) * number(b.in()(0, k, c));
            sum += magnitudes ? std::abs(term) : term;
          }
          return sum;
        };
        double const step = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
        REQUIRE(wrong(
                    to.view, [&](Index, Index r, Index c) { return product(r, c, false); },
                    [&](Index, Index r, Index c) {
                      return static_cast<double>(depth + 1) * step * product(r, c, true) +
                             rounding<T> * std::abs(product(r, c, false));
                    }) == "");
      }
    }
  }
  auto a = Tensor<T>::create({1, 2, 3}).value(), b = Tensor<T>::create({1, 3, 4}).value(),
       to = Tensor<T>::create({1, 2, 4}).value();
  CHECK(matmul(a.view(), b.view(), to.view()).ok());
  CHECK_REFUSED(matmul(a.view(), a.view(), to.view()),
                "matmul: the first factor has 2x1 pixels of 3 channels, the second 2x1 of 3; expected 1xRxK and 1xKxC "
                "(R pixels of K channels)");
  CHECK_REFUSED(matmul(a.view(), b.view(), b.view()),
                "matmul: the product has 2x1 pixels of 4 channels, the destination 3x1 of 4; expected the same");
}

TEST_CASE_TEMPLATE("transpose", T, ANY_TYPE) {
  test::Random random(8);
  for (Index const height : {1, 3, 16, 37}) {
    for (Index const width : {0, 1, 5, 16, 50}) {
      INFO(height, "x", width);
      Place<T> const from({1, height, width}, static_cast<int>(random.between(0, 7)), random, 0.0f, 100.0f);
      Place<T> to({1, width, height}, static_cast<int>(random.between(0, 7)));
      REQUIRE(transpose(from.in(), to.view).ok());
      REQUIRE(to.untouched());
      REQUIRE(wrong(to.view, [&](Index, Index x, Index c) { return from.in()(0, c, x); }) == "");
    }
  }
  auto a = Tensor<T>::create({1, 2, 3}).value(), tall = Tensor<T>::create({2, 3, 1}).value();
  CHECK_REFUSED(
      transpose(a.view(), a.view()),
      "transpose: the source has 2x1 pixels of 3 channels, the destination 2x1 of 3; expected 1xRxC and 1xCxR");
  CHECK_REFUSED(
      transpose(tall.view(), tall.view()),
      "transpose: the source has 3x2 pixels of 1 channels, the destination 3x2 of 1; expected 1xRxC and 1xCxR");
}

TEST_CASE("compare finds the first and the worst place") {
  auto a = Tensor<float>::create({2, 3, 5}).value();
  auto b = Tensor<double>::like(a.view()).value();
  fill(a.view(), 1);
  fill(b.view(), 1);
  auto const same = compare(a.view(), b.view()).value();
  CHECK(same.close());
  CHECK(same.numbers == 30);
  CHECK(all_close(a.view(), b.view()).ok());

  a.view()(0, 2, 4) = 1.5f;
  a.view()(1, 0, 1) = -2.0f;
  a.view()(1, 2, 0) = 1.000001f;  // within the bound
  auto const found = compare(a.view(), b.view()).value();
  CHECK_FALSE(found.close());
  CHECK(found.outside == 2);
  CHECK(
      (found.first.y == 0 && found.first.x == 2 && found.first.c == 4 && found.first.a == 1.5 && found.first.b == 1.0));
  CHECK((found.worst.y == 1 && found.worst.x == 0 && found.worst.c == 1 && found.worst.a == -2.0));
  CHECK(compare(a.view(), b.view(), {.absolute = 0.0, .relative = 0.0}).value().outside == 3);
  CHECK(compare(a.view(), b.view(), {.absolute = 0.5, .relative = 0.0}).value().outside == 1);
  CHECK(compare(a.view(), b.view(), {.absolute = 0.0, .relative = 3.0}).value().outside == 0);
  auto const error = all_close(a.view(), b.view());
  REQUIRE(!error.ok());
  CHECK(error.error().code() == ErrorCode::unmet);
  CHECK(std::string(error.error().message()) ==
        "2 of 30 numbers differ: first at (0, 2, 4), 1.5 and 1; worst at (1, 0, 1), -2 and 1; expected |a - b| <= "
        "1e-08 + 1e-05*|b|");
  CHECK_REFUSED(compare(a.view(), crop(b.view(), 0, 0, 2, 2)),
                "compare: the first map has 3x2 pixels of 5 channels, the second 2x2 of 5; expected the same");
  CHECK_REFUSED(all_close(a.view(), crop(b.view(), 0, 0, 2, 2)),
                "compare: the first map has 3x2 pixels of 5 channels, the second 2x2 of 5; expected the same");
  CHECK(all_close(crop(a.view(), 0, 0, 1, 2), crop(b.view(), 1, 1, 1, 2)).ok());
}

TEST_CASE("what is close to NaN and infinity") {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  auto const outside = [](float a, float b) {
    auto const left = Tensor<float>::of({1, 1, 1}, {a}).value(), right = Tensor<float>::of({1, 1, 1}, {b}).value();
    return compare(left.view(), right.view(), {.absolute = 1.0, .relative = 1.0}).value().outside;
  };
  CHECK(outside(inf, inf) == 0);
  CHECK(outside(inf, -inf) == 1);
  CHECK(outside(1.0f, inf) == 1);
  CHECK(outside(inf, 1.0f) == 1);
  CHECK(outside(nan, nan) == 1);
  CHECK(outside(nan, 1.0f) == 1);
  CHECK(outside(1.0f, nan) == 1);
  auto const a = Tensor<float>::of({1, 1, 4}, {9, nan, inf, nan}).value();
  auto const b = Tensor<float>::of({1, 1, 4}, {1, 1, 1, 1}).value();
  auto const found = compare(a.view(), b.view()).value();
  CHECK(found.outside == 4);
  CHECK(found.first.c == 0);
  CHECK(found.worst.c == 1);
}

TEST_CASE("a loop over pixels") {
  auto map = Tensor<float>::create({4, 5, 3}).value();
  View<float> const part = every(crop(map.view(), 1, 1, 3, 4), 2);
  Index count = 0;
  for (auto pixel : pixels(part)) {
    CHECK(pixel.y == count / 2);
    CHECK(pixel.x == count % 2);
    CHECK(pixel.channels.size() == 3);
    pixel.channels[2] = static_cast<float>(++count);
  }
  CHECK(count == 4);
  CHECK(map.view()(1, 1, 2) == 1.0f);
  CHECK(map.view()(1, 3, 2) == 2.0f);
  CHECK(map.view()(3, 1, 2) == 3.0f);
  CHECK(map.view()(3, 3, 2) == 4.0f);
  for (Shape const shape : {Shape{0, 3, 2}, {3, 0, 2}, {0, 0, 0}}) {
    auto const range = pixels(View<float>(nullptr, shape));
    CHECK(range.begin() == range.end());
  }
  static constexpr float numbers[] = {1, 2, 3, 4, 5, 6};
  static_assert([] {
    float sum = 0.0f;
    for (auto const pixel : pixels(View<float const>(numbers, {3, 1, 2}, 2))) sum += pixel.channels[1];
    return sum;
  }() == 12.0f);
}

TEST_CASE("maps as text") {
  auto const text = [](auto view) {
    std::ostringstream stream;
    stream << view;
    return stream.str();
  };
  auto const vector = Tensor<float>::of({1, 2, 3}, {1, -2.5, 1e-9f, 123456, 0, 7}).value();
  CHECK(text(vector.view()) ==
        "height 1, width 2, channels 3\n"
        "(0, 0)          1       -2.5      1e-09\n"
        "(0, 1) 1.2346e+05          0          7\n");
  auto const plane = Tensor<std::uint8_t>::of({2, 2, 1}, {1, 2, 3, 255}).value();
  CHECK(text(plane.view()) ==
        "height 2, width 2, channels 1\n"
        "(0, *)          1          2\n"
        "(1, *)          3        255\n");
  auto const large = Tensor<float>::create({20, 30, 1}).value();
  CHECK(text(large.view()) == "height 20, width 30, channels 1\n" + [] {
    std::string const zeros = "          0          0          0", line = ", *)" + zeros + "        ..." + zeros + "\n";
    return "(0" + line + "(1" + line + "(2" + line + "...\n(17" + line + "(18" + line + "(19" + line;
  }());
  auto const deep = Tensor<bfloat16>::create({1, 9, 9}).value();
  std::string const printed = text(deep.view());
  CHECK(std::count(printed.begin(), printed.end(), '\n') == 1 + 3 + 1 + 3);
  CHECK(text(View<float>()) == "height 0, width 0, channels 0\n");

  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  print(plane.view(), file);
  std::rewind(file);
  char read[200] = {};
  auto const size = std::fread(read, 1, sizeof read, file);
  std::fclose(file);
  CHECK(std::string(read, size) == text(plane.view()));
}

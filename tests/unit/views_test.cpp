// Views of parts of maps; layers refuse those with gaps between their rows.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/band.hpp>
#include <mirnet/layers/cells.hpp>
#include <mirnet/tensor/tensor.hpp>
#include <mirnet/tensor/view.hpp>

#include "support/kernel_tables.hpp"
#include "support/random.hpp"

using namespace mirnet;

namespace {

/// A map whose numbers say where they are.
Index number_at(Index y, Index x, Index c) { return (y * 100 + x) * 100 + c; }

Tensor<double> numbered(Shape shape) {
  auto map = Tensor<double>::create(shape).value();
  for (Index y = 0; y < shape.height; ++y) {
    for (Index x = 0; x < shape.width; ++x) {
      for (Index c = 0; c < shape.channels; ++c) map.view()(y, x, c) = static_cast<double>(number_at(y, x, c));
    }
  }
  return map;
}

/// Which of the map's pixels and channels a view of it shows: those at first + step*i.
struct Part {
  Index y = 0, x = 0, c = 0, step = 1;
  Shape shape;
};

/// The first element that is not where it should be, through every accessor; empty if there is none.
std::string wrong(View<double const> view, Part const& part) {
  if (view.shape() != part.shape) return "the shape";
  for (Index y = 0; y < view.height(); ++y) {
    for (Index x = 0; x < view.width(); ++x) {
      for (Index c = 0; c < view.channels(); ++c) {
        auto const expected =
            static_cast<double>(number_at(part.y + part.step * y, part.x + part.step * x, part.c + c));
        if (view(y, x, c) == expected && view.pixel(y, x)[c] == expected &&
            view.row(y)[x * view.pitch() + c] == expected &&
            view.data()[y * view.row_pitch() + x * view.pitch() + c] == expected) {
          continue;
        }
        return std::to_string(y) + ", " + std::to_string(x) + ", " + std::to_string(c);
      }
    }
  }
  return {};
}

constexpr std::array<int, 4 * 3 * 2> twenty_four = [] {
  std::array<int, 4 * 3 * 2> numbers{};
  for (int i = 0; i < 24; ++i) numbers[static_cast<std::size_t>(i)] = i;
  return numbers;
}();

}  // namespace

TEST_CASE("views of parts are constant expressions") {
  constexpr View<int const> map(twenty_four.data(), {4, 3, 2}, 2);
  static_assert(map.row_pitch() == 6 && map.dense());
  static_assert(crop(map, 1, 1, 2, 2)(1, 1, 1) == (2 * 3 + 2) * 2 + 1);
  static_assert(rows(map, 2, 2)(1, 0, 1) == 3 * 6 + 1);
  static_assert(every(map, 2)(1, 1, 0) == 2 * 6 + 2 * 2);
  static_assert(every(crop(map, 1, 0, 3, 3), 2)(1, 1, 1) == 3 * 6 + 2 * 2 + 1);
}

TEST_CASE("parts of maps, and parts of these") {
  auto const map = numbered({7, 9, 24});
  View<double const> const whole = map.view();
  CHECK(wrong(whole, {0, 0, 0, 1, {7, 9, 24}}).empty());

  auto const cropped = crop(whole, 2, 3, 4, 5);
  CHECK(wrong(cropped, {2, 3, 0, 1, {4, 5, 24}}).empty());
  CHECK(wrong(crop(cropped, 1, 2, 3, 2), {3, 5, 0, 1, {3, 2, 24}}).empty());
  CHECK(wrong(rows(cropped, 1, 2), {3, 3, 0, 1, {2, 5, 24}}).empty());
  CHECK(wrong(rows(whole, 5, 2), {5, 0, 0, 1, {2, 9, 24}}).empty());
  CHECK(wrong(channel_slice(cropped, 8, 16), {2, 3, 8, 1, {4, 5, 16}}).empty());
  CHECK(wrong(crop(channel_slice(whole, 16, 8), 2, 3, 4, 5), {2, 3, 16, 1, {4, 5, 8}}).empty());

  CHECK(wrong(every(whole, 1), {0, 0, 0, 1, {7, 9, 24}}).empty());
  CHECK(wrong(every(whole, 3), {0, 0, 0, 3, {3, 3, 24}}).empty());
  CHECK(wrong(every(whole, 2), {0, 0, 0, 2, {4, 5, 24}}).empty());
  CHECK(wrong(every(whole, 100), {0, 0, 0, 100, {1, 1, 24}}).empty());
  CHECK(wrong(every(cropped, 3), {2, 3, 0, 3, {2, 2, 24}}).empty());
  CHECK(wrong(every(every(whole, 2), 2), {0, 0, 0, 4, {2, 3, 24}}).empty());
  CHECK(wrong(crop(every(whole, 2), 1, 2, 3, 3), {2, 4, 0, 2, {3, 3, 24}}).empty());
  CHECK(wrong(channel_slice(rows(every(cropped, 2), 1, 1), 8, 8), {4, 3, 8, 2, {1, 3, 8}}).empty());
}

TEST_CASE("random parts of parts") {
  auto const map = numbered({11, 13, 9});
  test::Random random(1);
  for (int round = 0; round < 200; ++round) {
    View<double const> view = map.view();
    Part part{0, 0, 0, 1, view.shape()};
    for (int depth = 0; depth < 4; ++depth) {
      Shape& shape = part.shape;
      if (random.between(0, 2) == 0) {
        Index const n = random.between(1, 3);
        view = every(view, n);
        part.step *= n;
        shape = {(shape.height + n - 1) / n, (shape.width + n - 1) / n, shape.channels};
      } else {
        Index const y = random.between(0, shape.height), x = random.between(0, shape.width);
        Index const height = random.between(0, shape.height - y), width = random.between(0, shape.width - x);
        view = crop(view, y, x, height, width);
        part.y += part.step * y;
        part.x += part.step * x;
        shape = {height, width, shape.channels};
      }
      CAPTURE(round);
      CAPTURE(depth);
      REQUIRE(wrong(view, part) == "");
    }
  }
}

TEST_CASE("rows without gaps") {
  std::vector<float> memory(4 * 6 * 16);
  View<float> const map(memory.data(), {4, 6, 10});
  CHECK(map.row_pitch() == 6 * 16);
  CHECK(map.dense());
  CHECK(rows(map, 1, 2).dense());
  CHECK(crop(map, 1, 0, 3, 6).dense());
  CHECK(crop(map, 1, 2, 1, 3).dense());  // one row
  CHECK_FALSE(crop(map, 1, 0, 2, 5).dense());
  CHECK_FALSE(every(map, 2).dense());
  CHECK(every(map, 1).dense());
  CHECK(every(map, 4).dense());  // one row
  CHECK(View<float>().dense());
  CHECK(View<float const>(crop(map, 1, 1, 2, 2)).row_pitch() == 6 * 16);
  // A map of no rows may be too wide to count, one without memory has parts without memory.
  CHECK(View<float>(nullptr, {0, std::numeric_limits<Index>::max(), 5}).dense());
  CHECK(crop(View<float>(nullptr, {4, 6, 10}), 1, 1, 2, 2).data() == nullptr);
  // Nothing points behind the memory, where a gap would be.
  CHECK(crop(map, 4, 6, 0, 0).data() == memory.data());
  CHECK(crop(crop(map, 0, 3, 4, 3), 4, 0, 0, 3).data() == memory.data() + 3 * 16);
}

TEST_CASE("bands of maps") {
  auto const map = numbered({8, 5, 3});
  auto const band = rows_of(map.view(), 2, 4);
  CHECK(band.first_row == 2);
  CHECK(band.map_height == 8);
  CHECK(wrong(band.rows, {2, 0, 0, 1, {4, 5, 3}}).empty());
}

TEST_CASE("layers refuse maps with gaps between their rows") {
  auto map = Tensor<float>::create({6, 6, 16}).value();
  auto context = Context<float>::for_rehearsal(test::plain_kernels<float>());  // where nothing is asserted
  sigmoid(context, rows(map.view(), 1, 4));
  sigmoid(context, crop(map.view(), 1, 1, 1, 4));
  CHECK(context.status().ok());
  sigmoid(context, crop(map.view(), 1, 1, 4, 4));
  REQUIRE(!context.status().ok());
  CHECK(context.status().error().code() == ErrorCode::invalid_argument);
  CHECK(std::string(context.status().error().message()) ==
        "sigmoid: the map has a row pitch of 96 elements, expected 64: rows without gaps, as in a copy");

  context.refusal = {};
  CHECK_FALSE(context.accepts("layer", "map", every(map.view(), 2), {3, 3, 16}, Layout::dense));
  CHECK(std::string(context.status().error().message()) ==
        "layer: the map has a row pitch of 192 elements, expected 96: rows without gaps, as in a copy");
  context.refusal = {};
  CHECK_FALSE(context.accepts("layer", "map", crop(map.view(), 0, 0, 6, 4), {6, 6, 16}));  // the shape comes first
  CHECK(std::string(context.status().error().message()) ==
        "layer: the map has 4x6 pixels of 16 channels, expected 6x6 of 16");
}

TEST_CASE("images are fitted to maps, and added to residuals, through any views") {
  auto from = Tensor<float>::create({9, 11, 3}).value();
  test::Random random(2);
  test::fill(from.view(), random);
  View<float const> const image = crop(std::as_const(from).view(), 1, 2, 7, 8);
  auto dense = Tensor<float>::create(image.shape()).value();
  for (Index y = 0; y < 7; ++y) {
    for (Index x = 0; x < 8; ++x) std::copy_n(image.pixel(y, x), 3, dense.view().pixel(y, x));
  }
  auto expected = Tensor<float>::create({4, 4, 12}).value(), actual = Tensor<float>::create({6, 7, 12}).value();
  detail::fit_to_cells(std::as_const(dense).view(), expected.view(), 2, true, 0, 4);
  View<float> const part = crop(actual.view(), 1, 2, 4, 4);
  detail::fit_to_cells(image, part, 2, true, 0, 4);
  auto expected_sum = Tensor<float>::create({7, 8, 3}).value(), sum = Tensor<float>::create({8, 9, 3}).value();
  detail::add_cells(std::as_const(dense).view(), std::as_const(expected).view(), 2, expected_sum.view(), 0, 7);
  detail::add_cells(image, View<float const>(part), 2, crop(sum.view(), 1, 1, 7, 8), 0, 7);
  for (Index y = 0; y < 7; ++y) {
    for (Index x = 0; x < 8; ++x) {
      for (Index c = 0; c < 3; ++c) REQUIRE(sum.view()(y + 1, x + 1, c) == expected_sum.view()(y, x, c));
    }
  }
  CHECK(actual.view()(0, 0, 0) == 0.0f);
  CHECK(sum.view()(0, 5, 0) == 0.0f);
}

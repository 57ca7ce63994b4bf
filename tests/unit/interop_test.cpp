// Maps as matrices of Eigen.
#include <doctest/doctest.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include <mirnet/interop/eigen.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/random.hpp"

using namespace mirnet;

TEST_CASE_TEMPLATE("a view is a matrix of pixels and channels", T, float, double) {
  auto map = Tensor<T>::create({2, 3, 5}).value();
  auto const view = map.view();
  test::Random random(1);
  test::fill(view, random);

  auto matrix = to_eigen(std::as_const(map).view());
  static_assert(!std::is_assignable_v<decltype(matrix(0, 0)), T>);
  REQUIRE(matrix.rows() == 6);
  REQUIRE(matrix.cols() == 5);
  CHECK(matrix.data() == view.data());
  for (Index y = 0; y < 2; ++y) {
    for (Index x = 0; x < 3; ++x) {
      for (Index c = 0; c < 5; ++c) CHECK(matrix(y * 3 + x, c) == view(y, x, c));
    }
  }
}

TEST_CASE("what is written to the matrix is in the map, and not in its padding") {
  auto map = Tensor<float>::create({2, 3, 5}).value();
  auto matrix = to_eigen(map.view());
  matrix.setConstant(1.0f);
  matrix.row(4) *= 7.0f;
  CHECK(map.view()(1, 1, 2) == 7.0f);
  CHECK(matrix.sum() == 25.0f + 5 * 7.0f);
  float const* const data = map.view().data();
  CHECK(std::count(data, data + 6 * 16, 0.0f) == 6 * 11);
}

TEST_CASE("views of another pitch, and of nothing") {
  float const numbers[] = {1, 2, 3, 4, 5, 6};
  auto const matrix = to_eigen(View<float const>(numbers, {1, 2, 2}, 3));
  CHECK(matrix(1, 0) == 4.0f);
  CHECK((matrix * matrix.transpose())(0, 1) == 1.0f * 4 + 2.0f * 5);
  CHECK(to_eigen(View<float>()).size() == 0);
}

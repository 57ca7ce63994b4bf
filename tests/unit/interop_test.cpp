// Maps as matrices of Eigen.
#include <doctest/doctest.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include <mirnet/interop/eigen.hpp>
#include <mirnet/ops/ops.hpp>
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

TEST_CASE("rows with gaps between them are matrices one by one, or as a copy") {
  auto map = Tensor<float>::create({4, 6, 5}).value();
  test::Random random(2);
  test::fill(map.view(), random);
  auto const part = crop(map.view(), 1, 2, 3, 4);
  auto const row = to_eigen(rows(part, 2, 1));
  REQUIRE(row.rows() == 4);
  for (Index x = 0; x < 4; ++x) {
    for (Index c = 0; c < 5; ++c) CHECK(row(x, c) == map.view()(3, 2 + x, c));
  }
  auto whole = Tensor<float>::like(part).value();
  REQUIRE(copy(part, whole.view()).ok());
  CHECK(to_eigen(whole.view())(7, 3) == map.view()(2, 5, 3));
  CHECK(to_eigen(rows(map.view(), 1, 2))(0, 0) == map.view()(1, 0, 0));
}

TEST_CASE("a matrix of Eigen is a map") {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Matrix matrix(3, 5);
  for (int i = 0; i < 15; ++i) matrix(i / 5, i % 5) = static_cast<float>(i);
  auto const map = from_eigen(matrix);
  static_assert(std::is_same_v<decltype(map), View<float> const>);
  CHECK(map.shape() == Shape{1, 3, 5});
  CHECK(map.data() == matrix.data());
  CHECK(map(0, 2, 4) == 14.0f);
  map(0, 1, 0) = -1.0f;
  CHECK(matrix(1, 0) == -1.0f);
  static_assert(std::is_same_v<decltype(from_eigen(std::as_const(matrix))), View<float const>>);

  auto const block = from_eigen(matrix.block(1, 2, 2, 3));
  CHECK(block.shape() == Shape{1, 2, 3});
  CHECK(block.pitch() == 5);
  CHECK(block(0, 1, 2) == 14.0f);
  CHECK(from_eigen(matrix.row(1))(0, 0, 0) == -1.0f);
  Eigen::RowVectorXd vector = Eigen::RowVectorXd::LinSpaced(4, 0.0, 3.0);
  CHECK(from_eigen(vector).shape() == Shape{1, 1, 4});
  CHECK(from_eigen(vector)(0, 0, 3) == 3.0);

  auto whole = Tensor<float>::create({2, 2, 5}).value();
  CHECK(from_eigen(to_eigen(whole.view()))(0, 3, 4) == 0.0f);
  auto product = Tensor<float>::create({1, 3, 3}).value(), transposed = Tensor<float>::create({1, 5, 3}).value();
  REQUIRE(transpose(from_eigen(matrix), transposed.view()).ok());
  REQUIRE(matmul(from_eigen(matrix), transposed.view(), product.view()).ok());
  Matrix const expected = matrix * matrix.transpose();
  CHECK(all_close(product.view(), from_eigen(expected)).ok());
}

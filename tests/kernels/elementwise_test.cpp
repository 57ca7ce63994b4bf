// Functions of each number of a map, maps added, subtracted and multiplied, and channels scaled and shifted: every
// table against the definitions in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/slice.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// A function of PyTorch's, and what an error of it is measured by besides its own magnitude: what it subtracts.
struct Definition {
  std::string name;
  PointFunction function;
  double (*value)(double);
  double (*cancelled)(double);
};

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double hard(double x) { return std::isnan(x) ? x : std::clamp(x + 3.0, 0.0, 6.0) / 6.0; }
double nothing(double) { return 0.0; }
double half(double x) { return std::abs(x) / 2.0; }

Definition const definitions[] = {
    {"clamp to -1.5 .. 2.25",
     {Function::clamp, -1.5, 2.25},
     [](double x) { return std::isnan(x) ? x : std::clamp(x, -1.5, 2.25); },
     nothing},
    {"clamp from 0 on",
     {Function::clamp, 0.0, std::numeric_limits<double>::infinity()},
     [](double x) { return x < 0.0 ? 0.0 : x; },
     nothing},
    // torch.clamp takes the upper bound where the bounds are the wrong way round.
    {"clamp to 3 .. 1", {Function::clamp, 3.0, 1.0}, [](double x) { return std::isnan(x) ? x : 1.0; }, nothing},
    {"sigmoid", {Function::sigmoid}, logistic, nothing},
    {"tanh", {Function::tanh}, [](double x) { return std::tanh(x); }, nothing},
    {"gelu", {Function::gelu}, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }, half},
    {"gelu_tanh",
     {Function::gelu_tanh},
     [](double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x))); },
     half},
    {"silu", {Function::silu}, [](double x) { return x * logistic(x); }, nothing},
    {"hard_sigmoid", {Function::hard_sigmoid}, hard, [](double x) { return std::abs(x) < 4.0 ? 0.5 : 0.0; }},
    {"hard_swish",
     {Function::hard_swish},
     [](double x) { return x * hard(x); },
     [](double x) { return std::abs(x) < 4.0 ? half(x) : 0.0; }}};

/// Below this, numbers are taken for zero.
constexpr double smallest = std::numeric_limits<float>::min();

}  // namespace

TEST_CASE("functions: within a few units in the last place, to both ends, into another map or in place") {
  std::vector<double> values{0.0, -0.0, 1e30, -1e30, 1e-30, -1e-30};
  for (double const x : {0.5, 1.0, 3.0, 20.0, 87.0, 88.5, 100.0}) values.insert(values.end(), {x, -x});
  for (int i = -1200; i <= 1200; ++i) values.push_back(static_cast<double>(i) / 64.0);
  for (double& value : values) value = static_cast<double>(static_cast<float>(bfloat16(value)));
  auto const count = static_cast<Index>(values.size());
  every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
    for (auto const& definition : definitions) {
      INFO(definition.name);
      Slice<T> map(values, 1, count);
      FunctionOf<T> const work{map.data(), map.pitch(), map.data(), map.pitch(), count, definition.function};
      kernels.apply_function(work, 0, 1);
      auto const x = [&](Index c) { return values[static_cast<std::size_t>(c)]; };
      CHECK(map.mismatch([&](Index, Index c) { return definition.value(x(c)); },
                         [&](Index, Index c) {
                           double const size = std::abs(definition.value(x(c))) + definition.cancelled(x(c));
                           return 3 * rounding<T> * size + smallest * (1.0 + std::abs(x(c)));
                         }) == "");
    }
  });
}

TEST_CASE("functions of infinities and of what is no number are PyTorch's") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> const values{infinity, -infinity, std::numeric_limits<double>::quiet_NaN(), 1.0};
  auto const exactly = [](Index, Index c) { return c == 3 ? 1.0 : 0.0; };
  every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
    for (auto const& definition : definitions) {
      INFO(definition.name);
      Slice<T> map(values, 1, 4);
      FunctionOf<T> const work{map.data(), map.pitch(), map.data(), map.pitch(), 4, definition.function};
      kernels.apply_function(work, 0, 1);
      // -infinity * 0 is no number, in PyTorch neither.
      CHECK(map.mismatch([&](Index, Index c) { return definition.value(values[static_cast<std::size_t>(c)]); },
                         exactly) == "");
    }
  });
}

TEST_CASE("functions of maps of any size, with a gap between the pixels") {
  Random random(21);
  each_size(random, [&](Index pixels, Index channels, Index between, Index other) {
    INFO(pixels, " pixels of ", channels, " channels, ", between, " and ", other, " lines between");
    auto const values = numbers(pixels * channels, random, -4.0f, 4.0f);
    auto const& definition = definitions[static_cast<std::size_t>(random.between(0, std::size(definitions) - 1))];
    INFO(definition.name);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      Slice<T> input(values, pixels, channels, between), output(pixels, channels, other);
      FunctionOf<T> work{input.data(), input.pitch(), output.data(), output.pitch(), channels, definition.function};
      in_ranges(pixels, pixels, &random, [&](Index first, Index last) { kernels.apply_function(work, first, last); });
      CHECK(output.mismatch([&](Index pixel, Index c) { return definition.value(values[input.index(pixel, c)]); },
                            [&](Index, Index) { return 12 * rounding<T>; }) == "");
      work.output = input.data(), work.output_pitch = input.pitch();
      kernels.apply_function(work, 0, pixels);
      CHECK(input.mismatch([&](Index pixel, Index c) { return output(pixel, c); }, [](Index, Index) { return 0.0; }) ==
            "");
    });
  });
}

TEST_CASE("combined maps: each number, one vector or one channel of the other, added to a third, into any of them") {
  struct {
    std::string name;
    Operation operation;
    double (*value)(double, double);
  } const operations[] = {{"sum", Operation::add, [](double x, double y) { return x + y; }},
                          {"difference", Operation::subtract, [](double x, double y) { return x - y; }},
                          {"product", Operation::multiply, [](double x, double y) { return x * y; }}};
  enum { all, vector, channel };
  enum { beside, left_map, right_map, added_map };
  Random random(22);
  each_size(random, [&](Index pixels, Index channels, Index between, Index other) {
    auto const lefts = numbers(pixels * channels, random), rights = numbers(pixels * channels, random);
    auto const addends = numbers(pixels * channels, random);
    for (auto const& by : operations) {
      for (int const right_is : {all, vector, channel}) {
        bool const adds = random.between(0, 1) == 1;
        INFO(pixels, " pixels of ", channels, " channels, ", between, " and ", other, " lines between, ", by.name,
             " with ",
             std::string(right_is == all      ? "a map"
                         : right_is == vector ? "a vector"
                                              : "a channel"),
             std::string(adds ? ", added" : ""));
        every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
          auto const run = [&](int place) {
            Slice<T> left(lefts, pixels, channels, between), output(pixels, channels, between);
            Slice<T> right(rights, right_is == vector ? 1 : pixels, right_is == channel ? 1 : channels, other);
            Slice<T> addend(addends, pixels, channels, other);
            Slice<T>& to = place == beside ? output : place == left_map ? left : place == right_map ? right : addend;
            Combination<T> const work{.left = left.data(),
                                      .left_pitch = left.pitch(),
                                      .right = right.data(),
                                      .right_pitch = right_is == vector ? 0 : right.pitch(),
                                      .spreads = right_is == channel,
                                      .output = to.data(),
                                      .output_pitch = to.pitch(),
                                      .channels = channels,
                                      .operation = by.operation,
                                      .added = adds ? addend.data() : nullptr,
                                      .added_pitch = adds ? addend.pitch() : 0};
            in_ranges(pixels, pixels, &random, [&](Index first, Index last) { kernels.combine(work, first, last); });
            return to;
          };
          for (int const place : {beside, left_map, right_map, added_map}) {
            if ((place == right_map && right_is != all) || (place == added_map && !adds)) continue;
            CAPTURE(place);
            // Each operation is rounded to the type of sums, the result to T.
            CHECK(run(place).mismatch(
                      [&](Index pixel, Index c) {
                        auto const at = static_cast<std::size_t>(pixel * channels + c);
                        auto const of_right = static_cast<std::size_t>(right_is == vector    ? c
                                                                       : right_is == channel ? pixel
                                                                                             : pixel * channels + c);
                        double const of_both = static_cast<Accumulator<T>>(by.value(lefts[at], rights[of_right]));
                        double const sum = adds ? addends[at] + of_both : of_both;
                        return static_cast<double>(static_cast<T>(static_cast<Accumulator<T>>(sum)));
                      },
                      [](Index, Index) { return smallest; }) == "");
          }
        });
      }
    }
  });
}

TEST_CASE("channels scaled and shifted, into another map or in place") {
  Random random(23);
  each_size(random, [&](Index pixels, Index channels, Index between, Index other) {
    INFO(pixels, " pixels of ", channels, " channels, ", between, " and ", other, " lines between");
    auto const values = numbers(pixels * channels, random), centres = numbers(channels, random);
    auto const scales = numbers(channels, random, -2.0f, 2.0f), shifts = numbers(channels, random);
    every_table_of_every_type([&]<class T>(KernelTable<T> const& kernels) {
      using Sum = Accumulator<T>;
      // Up to the end of the line of a map of T, the padding not zero.
      auto const vector = [&](std::vector<double> const& of) {
        Buffer<Sum> result(pixel_pitch<T>(channels), Sum(7));
        std::transform(of.begin(), of.end(), result.data(), [](double x) { return static_cast<Sum>(x); });
        return result;
      };
      auto const centre = vector(centres), scale = vector(scales), shift = vector(shifts);
      Slice<T> input(values, pixels, channels, between), output(pixels, channels, other);
      Scaling<T> work{input.data(), input.pitch(), output.data(), output.pitch(),
                      channels,     centre.data(), scale.data(),  shift.data()};
      in_ranges(pixels, pixels, &random, [&](Index first, Index last) { kernels.scale_and_shift(work, first, last); });
      CHECK(output.mismatch(
                [&](Index pixel, Index c) {
                  auto const i = static_cast<std::size_t>(c);
                  return (values[input.index(pixel, c)] - centres[i]) * scales[i] + shifts[i];
                },
                [&](Index, Index) { return 4 * rounding<T>; }) == "");
      work.output = input.data(), work.output_pitch = input.pitch();
      kernels.scale_and_shift(work, 0, pixels);
      CHECK(input.mismatch([&](Index pixel, Index c) { return output(pixel, c); }, [](Index, Index) { return 0.0; }) ==
            "");
    });
  });
}

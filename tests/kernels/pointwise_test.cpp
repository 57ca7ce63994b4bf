// Activations, softmax, weighted sums and the gate of the spatial attention: every table against the definitions.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"

using namespace mirnet;
using namespace test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// In the middle of whole lines, as kernels want it; what is left over of the last is zeros.
template <class T>
Buffer<T> lines(std::vector<double> const& values) {
  auto const size = static_cast<Index>(values.size());
  Buffer<T> buffer = guarded<T>(round_up(size, channels_per_line<float>));
  std::fill(buffer.data() + guard, buffer.data() + buffer.size() - guard, T(0));
  std::transform(values.begin(), values.end(), buffer.data() + guard, [](double x) { return static_cast<T>(x); });
  return buffer;
}

}  // namespace

TEST_CASE("PReLU: exact, with the sign of zero and NaN as PyTorch has them") {
  std::vector<double> const values{0.0, -0.0, 1.0, -1.0, 0.3, -0.3, 1e30, -1e30, 1e-30, -1e-30, 3.0, -3.0, 7.0};
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    for (T const slope : {T(1), T(0), T(0.25), T(-0.5), T(1.5)}) {
      CAPTURE(slope);
      auto x = lines<T>(values);
      auto expected = x;
      for (T* e = expected.data() + guard; e != expected.data() + expected.size() - guard; ++e) {
        if (!(*e > 0)) *e *= slope;
      }
      kernels.prelu(x.data() + guard, x.size() - 2 * guard, slope);
      CHECK(same_bits(x, expected));
    }
    auto x = lines<T>({not_a_number, infinity, -infinity});
    kernels.prelu(x.data() + guard, x.size() - 2 * guard, T(0.25));
    CHECK(std::isnan(x[guard]));
    CHECK(x[guard + 1] == static_cast<T>(infinity));
    CHECK(x[guard + 2] == static_cast<T>(-infinity));
  });
}

TEST_CASE("sigmoid: within a few units in the last place, to both ends") {
  std::vector<double> values{0.0, -0.0};
  for (double const x : {0.5, 20.0, 87.0, 88.5, 100.0, 1e30, infinity}) values.insert(values.end(), {x, -x});
  for (int i = -900; i <= 900; i += 7) values.push_back(static_cast<double>(static_cast<float>(i) / 10.0f));

  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto x = lines<T>(values);
    auto expected = Buffer<double>(x);
    for (Index i = guard; i < x.size() - guard; ++i) expected[i] = 1.0 / (1.0 + std::exp(-expected[i]));
    kernels.sigmoid(x.data() + guard, x.size() - 2 * guard);
    // Where the result is no normal number, zero will do.
    CHECK(mismatch(x, expected, [&](Index i) {
            double const smallest = static_cast<double>(std::numeric_limits<T>::min());
            return i < guard || i >= x.size() - guard ? 0.0 : 3 * epsilon<T> * expected[i] + smallest;
          }) == "");
    CHECK(x[guard] == T(0.5));

    auto none = lines<T>({not_a_number});
    kernels.sigmoid(none.data() + guard, none.size() - 2 * guard);
    CHECK(std::isnan(none[guard]));
  });
}

TEST_CASE("softmax: whatever the size of the logits, and nothing between the vectors is touched") {
  Random random(1);
  for (Index vectors = 1; vectors <= 4; ++vectors) {
    for (Index const count : {16, 48}) {
      for (Index const gap : {0, 16}) {
        for (float const scale : {1.0f, 30.0f, 1e4f, 1e30f}) {
          INFO(vectors, " vectors of ", count, " logits up to ", scale, ", ", gap, " elements between them");
          Index const step = count + gap;
          auto input = guarded<float>(vectors * step);
          for (Index v = 0; v < vectors; ++v) {
            fill(std::span(input.data() + guard + v * step, static_cast<std::size_t>(count)), random, -scale, scale);
          }
          auto expected = Buffer<double>(input);
          for (Index i = guard; i < guard + count; ++i) {
            double largest = -infinity, sum = 0.0;
            for (Index v = 0; v < vectors; ++v) largest = std::max(largest, expected[i + v * step]);
            for (Index v = 0; v < vectors; ++v) sum += std::exp(expected[i + v * step] - largest);
            for (Index v = 0; v < vectors; ++v) {
              expected[i + v * step] = std::exp(expected[i + v * step] - largest) / sum;
            }
          }
          every_table([&]<class T>(KernelTable<T> const& kernels) {
            Buffer<T> x(input);
            kernels.softmax(x.data() + guard, vectors, count, step);
            CHECK(mismatch(x, expected, 4 * epsilon<T>) == "");
          });
        }
      }
    }
  }
}

TEST_CASE("softmax: equal logits share, e to the logit is the proportion") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    constexpr Index line = channels_per_line<float>;
    Buffer<T> x(2 * line, T(1000));
    x[1] = 0;
    x[line + 1] = static_cast<T>(std::log(3.0));
    kernels.softmax(x.data(), 2, line, line);
    CHECK(x[0] == T(0.5));
    CHECK(x[line] == T(0.5));
    CHECK(static_cast<double>(x[1]) == doctest::Approx(0.25).epsilon(2 * epsilon<T>));
    CHECK(static_cast<double>(x[line + 1]) == doctest::Approx(0.75).epsilon(2 * epsilon<T>));
  });
}

TEST_CASE("weighted sum: of one to four maps, into another or into any of them") {
  Random random(2);
  constexpr Index pixels = 13;
  for (Index count = 1; count <= WeightedSum<float>::most; ++count) {
    for (Index const pitch : {16, 48}) {
      for (Index in_place = -1; in_place < count; ++in_place) {
        INFO(count, " maps, pitch ", pitch, ", into map ", in_place);
        Index const size = pixels * pitch;
        Buffer<float> maps(count * size), weights(count * pitch);
        fill(maps.span(), random);
        fill(weights.span(), random);
        auto expected = guarded<double>(size), magnitude = Buffer<double>(expected.size());
        for (Index i = 0; i < size; ++i) {
          expected[guard + i] = 0.0;
          for (Index map = 0; map < count; ++map) {
            double const product = double{weights[map * pitch + i % pitch]} * double{maps[map * size + i]};
            expected[guard + i] += product;
            magnitude[guard + i] += std::abs(product);
          }
        }
        every_table([&]<class T>(KernelTable<T> const& kernels) {
          Buffer<T> const own(maps), own_weights(weights);
          auto const run = [&](Random* split) {
            auto output = guarded<T>(size);
            WeightedSum<T> work{
                .count = count, .inputs = {}, .weights = {}, .pitch = pitch, .output = output.data() + guard};
            for (Index map = 0; map < count; ++map) {
              work.inputs[map] = own.data() + map * size;
              work.weights[map] = own_weights.data() + map * pitch;
            }
            if (in_place >= 0) work.inputs[in_place] = std::copy_n(work.inputs[in_place], size, work.output) - size;
            in_ranges(pixels, pixels, split, [&](Index first, Index last) { kernels.weighted_sum(work, first, last); });
            return output;
          };
          auto const result = run(nullptr);
          CHECK(mismatch(result, expected, [&](Index i) { return 4 * epsilon<T> * magnitude[i]; }) == "");
          CHECK(same_bits(result, run(&random)));
        });
      }
    }
  }
}

TEST_CASE("activated sum: into another map or into either, with the sums of its channels or without") {
  enum { beside, into_input, into_residual };
  Random random(5);
  for (Index const pixels : {1, 2, 15, 16, 17, 40}) {
    for (Index const pitch : {16, 48, 112}) {
      for (float const slope : {0.2f, 1.0f, 0.0f}) {
        INFO(pixels, " pixels, pitch ", pitch, ", slope ", slope);
        Index const size = pixels * pitch;
        Buffer<float> input(size), residual(size), vector(pitch);
        fill(input.span(), random), fill(residual.span(), random), fill(vector.span(), random);
        auto expected = guarded<double>(size);
        for (Index i = 0; i < size; ++i) {
          double const sum = double{input[i]} + double{vector[i % pitch]};
          expected[guard + i] = double{residual[i]} + (sum > 0.0 ? sum : sum * static_cast<double>(slope));
        }
        every_table([&]<class T>(KernelTable<T> const& kernels) {
          Buffer<T> const own(input), own_residual(residual), own_vector(vector);
          auto const run = [&](int place, Random* split, Buffer<T>* sums) {
            auto output = guarded<T>(size);
            T* const to = output.data() + guard;
            if (place == into_input) std::copy_n(own.data(), size, to);
            if (place == into_residual) std::copy_n(own_residual.data(), size, to);
            ActivatedSum<T> const work{.input = place == into_input ? to : own.data(),
                                       .residual = place == into_residual ? to : own_residual.data(),
                                       .vector = own_vector.data(),
                                       .slope = static_cast<T>(slope),
                                       .pitch = pitch,
                                       .output = to};
            in_ranges(pixels, pixels, split, [&](Index first, Index last) {
              kernels.activated_sum(work, first, last, sums == nullptr ? nullptr : sums->data() + guard);
            });
            return output;
          };
          auto const result = run(beside, nullptr, nullptr);
          CHECK(mismatch(result, expected, 4 * epsilon<T>) == "");
          CHECK(same_bits(result, run(beside, &random, nullptr)));
          for (int const place : {beside, into_input, into_residual}) {
            auto sums = guarded<T>(pitch);
            CHECK(same_bits(result, run(place, nullptr, &sums)));
            auto total = guarded<double>(pitch), magnitude = Buffer<double>(total.size());
            std::fill_n(total.data() + guard, pitch, 0.0);
            for (Index i = 0; i < size; ++i) {
              double const value = static_cast<double>(result[guard + i]);
              total[guard + i % pitch] += value, magnitude[guard + i % pitch] += std::abs(value);
            }
            CHECK(mismatch(sums, total, [&](Index i) { return 4 * epsilon<T> * magnitude[i]; }) == "");
          }
        });
      }
    }
  }
}

TEST_CASE("spatial gate: widths of every remainder, split into any rows") {
  Random random(3);
  constexpr Index height = 5;
  for (Index width = 1; width <= 40; ++width) {
    CAPTURE(width);
    Index const pitch = round_up(width + 4, channels_per_line<float>) + channels_per_line<float>;
    Index const plane = (height + 4) * pitch;
    Buffer<float> planes(2 * plane), weights(50);
    fill(weights.span(), random, -0.3f, 0.3f);
    for (float* const start : {planes.data(), planes.data() + plane}) {
      for (Index y = 2; y < height + 2; ++y) {
        fill(std::span(start + y * pitch + 2, static_cast<std::size_t>(width)), random);
      }
    }
    auto expected = guarded<double>(height * width);
    for (Index y = 0; y < height; ++y) {
      for (Index x = 0; x < width; ++x) {
        double sum = 0.0;
        for (Index k = 0; k < 50; ++k) {
          Index const at = k / 25 * plane + (y + k / 5 % 5) * pitch + x + k % 5;
          sum += double{planes[at]} * double{weights[k]};
        }
        expected[guard + y * width + x] = 1.0 / (1.0 + std::exp(-sum));
      }
    }
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      Buffer<T> const own(planes), own_weights(weights);
      auto const run = [&](Random* split) {
        auto gate = guarded<T>(height * width);
        SpatialGate<T> const work{own.data(), own.data() + plane, pitch,
                                  width,      own_weights.data(), gate.data() + guard};
        in_ranges(height, height, split, [&](Index first, Index last) { kernels.spatial_gate(work, first, last); });
        return gate;
      };
      auto const result = run(nullptr);
      CHECK(mismatch(result, expected, 4 * epsilon<T>) == "");
      CHECK(same_bits(result, run(&random)));
    });
  }
}

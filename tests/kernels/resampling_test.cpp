// Blur-pool, averages of 2x2 pixels and bilinear doubling of every table against the plain ones in double, and these
// against what PyTorch's definitions say.
#include <doctest/doctest.h>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/rows_copy.hpp"

using namespace mirnet;
using namespace test;

namespace {

template <class T>
using Kernel = void (*)(Resampling<T> const&, Index, Index) noexcept;

struct Size {
  Index height, width;
};

/// The output with its guards, from a map of `in` to one of `out`.
template <class T>
Buffer<T> run(Kernel<T> kernel, Buffer<T> const& input, Size in, Size out, Index pitch, Random* split = nullptr) {
  Buffer<T> output = guarded<T>(out.height * out.width * pitch);
  Resampling<T> const work{input.data(), in.height, in.width, pitch, output.data() + guard};
  in_ranges(out.height, out.height, split, [&](Index first, Index last) { kernel(work, first, last); });
  return output;
}

/// The rows of a map that some rows of an output are computed from.
struct Rows {
  Index first, end;
};

/// The same in bands of a few rows, each from a copy of what it needs: needed(first, last) says which.
template <class T>
Buffer<T> run_in_bands(Kernel<T> kernel, Buffer<T> const& input, Size in, Size out, Index pitch, auto needed,
                       Random& random) {
  Buffer<T> output = guarded<T>(out.height * out.width * pitch);
  in_ranges(out.height, 4, &random, [&](Index first, Index last) {
    Rows const rows = needed(first, last);
    RowsCopy<T> const copy(input.data(), in.width * pitch, rows.first, rows.end - rows.first);
    Resampling<T> const work{.input = copy.data(),
                             .height = in.height,
                             .width = in.width,
                             .pitch = pitch,
                             .output = output.data() + guard + first * out.width * pitch,
                             .input_first_row = rows.first,
                             .first_row = first};
    in_ranges(last - first, last - first, &random, [&](Index from, Index to) { kernel(work, from, to); });
  });
  return output;
}

/// `select` names a kernel of a table.
void check(auto select, auto needed, Size in, Size out, Random& random) {
  // Register-wise loops differ in the pitch alone, and all of it is written.
  for (Index const pitch : {16, 32, 112}) {
    INFO(in.height, "x", in.width, " to ", out.height, "x", out.width, ", pitch ", pitch);
    Buffer<float> input(in.height * in.width * pitch);
    fill(input.span(), random);
    auto const expected = run(select(test::plain_kernels<double>()), Buffer<double>(input), in, out, pitch);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      Buffer<T> const own(input);
      auto const result = run(select(kernels), own, in, out, pitch);
      CHECK(mismatch(result, expected, 2 * epsilon<T>) == "");
      CHECK(same_bits(result, run(select(kernels), own, in, out, pitch, &random)));
      CHECK(same_bits(result, run_in_bands(select(kernels), own, in, out, pitch, needed, random)));
    });
  }
}

constexpr auto blur_pool_of = [](auto const& kernels) { return kernels.blur_pool; };
constexpr auto bilinear_of = [](auto const& kernels) { return kernels.bilinear_double; };
constexpr auto average_of = [](auto const& kernels) { return kernels.average_halve; };

/// A kernel's result for one channel of numbers.
template <class T>
std::vector<T> one_channel(Kernel<T> kernel, std::vector<T> const& values, Size in, Size out) {
  constexpr Index line = channels_per_line<T>;
  Buffer<T> input(in.height * in.width * line);
  for (Index i = 0; i < in.height * in.width; ++i) input[i * line] = values[static_cast<std::size_t>(i)];
  auto const output = run(kernel, input, in, out, line);
  std::vector<T> result;
  for (Index i = 0; i < out.height * out.width; ++i) result.push_back(output[guard + i * line]);
  return result;
}

}  // namespace

TEST_CASE("blur-pool") {
  Random random(1);
  for (Size const out : {Size{1, 1}, {1, 2}, {2, 1}, {1, 9}, {5, 1}, {3, 4}, {7, 5}, {20, 3}}) {
    auto const needed = [](Index first, Index last) { return Rows{std::max<Index>(2 * first - 1, 0), 2 * last}; };
    check(blur_pool_of, needed, {2 * out.height, 2 * out.width}, out, random);
  }
}

TEST_CASE("averages of 2x2 pixels") {
  Random random(3);
  for (Size const out : {Size{1, 1}, {1, 2}, {2, 1}, {1, 9}, {5, 1}, {3, 4}, {7, 5}, {20, 3}}) {
    auto const needed = [](Index first, Index last) { return Rows{2 * first, 2 * last}; };
    check(average_of, needed, {2 * out.height, 2 * out.width}, out, random);
  }
  every_table([]<class T>(KernelTable<T> const& kernels) {
    CHECK(one_channel<T>(kernels.average_halve, {0, 4, 1, 1, 8, 16, 1, 1, 2, 0, 0, 0, 0, 0, 0, -4}, {4, 4}, {2, 2}) ==
          std::vector<T>{7, 1, T(0.5), -1});
  });
}

TEST_CASE("a doubled map in a weighted sum, into the other map or beside it, split into any rows") {
  Random random(4);
  for (Size const in : {Size{1, 1}, {1, 2}, {2, 1}, {1, 17}, {7, 1}, {3, 5}, {6, 33}}) {
    for (Index const pitch : {16, 32, 112}) {
      INFO(in.height, "x", in.width, ", pitch ", pitch);
      Size const out{2 * in.height, 2 * in.width};
      Index const row = out.width * pitch, size = out.height * row;
      Buffer<float> input(in.height * in.width * pitch), other(size), weights(2 * pitch);
      fill(input.span(), random), fill(other.span(), random), fill(weights.span(), random);
      auto expected = run(test::plain_kernels<double>().bilinear_double, Buffer<double>(input), in, out, pitch);
      for (Index i = 0; i < size; ++i) {
        double const own = double{weights[i % pitch]} * double{other[i]};
        expected[guard + i] = own + double{weights[pitch + i % pitch]} * expected[guard + i];
      }
      every_table([&]<class T>(KernelTable<T> const& kernels) {
        Buffer<T> const own(input), own_other(other), own_weights(weights);
        auto const sum = [&](bool in_place, Index rows) {
          auto output = guarded<T>(size);
          if (in_place) std::copy_n(own_other.data(), size, output.data() + guard);
          T const* const from = in_place ? output.data() + guard : own_other.data();
          // Parts that begin with any row, of which some rows are computed at a time.
          for (Index first = 0; first < out.height; first += rows) {
            Index const count = std::min(rows, out.height - first);
            DoubledSum<T> const work{{.input = own.data(),
                                      .height = in.height,
                                      .width = in.width,
                                      .pitch = pitch,
                                      .output = output.data() + guard + first * row,
                                      .first_row = first},
                                     from + first * row,
                                     {own_weights.data(), own_weights.data() + pitch}};
            in_ranges(count, count, rows < out.height ? &random : nullptr,
                      [&](Index begin, Index end) { kernels.bilinear_double_sum(work, begin, end); });
          }
          return output;
        };
        auto const result = sum(false, out.height);
        CHECK(mismatch(result, expected, 4 * epsilon<T>) == "");
        for (Index const rows : {out.height, Index{3}}) {
          CHECK(same_bits(result, sum(true, rows)));
          CHECK(same_bits(result, sum(false, rows)));
        }
      });
    }
  }
}

TEST_CASE("bilinear doubling") {
  Random random(2);
  for (Size const in : {Size{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 9}, {7, 1}, {3, 5}, {6, 4}, {13, 2}}) {
    // An even row has the one above as its second, an odd one the one below.
    auto const needed = [in](Index first, Index last) {
      return Rows{std::max<Index>((first - 1) / 2, 0), std::min(last / 2 + 1, in.height)};
    };
    check(bilinear_of, needed, in, {2 * in.height, 2 * in.width}, random);
  }
}

TEST_CASE("blur-pool: [1 2 1] / 4 in both directions, the border reflected without the edge") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    // Along a ramp it is the ramp, but for the first: (1 + 2*0 + 1) / 4.
    CHECK(one_channel<T>(kernels.blur_pool, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}, {2, 6}, {1, 3}) ==
          std::vector<T>{T(0.5), 2, 4});
    CHECK(one_channel<T>(kernels.blur_pool, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}, {6, 2}, {3, 1}) ==
          std::vector<T>{T(0.5), 2, 4});
    // Every pixel is seen by its neighbours of even row and column: here 8 is, by two of them.
    CHECK(one_channel<T>(kernels.blur_pool, {0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0}, {4, 4}, {2, 2}) ==
          std::vector<T>{0, 0, 4, 2});
  });
}

TEST_CASE("bilinear doubling: weights of 3/4 and 1/4, the border repeated, as with align_corners=False") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    CHECK(one_channel<T>(kernels.bilinear_double, {0, 4}, {1, 2}, {2, 4}) == std::vector<T>{0, 1, 3, 4, 0, 1, 3, 4});
    CHECK(one_channel<T>(kernels.bilinear_double, {0, 4}, {2, 1}, {4, 2}) == std::vector<T>{0, 0, 1, 1, 3, 3, 4, 4});
    // The four middle ones of a corner: 16 * (3/4, 1/4) x (3/4, 1/4).
    CHECK(one_channel<T>(kernels.bilinear_double, {16, 0, 0, 0}, {2, 2}, {4, 4}) ==
          std::vector<T>{16, 12, 4, 0, 12, 9, 3, 0, 4, 3, 1, 0, 0, 0, 0, 0});
    CHECK(one_channel<T>(kernels.bilinear_double, std::vector<T>(15, 7), {3, 5}, {6, 10}) == std::vector<T>(60, 7));
  });
}

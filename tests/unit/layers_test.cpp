// Layers against PyTorch's definitions of them, written out here in the checkpoint's own order of the weights, which no
// kernel and no packing has touched.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/band.hpp>
#include <mirnet/layers/concat.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/elementwise.hpp>
#include <mirnet/layers/normalization.hpp>
#include <mirnet/layers/pixel_shuffle.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/layers/sum.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/rows_copy.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// body(context) as a network does it: a rehearsal that measures, then a run in exactly that memory.
template <class T>
void run(KernelTable<T> const& kernels, ParallelFor const& parallel, std::function<void(Context<T>&)> const& body) {
  auto rehearsal = Context<T>::for_rehearsal(kernels, parallel);
  Context<T> context(kernels, parallel);
  body(rehearsal);
  CHECK(rehearsal.status().ok());
  auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
  context.arena = Arena(memory.bytes());
  body(context);
  CHECK(context.status().ok());
  CHECK(context.arena.peak() == rehearsal.arena.peak());
  CHECK(context.arena.live_blocks() == 0);
  CHECK(context.macs == rehearsal.macs);
}

template <class T>
Tensor<T> random_map(Shape shape, Random& random) {
  auto map = Tensor<T>::create(shape).value();
  fill(map.view(), random);
  return map;
}

/// A layer's random parameters, in the checkpoint's order and packed.
template <class T>
struct Parameters {
  template <class Layer>
  Parameters(Layer& layer, Random& random) : plain(layer.shape().elements()) {
    Index elements = 0;
    each_parameter(layer, Unnamed(), [&](auto& parameter, Unnamed) { elements += parameter.packed_elements(); });
    packed = Buffer<T>(elements);
    fill(plain.span(), random);
    layer.bind(packed.data());
    layer.pack(packed.data(), 0, plain.span());
    if constexpr (requires { layer.has_bias(); }) {
      if (!layer.has_bias()) return;
      bias = Buffer<T>(layer.bias().shape().elements());
      fill(bias.span(), random);
      layer.bias().bind(packed.data() + layer.packed_elements());
      layer.bias().pack(packed.data() + layer.packed_elements(), 0, bias.span());
    }
  }

  Buffer<T> plain, packed, bias;
};

/// Whether a map is `expected(y, x, c)`, channel padding zero, to the rounding of sums of `depth` products.
template <class T>
std::string difference(View<T const> map, Index depth, auto expected) {
  std::ostringstream text;
  double const bound = 4 * epsilon<T> * static_cast<double>(depth);
  for (Index y = 0; y < map.height(); ++y) {
    for (Index x = 0; x < map.width(); ++x) {
      for (Index c = 0; c < map.pitch(); ++c) {
        double const wanted = c < map.channels() ? expected(y, x, c) : 0.0;
        double const found = static_cast<double>(map.pixel(y, x)[c]);
        if (std::abs(found - wanted) <= bound) continue;
        text << "row " << y << ", column " << x << ", channel " << c << " is " << found << ", not " << wanted;
        return text.str();
      }
    }
  }
  return {};
}

/// Rows [first, end) of a map, with nothing around them.
class OnlyRows {
 public:
  OnlyRows(View<float const> map, Index first, Index end)
      : copy_(map.data(), map.width() * map.pitch(), first, end - first),
        band_(View<float const>(copy_.data(), {end - first, map.width(), map.channels()}), first, map.height()) {}
  OnlyRows(OnlyRows const&) = delete;

  Band<float const> band() const noexcept { return band_; }

 private:
  RowsCopy<float> copy_;
  Band<float const> band_;
};

/// Calls test(kernels, algorithm) for the tables whose bits do not depend on the size of the work tiles.
void every_bitwise_table(auto test) {
  for (auto const* kernels : kernel_tables()) {
    if (std::string(kernels->isa) == "eigen") continue;
    for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
      INFO(std::string(kernels->isa), " kernels, ",
           std::string(algorithm == Algorithm::direct ? "direct" : "automatic"));
      test(*kernels, algorithm);
    }
  }
}

constexpr Index rows_in_a_band = 8;

}  // namespace

TEST_CASE("parameters arrive in any pieces") {
  Random random(1);
  auto const check = [&](auto layer) {
    Parameters<float> const whole(layer, random);
    std::vector<float> packed(static_cast<std::size_t>(layer.packed_elements()));
    // Few elements at a time, some rows, and all of them.
    for (Index const most :
         {Index{50}, 8 * layer.shape().elements() / layer.shape().dim[0], layer.shape().elements()}) {
      CAPTURE(most);
      for (Random* const order : {&random, static_cast<Random*>(nullptr)}) {
        std::fill(packed.begin(), packed.end(), 0.0f);
        in_ranges(whole.plain.size(), most, order, [&](Index first, Index last) {
          auto const count = static_cast<std::size_t>(last - first);
          layer.pack(packed.data(), first, std::span(whole.plain.data() + first, count));
        });
        layer.pack(packed.data(), whole.plain.size(), {});
        CHECK(std::equal(packed.begin(), packed.end(), whole.packed.begin(), whole.packed.end()));
      }
    }
    // Back again: every element of the arrangement is one of the checkpoint's, and each of those is there once.
    std::vector<Index> found(static_cast<std::size_t>(whole.plain.size()));
    for (Index at = 0; at < layer.packed_elements(); ++at) {
      Index const from = layer.packed_from(mirnet::channels_per_line<float>, at);
      CHECK(packed[static_cast<std::size_t>(at)] == (from == mirnet::no_element ? 0.0f : whole.plain[from]));
      if (from == mirnet::no_element) continue;
      ++found[static_cast<std::size_t>(from)];
      for (Index const line : {8, 16, 32}) CHECK(layer.packed_from(line, layer.packed_at(line, from)) == from);
      CHECK(layer.packed_at(mirnet::channels_per_line<float>, from) == at);
    }
    CHECK(std::all_of(found.begin(), found.end(), [](Index times) { return times == 1; }));
  };
  check(Conv2d<float>(5, 18, 3));
  check(Conv2d<float>(3, 40, 3));
  check(Conv2d<float>(8, 8, 1));
  check(Conv2d<float>(12, 36, 3, {.groups = 4}));
  check(ConvTranspose2d<float>(3, 17));
  check(ConvTranspose2d<float>(9, 32));
  check(PlainParameter<float>({4, {1, 2, 5, 5}}));
}

TEST_CASE("Conv2d is torch.nn.Conv2d") {
  struct {
    Index kernel, stride, padding, in, out, height, width;
  } const table[] = {
      {3, 1, 1, 3, 8, 6, 7},    {3, 1, 1, 17, 20, 5, 9}, {3, 2, 1, 8, 16, 9, 6},    {3, 1, 0, 4, 5, 5, 3},
      {1, 1, 0, 24, 12, 4, 30}, {1, 2, 0, 3, 2, 5, 4},   {5, 1, 2, 2, 1, 4, 3},     {3, 1, 2, 2, 3, 1, 1},
      {5, 3, 4, 3, 33, 7, 8},   {2, 2, 0, 8, 8, 6, 4},   {3, 1, 1, 24, 20, 18, 21},
  };
  Random random(2);
  for (auto const& row : table) {
    INFO("kernel ", row.kernel, ", stride ", row.stride, ", padding ", row.padding, ", ", row.in, " to ", row.out,
         " channels, ", row.height, "x", row.width);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      for (bool const biased : {false, true}) {
        CAPTURE(biased);
        Conv2d<T> layer(row.in, row.out, row.kernel, {.stride = row.stride, .padding = row.padding, .bias = biased});
        Parameters<T> const weights(layer, random);
        auto const input = random_map<T>({row.height, row.width, row.in}, random);
        auto const in = input.view();
        Shape const shape = layer.output_shape(in.shape());
        CHECK(shape == Shape{(row.height + 2 * row.padding - row.kernel) / row.stride + 1,
                             (row.width + 2 * row.padding - row.kernel) / row.stride + 1, row.out});
        auto const residual = random_map<T>(shape, random);
        auto const convolution = [&](Index y, Index x, Index o) {
          double sum = biased ? static_cast<double>(weights.bias[o]) : 0.0;
          for (Index i = 0; i < row.in; ++i) {
            for (Index ky = 0; ky < row.kernel; ++ky) {
              for (Index kx = 0; kx < row.kernel; ++kx) {
                Index const iy = y * row.stride + ky - row.padding, ix = x * row.stride + kx - row.padding;
                if (iy < 0 || iy >= row.height || ix < 0 || ix >= row.width) continue;
                T const weight = weights.plain[((o * row.in + i) * row.kernel + ky) * row.kernel + kx];
                sum += static_cast<double>(weight) * static_cast<double>(in(iy, ix, i));
              }
            }
          }
          return sum;
        };
        Index const depth = row.kernel * row.kernel * row.in;
        auto output = Tensor<T>::create(shape).value();
        auto const out = output.view();
        run<T>(kernels, {}, [&](Context<T>& context) { layer.forward(context, in, out); });
        CHECK(difference<T>(out, depth, convolution) == "");

        run<T>(kernels, {}, [&](Context<T>& context) {
          layer.forward(context, in, out, {.activation = leaky_relu(0.25f), .residual = residual.view()});
          CHECK(context.macs == static_cast<std::uint64_t>(shape.pixels() * row.out * depth));
        });
        CHECK(difference<T>(out, depth, [&](Index y, Index x, Index o) {
                double const sum = convolution(y, x, o);
                return (sum > 0.0 ? sum : 0.25 * sum) + static_cast<double>(residual.view()(y, x, o));
              }) == "");
      }
    });
  }
}

TEST_CASE("Conv2d without a padding keeps the size") {
  for (Index const kernel : {1, 3, 5}) CHECK(Conv2d<float>(3, 8, kernel).output_shape({7, 4, 3}) == Shape{7, 4, 8});
}

TEST_CASE("ConvTranspose2d is torch.nn.ConvTranspose2d(3, stride=2, padding=1, output_padding=1)") {
  struct {
    Index in, out, height, width;
  } const table[] = {{1, 1, 1, 1}, {3, 5, 1, 4}, {8, 4, 5, 1}, {17, 33, 3, 5}, {16, 16, 7, 15}, {24, 20, 18, 17}};
  Random random(3);
  for (auto const& row : table) {
    INFO(row.in, " to ", row.out, " channels, ", row.height, "x", row.width);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      ConvTranspose2d<T> layer(row.in, row.out);
      Parameters<T> const weights(layer, random);
      auto const input = random_map<T>({row.height, row.width, row.in}, random);
      // Every input pixel spreads over the 3x3 output pixels around (2y, 2x).
      auto scattered = Tensor<double>::create(layer.output_shape(input.shape())).value();
      auto const sum = scattered.view();
      REQUIRE(sum.shape() == Shape{2 * row.height, 2 * row.width, row.out});
      for (Index y = 0; y < row.height; ++y) {
        for (Index x = 0; x < row.width; ++x) {
          for (Index ky = 0; ky < 3; ++ky) {
            for (Index kx = 0; kx < 3; ++kx) {
              Index const oy = 2 * y + ky - 1, ox = 2 * x + kx - 1;
              if (oy < 0 || oy >= sum.height() || ox < 0 || ox >= sum.width()) continue;
              for (Index i = 0; i < row.in; ++i) {
                for (Index o = 0; o < row.out; ++o) {
                  T const weight = weights.plain[((i * row.out + o) * 3 + ky) * 3 + kx];
                  sum(oy, ox, o) += static_cast<double>(weight) * static_cast<double>(input.view()(y, x, i));
                }
              }
            }
          }
        }
      }
      auto output = Tensor<T>::create(sum.shape()).value();
      auto const out = output.view();
      run<T>(kernels, {}, [&](Context<T>& context) { layer.forward(context, input.view(), out); });
      CHECK(difference<T>(out, 4 * row.in, sum) == "");
      run<T>(kernels, {}, [&](Context<T>& context) { layer.forward(context, input.view(), out, relu); });
      CHECK(difference<T>(out, 4 * row.in, [&](Index y, Index x, Index o) { return std::max(sum(y, x, o), 0.0); }) ==
            "");
    });
  }
}

TEST_CASE("Conv2d in bands of rows gives the bits of the whole, from no more rows than it needs") {
  struct {
    Index kernel, stride, padding, in, out, height, width;
  } const table[] = {{1, 1, 0, 24, 12, 37, 19}, {3, 1, 1, 24, 20, 37, 19}, {3, 1, 1, 64, 64, 40, 16},
                     {3, 1, 1, 3, 8, 20, 9},    {3, 1, 0, 16, 33, 27, 22}, {3, 2, 1, 16, 16, 37, 19},
                     {5, 1, 2, 17, 8, 21, 9},   {3, 1, 1, 8, 8, 8, 40},    {3, 1, 1, 8, 16, 9, 40}};
  Random random(7);
  for (auto const& row : table) {
    INFO("kernel ", row.kernel, ", stride ", row.stride, ", padding ", row.padding, ", ", row.in, " to ", row.out,
         " channels, ", row.height, "x", row.width);
    Conv2d<float> layer(row.in, row.out, row.kernel,
                        {.stride = row.stride, .padding = row.padding, .bias = row.out % 3 != 0});
    Parameters<float> const weights(layer, random);
    auto const input = random_map<float>({row.height, row.width, row.in}, random);
    View<float const> const in = input.view();
    Shape const shape = layer.output_shape(in.shape());
    auto const residual = random_map<float>(shape, random);
    every_bitwise_table([&](KernelTable<float> const& kernels, Algorithm algorithm) {
      auto whole = guarded<float>(shape.pixels() * pixel_pitch<float>(row.out)), banded = whole;
      std::uint64_t macs = 0;
      run<float>(kernels, {}, [&](Context<float>& context) {
        context.algorithm = algorithm;
        layer.forward(context, in, View<float>(whole.data() + guard, shape),
                      {.activation = leaky_relu(0.25f), .residual = residual.view()});
        macs = context.macs;
      });
      run<float>(kernels, {}, [&](Context<float>& context) {
        context.algorithm = algorithm;
        View<float> const out(banded.data() + guard, shape);
        Conv2d<float>::Rows const rows(layer, context, in.shape());
        for (Index first = 0; first < shape.height; first += rows_in_a_band) {
          Index const count = std::min(rows_in_a_band, shape.height - first);
          Index const top = std::max<Index>(first * row.stride - row.padding, 0);
          Index const end = std::min((first + count - 1) * row.stride - row.padding + row.kernel, row.height);
          OnlyRows const needed(in, top, end);
          rows.forward(
              context, needed.band(), rows_of(out, first, count),
              {.activation = leaky_relu(0.25f), .residual = rows_of<float const>(residual.view(), first, count).rows});
        }
        CHECK(context.macs == macs);
      });
      CHECK(same_bits(whole, banded));
    });
  }
}

TEST_CASE("ConvTranspose2d in bands of rows gives the bits of the whole, from no more rows than it needs") {
  struct {
    Index in, out, height, width;
  } const table[] = {{3, 5, 9, 4}, {24, 20, 37, 19}, {64, 64, 16, 17}, {16, 33, 8, 40}, {8, 8, 25, 20}};
  Random random(8);
  for (auto const& row : table) {
    INFO(row.in, " to ", row.out, " channels, ", row.height, "x", row.width);
    ConvTranspose2d<float> layer(row.in, row.out);
    Parameters<float> const weights(layer, random);
    auto const input = random_map<float>({row.height, row.width, row.in}, random);
    View<float const> const in = input.view();
    Shape const shape = layer.output_shape(in.shape());
    every_bitwise_table([&](KernelTable<float> const& kernels, Algorithm algorithm) {
      auto whole = guarded<float>(shape.pixels() * pixel_pitch<float>(row.out)), banded = whole;
      std::uint64_t macs = 0;
      run<float>(kernels, {}, [&](Context<float>& context) {
        context.algorithm = algorithm;
        layer.forward(context, in, View<float>(whole.data() + guard, shape), leaky_relu(0.25f));
        macs = context.macs;
      });
      run<float>(kernels, {}, [&](Context<float>& context) {
        context.algorithm = algorithm;
        View<float> const out(banded.data() + guard, shape);
        ConvTranspose2d<float>::Rows const rows(layer, context, in.shape());
        for (Index first = 0; first < row.height; first += rows_in_a_band) {
          Index const end = std::min(first + rows_in_a_band, row.height);
          OnlyRows const needed(in, first, std::min(end + 1, row.height));
          rows.forward(context, needed.band(), rows_of(out, 2 * first, 2 * (end - first)), leaky_relu(0.25f));
        }
        CHECK(context.macs == macs);
      });
      CHECK(same_bits(whole, banded));
    });
  }
}

TEST_CASE("the residual of a convolution may be its output, whatever the kernel") {
  Random random(9);
  Cases cases(4);
  for (Index const kernel : {1, 3, 5}) {
    // Depths of one slice of patches and of several.
    for (Index const channels : {24, 100}) {
      if (cases.next_is_left_out()) continue;
      auto const input = random_map<float>({17, 19, channels}, random);
      auto const residual = random_map<float>({17, 19, 20}, random);
      every_table([&]<class T>(KernelTable<T> const& kernels) {
        Conv2d<T> layer(channels, 20, kernel);
        Parameters<T> const weights(layer, random);
        auto const in_type = [](View<float const> map) {
          auto copy = Tensor<T>::create(map.shape()).value();
          for (Index pixel = 0; pixel < map.pixels(); ++pixel) {
            std::copy_n(map.pixel(0, pixel), map.channels(), copy.view().pixel(0, pixel));
          }
          return copy;
        };
        auto const in = in_type(input.view()), added = in_type(residual.view());
        for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
          INFO("kernel ", kernel, ", ", channels, " channels, ",
               std::string(algorithm == Algorithm::direct ? "direct" : "automatic"));
          auto separate = Tensor<T>::create(added.shape()).value(), in_place = in_type(residual.view());
          for (bool const same : {false, true}) {
            run<T>(kernels, {}, [&](Context<T>& context) {
              context.algorithm = algorithm;
              View<T> const out = same ? in_place.view() : separate.view();
              layer.forward(context, in.view(), out,
                            {.activation = leaky_relu(0.25f), .residual = same ? out : added.view()});
            });
          }
          CHECK(difference<T>(in_place.view(), 0, std::as_const(separate).view()) == "");
        }
      });
    }
  }
}

TEST_CASE("rolling rows keep what is asked for, in the memory of the capacity") {
  struct {
    Shape map;
    Index capacity;
  } const table[] = {{{40, 3, 5}, 10}, {{40, 2, 17}, 3}, {{9, 4, 16}, 1}, {{7, 3, 1}, 30}};
  Random random(10);
  for (auto const& row : table) {
    INFO(row.map.height, "x", row.map.width, "x", row.map.channels, ", at most ", row.capacity, " rows");
    Index const capacity = std::min(row.capacity, row.map.height);
    for (int repeat = 0; repeat < 10; ++repeat) {
      Random const steps(random.bits());
      run<float>(test::plain_kernels<float>(), {}, [&](Context<float>& context) {
        Random step = steps;  // the same in the rehearsal
        RollingRows<float> rolling(context, row.map, row.capacity);
        auto const value = [](Index y, Index x, Index c) { return static_cast<float>((y * 10 + x) * 100 + c); };
        Index first = 0, end = 0;
        while (end < row.map.height) {
          Index const keep = step.between(first, end);
          Index const new_end = step.between(end, std::min(keep + capacity, row.map.height));
          Band<float> const added = rolling.append(context, keep, new_end);
          CHECK(added.first_row == end);
          CHECK(added.map_shape() == row.map);
          CHECK(added.rows.shape() == Shape{new_end - end, row.map.width, row.map.channels});
          context.once([&] {
            View<float> const rows = added.rows;
            for (Index i = 0; i < rows.pixels() * rows.pitch(); ++i) {
              Index const pixel = i / rows.pitch(), c = i % rows.pitch();
              rows.data()[i] = c < rows.channels() ? value(end + pixel / rows.width(), pixel % rows.width(), c) : 0.0f;
            }
          });
          first = keep, end = new_end;

          Band<float const> const there = rolling.rows();
          CHECK(there.first_row == first);
          CHECK(there.map_shape() == row.map);
          CHECK(there.rows.shape() == Shape{end - first, row.map.width, row.map.channels});
          context.once([&] {
            CHECK(difference<float>(there.rows, 0, [&](Index y, Index x, Index c) {
                    return static_cast<double>(value(first + y, x, c));
                  }) == "");
          });
        }
        CHECK(context.arena.peak() == map_bytes<float>({capacity, row.map.width, row.map.channels}));
      });
    }
  }
}

TEST_CASE("bands of a map are of whole tiles, as many rows as about 8192 pixels have") {
  for (Index const width : {1, 3, 64, 100, 1024, 1025, 5000, 8192, 100000}) {
    CAPTURE(width);
    Index const rows = rows_a_band(width);
    CHECK(rows % 8 == 0);
    CHECK(rows >= 8);
    CHECK((rows - 8) * width < 8192);
    CHECK((rows + 1) * width > 8192);
  }
}

TEST_CASE("the average of what a convolution writes is gathered while it does, band by band") {
  struct {
    Index kernel, in, out, height, width;
  } const table[] = {{3, 24, 20, 37, 19}, {3, 3, 8, 37, 19}, {1, 24, 33, 21, 30}, {3, 16, 16, 1, 1}};
  Random random(11);
  for (auto const& row : table) {
    INFO("kernel ", row.kernel, ", ", row.in, " to ", row.out, " channels, ", row.height, "x", row.width);
    auto const input = random_map<float>({row.height, row.width, row.in}, random);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      Conv2d<T> layer(row.in, row.out, row.kernel);
      Parameters<T> const weights(layer, random);
      auto in = Tensor<T>::create(input.shape()).value();
      for (Index pixel = 0; pixel < in.shape().pixels(); ++pixel) {
        std::copy_n(input.view().pixel(0, pixel), row.in, in.view().pixel(0, pixel));
      }
      auto output = Tensor<T>::create(layer.output_shape(in.shape())).value();
      View<T> const out = output.view();
      for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
        // No padding of the average is left as it was.
        Buffer<T> averages[] = {guarded<T>(out.pitch()), guarded<T>(out.pitch()), guarded<T>(out.pitch())};
        for (Index const threads : {1, 2, 3}) {
          ThreadPool pool(threads);
          run<T>(kernels, pool, [&](Context<T>& context) {
            context.algorithm = algorithm;
            typename Conv2d<T>::Rows const rows(layer, context, in.shape());
            ChannelSums<T> sums(context, row.out);
            for (Index first = 0; first < row.height; first += rows_in_a_band) {
              Index const count = std::min(rows_in_a_band, row.height - first);
              rows.forward(context, std::as_const(in).view(), rows_of(out, first, count), {.sums = &sums});
            }
            T* const average = averages[threads - 1].data() + guard;
            global_average(context, sums, View<T>(average, {1, 1, row.out}));
          });
        }
        CHECK(same_bits(averages[0], averages[1]));
        CHECK(same_bits(averages[0], averages[2]));

        auto expected = guarded<double>(out.pitch()), magnitude = expected;
        for (Index c = 0; c < out.pitch(); ++c) {
          double sum = 0.0, magnitudes = 0.0;
          for (Index pixel = 0; pixel < out.pixels(); ++pixel) {
            double const value = static_cast<double>(out.pixel(0, pixel)[c]);
            sum += value, magnitudes += std::abs(value);
          }
          expected[guard + c] = sum / static_cast<double>(out.pixels());
          magnitude[guard + c] = magnitudes / static_cast<double>(out.pixels());
          if (c >= row.out) CHECK(magnitudes == 0.0);
        }
        CHECK(mismatch(averages[0], expected, [&](Index i) { return 4 * epsilon<T> * std::abs(magnitude[i]); }) == "");
      }
    });
  }
}

TEST_CASE("sums of channels: lines of several calls, over all of their pixels") {
  run<float>(test::plain_kernels<float>(), {}, [](Context<float>& context) {
    ChannelSums<float> sums(context, 2);
    CHECK(sums.pitch() == 16);
    Buffer<float> lines(3 * sums.pitch());
    lines[0] = 1.0f, lines[16] = 0x1p-30f, lines[32] = -1.0f;  // added in double, nothing is lost
    lines[1] = 5.0f, lines[17] = 6.0f, lines[33] = 7.0f;
    sums.add(context, lines.data(), 3, 6);
    sums.add(context, lines.data() + 16, 1, 2);
    context.once([&] {
      CHECK(sums.mean(0) == 0x1p-29 / 8);
      CHECK(sums.mean(1) == 3.0);
      CHECK(sums.mean(2) == 0.0);
    });
  });
}

namespace {

/// Channels of a map that has NaN in all others.
template <class T>
struct Slice {
  Slice(Shape shape, Index wide, Index first_channel)
      : map(Tensor<T>::create({shape.height, shape.width, wide}).value()) {
    std::fill_n(map.view().data(), map.view().pixels() * map.view().pitch(), static_cast<T>(std::nanf("")));
    view = channel_slice(map.view(), first_channel, shape.channels);
  }
  explicit Slice(Shape shape) : Slice(shape, 4 * channels_per_line<T>, channels_per_line<T>) {}

  void copy(View<T const> from) {
    for (Index i = 0; i < from.pixels(); ++i) {
      std::copy_n(from.data() + i * from.pitch(), from.channels(), view.data() + i * view.pitch());
    }
  }
  /// Whether the others still have it, and the slice has the bits of that map.
  bool is(View<T const> expected) const {
    View<T const> const all = map.view();
    Index const first = view.data() - all.data();
    for (Index i = 0; i < all.pixels(); ++i) {
      for (Index c = 0; c < all.pitch(); ++c) {
        T const found = all.data()[i * all.pitch() + c];
        bool const inside = c >= first && c < first + view.channels();
        if (inside ? found != expected.data()[i * expected.pitch() + c - first] : found == found) return false;
      }
    }
    return true;
  }

  Tensor<T> map;
  View<T> view;
};

}  // namespace

TEST_CASE("a slice of a wider map is read and written like a map, and nothing beside it is touched") {
  Random random(11);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    Index const lines = channels_per_line<T>;
    for (Index const channels : {lines, 2 * lines}) {
      INFO(channels, " channels");
      Shape const shape{9, 10, channels};
      auto const input = random_map<T>(shape, random), residual = random_map<T>(shape, random);
      auto const compare = [&](char const* name, Shape output, auto forward) {
        INFO(std::string(name));
        auto expected = Tensor<T>::create(output).value();
        Slice<T> in(shape), added(shape), out(output);
        in.copy(input.view());
        added.copy(residual.view());
        run<T>(kernels, {}, [&](auto& context) { forward(context, input.view(), residual.view(), expected.view()); });
        run<T>(kernels, {}, [&](auto& context) { forward(context, in.view, added.view, out.view); });
        CHECK(out.is(expected.view()));
        CHECK(in.is(input.view()));
      };
      for (Index const kernel : {1, 3, 5}) {
        Conv2d<T> layer(channels, channels, kernel);
        Parameters<T> const weights(layer, random);
        compare("convolution", shape, [&](Context<T>& context, View<T const> x, View<T const> added, View<T> y) {
          layer.forward(context, x, y, {.activation = leaky_relu(0.25f), .residual = added});
        });
      }
      ConvTranspose2d<T> transposed(channels, channels);
      Parameters<T> const weights(transposed, random);
      compare(
          "transposed convolution", transposed.output_shape(shape),
          [&](Context<T>& context, View<T const> x, View<T const>, View<T> y) { transposed.forward(context, x, y); });

      Slice<T> in_place(shape);
      in_place.copy(input.view());
      auto expected = Tensor<T>::create(shape).value();
      std::copy_n(input.view().data(), input.view().pixels() * input.view().pitch(), expected.view().data());
      PRelu<T> prelu;
      T const slope = T(0.25);
      prelu.pack(nullptr, 0, {&slope, 1});
      for (View<T> const map : {expected.view(), in_place.view}) {
        run<T>(kernels, {}, [&](Context<T>& context) {
          prelu.forward(context, map);
          sigmoid(context, map);
        });
      }
      CHECK(in_place.is(expected.view()));
    }
  });
}

TEST_CASE("the sigmoid leaves padding at zero") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    for (Index const channels : {1, 5, 16, 17}) {
      auto map = Tensor<T>::create({3, 2, channels}).value();
      run<T>(kernels, {}, [&](Context<T>& context) { sigmoid(context, map.view()); });
      CHECK(difference<T>(map.view(), 4, [](Index, Index, Index) { return 0.5; }) == "");
    }
  });
}

TEST_CASE("a rehearsal says which map a layer does not take, and why") {
  auto const& kernels = plain_kernels<float>();
  Conv2d<float> const convolution(16, 16, 3);
  ConvTranspose2d<float> const transposed(16, 16);
  alignas(64) static float numbers[8 * 8 * 32];
  View<float> const map(numbers, {4, 4, 16}), wide(numbers, {4, 4, 16}, 32), odd(numbers, {4, 4, 16}, 24);
  View<float> const doubled(numbers, {8, 8, 16}), shifted(numbers + 8, {4, 4, 16}), quarter(numbers, {2, 2, 16});
  auto const after = [&](auto forward) {
    auto context = Context<float>::for_rehearsal(kernels);
    forward(context);
    CHECK(context.arena.live_blocks() == 0);
    auto const status = context.status();
    REQUIRE(!status.ok());
    CHECK(status.error().code() == ErrorCode::invalid_argument);
    return std::string(status.error().message());
  };
  CHECK(after([&](auto& context) { convolution.forward(context, map, doubled); }) ==
        "convolution: the output has 8x8 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) {
          convolution.forward(context, View<float>(numbers, {4, 4, 17}), map);
          convolution.forward(context, odd, map);  // the first is what counts
        }) == "convolution: the input has 4x4 pixels of 17 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { convolution.forward(context, map, map, {.residual = doubled}); }) ==
        "convolution: the residual has 8x8 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { convolution.forward(context, map, map, {.residual = wide}); }) ==
        "convolution: the residual has a pixel pitch of 32 elements for 16 channels, expected 16");
  View<float> const apart(numbers + 1024, {4, 4, 16});
  CHECK(after([&](auto& context) {
          convolution.forward(context, map, apart, {.residual = apart, .subtract_from = apart});
        }) == "convolution: it has a residual and a map to subtract from, expected one");
  CHECK(after([&](auto& context) { max_pool(context, map, 9); }) ==
        "max pool: its output would be empty: the input is too small");
  CHECK(after([&](auto& context) { Conv2d<float>(16, 16, 5, {.padding = 0})(context, map); }) ==
        "convolution: its output would be empty: the input is too small");
  CHECK(after([&](auto& context) { activate(context, simple_gate, map); }) ==
        "activation: a gate is for the results of a convolution");
  CHECK(after([&](auto& context) { Conv2d<float>(16, 16, 1).forward(context, map, map); }) ==
        "convolution: the output is the input, expected another map");
  CHECK(after([&](auto& context) { convolution.forward(context, odd, map); }) ==
        "convolution: the input has a pixel pitch of 24 elements for 16 channels, expected a multiple of 16");
  CHECK(after([&](auto& context) { convolution.forward(context, map, shifted); }) ==
        "convolution: the output does not start at a multiple of 64 bytes");
  CHECK(after([&](auto& context) { transposed.forward(context, map, map); }) ==
        "transposed convolution: the output has 4x4 pixels of 16 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) { blur_pool(context, wide, quarter); }) ==
        "blur-pool: the input has a pixel pitch of 32 elements for 16 channels, expected 16");
  CHECK(after([&](auto& context) { blur_pool(context, map, map); }) ==
        "blur-pool: the input has 4x4 pixels of 16 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) { bilinear_double(context, map, map); }) ==
        "bilinear x2: the output has 4x4 pixels of 16 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) { blur_pool(context, map, quarter); }) ==
        "blur-pool: the output is the input, expected another map");
  CHECK(after([&](auto& context) { average_halve(context, map, quarter); }) ==
        "average pool: the output is the input, expected another map");
  CHECK(after([&](auto& context) { average_halve(context, wide, quarter); }) ==
        "average pool: the input has a pixel pitch of 32 elements for 16 channels, expected 16");
  CHECK(after([&](auto& context) { average_halve(context, map, map); }) ==
        "average pool: the input has 4x4 pixels of 16 channels, expected 8x8 of 16");
  View<float> const vector(numbers, {1, 1, 16});
  CHECK(after([&](auto& context) {
          Node node = bilinear_double_sum_node(context, map.shape());
          bilinear_double_sum_rows<float>(context, node, map, numbers, rows_of(map, 0, 4));
        }) == "bilinear x2: the map has 4x4 pixels of 16 channels, expected 8x4 of 16");
  CHECK(after([&](auto& context) { add_activated(context, quarter, vector, leaky_relu(0.2), map); }) ==
        "sum: the input has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { add_activated(context, map, quarter, leaky_relu(0.2), map); }) ==
        "sum: the vector has 2x2 pixels of 16 channels, expected 1x1 of 16");
  CHECK(after([&](auto& context) {
          ChannelSums<float> sums(context, 32);
          add_activated(context, map, vector, leaky_relu(0.2), map, &sums);
        }) == "sum: the set of sums has 1x1 pixels of 32 channels, expected 1x1 of 16");
  CHECK(after([&](auto& context) {
          ChannelSums<float> sums(context, 32);
          Conv2d<float>(16, 16, 1).forward(context, map, View<float>(numbers + 1024, {4, 4, 16}), {.sums = &sums});
        }) == "convolution: the set of sums has 1x1 pixels of 32 channels, expected 1x1 of 16");
  CHECK(after([&](auto& context) { add(context, map, map, odd); }) ==
        "sum: the output has a pixel pitch of 24 elements for 16 channels, expected a multiple of 16");
  CHECK(after([&](auto& context) { sigmoid(context, odd); }) ==
        "sigmoid: the map has a pixel pitch of 24 elements for 16 channels, expected a multiple of 16");
  CHECK(after([&](auto& context) {
          View<float const> const maps[] = {map, quarter};
          global_average<float>(context, maps, View<float>(numbers, {1, 1, 16}));
        }) == "mean: the input has 2x2 pixels of 16 channels, expected 4x4 of 16");
  // Names of scopes come first.
  CHECK(after([&](auto& context) {
          auto const block = context.at("body", 2);
          blur_pool(block.at("down"), map, map);
        }) == "body.2.down: blur-pool: the input has 4x4 pixels of 16 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) {
          concat(context, {map, quarter}, View<float>(numbers, {4, 4, 32}));
        }) == "concat: the output has 4x4 pixels of 32 channels, expected 2x2 of 32");
  CHECK(after([&](auto& context) {
          concat(context, {quarter, map}, View<float>(numbers, {4, 4, 32}));
        }) == "concat: the input has 2x2 pixels of 16 channels, expected 4x4 of 16");
}

TEST_CASE("a rehearsal says the same of elementwise layers, norms, pools and resizing") {
  alignas(64) static float numbers[8 * 8 * 32];
  View<float> const map(numbers, {4, 4, 16}), wide(numbers, {4, 4, 16}, 32), quarter(numbers, {2, 2, 16});
  View<float> const vector(numbers, {1, 1, 16}), more(numbers, {4, 4, 17}), short_vector(numbers, {1, 1, 15});
  auto const after = [&](auto forward) {
    auto context = Context<float>::for_rehearsal(plain_kernels<float>());
    forward(context);
    CHECK(context.arena.live_blocks() == 0);
    auto const status = context.status();
    REQUIRE(!status.ok());
    CHECK(status.error().code() == ErrorCode::invalid_argument);
    return std::string(status.error().message());
  };
  CHECK(after([&](auto& context) { activate(context, Function::gelu, map, quarter); }) ==
        "gelu: the output has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { activate(context, relu, map, quarter); }) ==
        "clamp: the output has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { multiply(context, map, quarter); }) ==
        "product: the right map has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { add(context, map, short_vector); }) ==
        "sum: the right map has 1x1 pixels of 15 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { subtract(context, vector, map); }) ==
        "difference: the right map has 4x4 pixels of 16 channels, expected 1x1 of 16");
  CHECK(after([&](auto& context) { subtract(context, map, map, quarter); }) ==
        "difference: the output has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { addcmul(context, quarter, map, map, map); }) ==
        "product + sum: the added map has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { copy_channels<float>(context, map, 12, 5); }) ==
        "split: the map has 4x4 pixels of 16 channels, expected 4x4 of 17");
  CHECK(after([&](auto& context) { softmax_of_pixels(context, wide); }) ==
        "softmax: the map has a pixel pitch of 32 elements for 16 channels, expected 16");
  CHECK(after([&](auto& context) { max_pool(context, map, 2, {}, map); }) ==
        "max pool: the output has 4x4 pixels of 16 channels, expected 2x2 of 16");
  CHECK(after([&](auto& context) { max_pool(context, map, 2, {}, quarter); }) ==
        "max pool: the output is the input, expected another map");
  CHECK(after([&](auto& context) { average_pool(context, map, 3, {.padding = 2}); }) ==
        "average pool: a window has at least one pixel, and at most half of it is padding");
  CHECK(after([&](auto& context) { average_pool(context, map, 0); }) ==
        "average pool: a window has at least one pixel, and at most half of it is padding");
  CHECK(after([&](auto& context) { max_pool(context, map, 2, {.stride = -1}); }) ==
        "max pool: a window has at least one pixel, and at most half of it is padding");
  CHECK(after([&](auto& context) { global_average(context, wide); }) ==
        "mean: the input has a pixel pitch of 32 elements for 16 channels, expected 16");
  CHECK(after([&](auto& context) {
          resize(context, map, {}, View<float>(numbers, {8, 8, 17}));
        }) == "resize: the output has 8x8 pixels of 17 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) { resize(context, map, {}, map); }) ==
        "resize: the output is the input, expected another map");
  for (double const factor : {0.0, -2.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(after([&](auto& context) { resize(context, map, factor); }) ==
          "resize: the factor is not above 0 and at most 65535");
  }
  CHECK(after([&](auto& context) { LayerNorm<float>(16)(context, more); }) ==
        "layer norm: the input has 4x4 pixels of 17 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { InstanceNorm2d<float>(16).forward(context, map, quarter); }) ==
        "instance norm: the output has 2x2 pixels of 16 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { InstanceNorm2d<float>(16)(context, wide); }) ==
        "instance norm: the input has a pixel pitch of 32 elements for 16 channels, expected 16");
  CHECK(after([&](auto& context) { Linear<float>(16, 8)(context, more); }) ==
        "convolution: the input has 4x4 pixels of 17 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { Conv2d<float>(16, 17, 1)(context, map, simple_gate); }) ==
        "convolution: a gate needs an even number of channels");
  ConvTranspose2d<float> const transposed(16, 16, 4, {.stride = 2, .padding = 1});
  CHECK(after([&](auto& context) { transposed.forward(context, map, map); }) ==
        "transposed convolution: the output has 4x4 pixels of 16 channels, expected 8x8 of 16");
  CHECK(after([&](auto& context) { transposed(context, more); }) ==
        "transposed convolution: the input has 4x4 pixels of 17 channels, expected 4x4 of 16");
  CHECK(after([&](auto& context) { transposed(context, map, simple_gate); }) ==
        "transposed convolution: a gate is for other convolutions");
  CHECK(after([&](auto& context) { ConvTranspose2d<float>(16, 16, 3, {.padding = 1}).forward(context, map, map); }) ==
        "transposed convolution: the output is the input, expected another map");
}

TEST_CASE("layers give the same bits for 1, 2, 3 and 7 threads") {
  Random random(4);
  Conv2d<float> convolution(8, 16, 3);
  ConvTranspose2d<float> transposed(8, 16);
  Parameters<float> const weights(convolution, random), transposed_weights(transposed, random);
  auto const input = random_map<float>({38, 26, 8}, random);
  View<float const> const in = input.view();
  auto const half = random_map<float>({19, 13, 8}, random);
  auto const vectors = random_map<float>({1, 2, 8}, random);
  View<float const> const first(vectors.view().data(), {1, 1, 8});
  // What is computed in place begins with the input.
  auto const copied = [&](Context<float>& context, View<float> out) {
    context.once([&] { std::copy_n(in.data(), in.pixels() * in.pitch(), out.data()); });
    return out;
  };
  struct {
    std::string name;
    Shape output;
    std::function<void(Context<float>&, View<float>)> forward;
  } const layers[] = {
      {"convolution", {38, 26, 16}, [&](auto& context, auto out) { convolution.forward(context, in, out); }},
      {"transposed convolution", {76, 52, 16}, [&](auto& context, auto out) { transposed.forward(context, in, out); }},
      {"blur-pool", {19, 13, 8}, [&](auto& context, auto out) { blur_pool(context, in, out); }},
      {"bilinear doubling", {76, 52, 8}, [&](auto& context, auto out) { bilinear_double(context, in, out); }},
      {"averages of 2x2 pixels", {19, 13, 8}, [&](auto& context, auto out) { average_halve(context, in, out); }},
      {"a doubled map in a sum",
       {38, 26, 8},
       [&](auto& context, auto out) {
         Node node = bilinear_double_sum_node(context, out.shape());
         copied(context, out);
         bilinear_double_sum_rows<float>(context, node, half.view(), vectors.view().data(), rows_of(out, 0, 38));
       }},
      {"activated sum",
       {38, 26, 8},
       [&](auto& context, auto out) { add_activated(context, in, first, leaky_relu(0.2), copied(context, out)); }},
      {"average of an activated sum",
       {1, 1, 8},
       [&](auto& context, auto out) {
         ArenaMap<float> const map(context.arena, in.shape());
         ChannelSums<float> sums(context, 8);
         add_activated(context, in, first, leaky_relu(0.2), copied(context, map.view()), &sums);
         global_average<float>(context, sums, out);
       }},
      {"average",
       {1, 1, 8},
       [&](auto& context, auto out) {
         global_average<float>(context, {&in, 1}, out);
       }},
  };
  for (auto const* kernels : kernel_tables()) {
    for (auto const& layer : layers) {
      auto const output_of = [&](Index threads) {
        ThreadPool pool(threads);
        Buffer<float> output(layer.output.pixels() * pixel_pitch<float>(layer.output.channels));
        run<float>(*kernels, pool,
                   [&](Context<float>& context) { layer.forward(context, View<float>(output.data(), layer.output)); });
        return output;
      };
      auto const alone = output_of(1);
      for (Index const threads : {2, 3, 7}) {
        INFO(layer.name, ", ", threads, " threads, ", std::string(kernels->isa), " kernels");
        CHECK(same_bits(output_of(threads), alone));
      }
    }
  }
}

TEST_CASE("the average of a million pixels is as accurate as that of one") {
  Random random(5);
  auto map = Tensor<float>::create({1000, 1000, 3}).value();
  fill(map.view(), random, 0.0f, 1.0f);  // a sum that grows
  std::array<double, 3> expected{};
  for (Index pixel = 0; pixel < map.shape().pixels(); ++pixel) {
    for (std::size_t c = 0; c < 3; ++c) expected[c] += static_cast<double>(map.view().pixel(0, pixel)[c]) / 1e6;
  }
  ThreadPool pool(2);
  for (auto const* kernels : kernel_tables()) {
    INFO(std::string(kernels->isa), " kernels");
    auto average = Tensor<float>::create({1, 1, 3}).value();
    run<float>(*kernels, pool, [&](Context<float>& context) {
      View<float const> const in = map.view();
      global_average<float>(context, {&in, 1}, average.view());
    });
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(std::abs(static_cast<double>(average.view()(0, 0, static_cast<Index>(c))) - expected[c]) <=
            2 * epsilon<float> * expected[c]);
    }
  }
}

TEST_CASE("the average of several maps is the sum of their averages") {
  every_table([]<class T>(KernelTable<T> const& kernels) {
    std::vector<Tensor<T>> maps;
    std::vector<View<T const>> views;
    for (int i = 1; i <= 4; ++i) {
      maps.push_back(Tensor<T>::create({5, 60, 2}).value());
      auto const view = maps.back().view();
      for (Index pixel = 0; pixel < 300; ++pixel) {
        view.pixel(0, pixel)[0] = static_cast<T>(pixel % 2 * i);
        view.pixel(0, pixel)[1] = static_cast<T>(i);
      }
      views.push_back(view);
    }
    auto average = Tensor<T>::create({1, 1, 2}).value();
    run<T>(kernels, {}, [&](Context<T>& context) { global_average(context, views, average.view()); });
    CHECK(average.view()(0, 0, 0) == 5);
    CHECK(average.view()(0, 0, 1) == 10);
  });
}

TEST_CASE("sums of maps, of two averages, and averages of 2x2 pixels") {
  Random random(19);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    for (Index const channels : {3, 16, 24}) {
      CAPTURE(channels);
      Shape const shape{10, 58, channels}, half{5, 29, channels}, vector{1, 1, channels};
      auto const x = random_map<T>(shape, random), y = random_map<T>(shape, random);
      auto const coarse = random_map<T>(half, random), a = random_map<T>(vector, random);
      auto const weights = random_map<T>({1, 2, channels}, random);
      auto const number = [](Tensor<T> const& map, Index row, Index column, Index c) {
        return static_cast<double>(map.view()(row, column, c));
      };
      auto const map_of = [&](Tensor<T> const& from) {
        auto copy = Tensor<T>::create(from.shape()).value();
        std::copy_n(from.view().data(), from.view().pixels() * from.view().pitch(), copy.view().data());
        return copy;
      };
      auto sum = map_of(x), activated = map_of(x), mixed = map_of(x);
      auto halved = Tensor<T>::create(half).value(), average = Tensor<T>::create(vector).value();
      run<T>(kernels, {}, [&](Context<T>& context) {
        // Rehearsals touch no map: each is computed once.
        add(context, sum.view(), y.view(), sum.view());
        average_halve(context, x.view(), halved.view());
        ChannelSums<T> sums(context, channels), of_small(context, channels);
        add_activated(context, y.view(), a.view(), leaky_relu(0.2), activated.view(), &sums);
        Node node = bilinear_double_sum_node(context, shape);
        for (Index first = 0; first < shape.height; first += 7) {
          bilinear_double_sum_rows<T>(context, node, coarse.view(), weights.view().data(),
                                      rows_of(mixed.view(), first, std::min<Index>(7, shape.height - first)));
        }
        auto second = ArenaMap<T>(context.arena, half);
        context.once([&] { std::fill_n(second.view().data(), half.pixels() * second.view().pitch(), T(0)); });
        add_activated(context, coarse.view(), a.view(), leaky_relu(0), second, &of_small);
        global_average<T>(context, sums, of_small, average.view());
      });
      CHECK(difference<T>(sum.view(), 2, [&](Index row, Index column, Index c) {
              return number(x, row, column, c) + number(y, row, column, c);
            }) == "");
      CHECK(difference<T>(halved.view(), 1, [&](Index row, Index column, Index c) {
              return (number(x, 2 * row, 2 * column, c) + number(x, 2 * row, 2 * column + 1, c) +
                      number(x, 2 * row + 1, 2 * column, c) + number(x, 2 * row + 1, 2 * column + 1, c)) /
                     4.0;
            }) == "");
      CHECK(difference<T>(activated.view(), 2, [&](Index row, Index column, Index c) {
              double const inner = number(x, row, column, c) + number(a, 0, 0, c);
              return number(y, row, column, c) + (inner > 0.0 ? inner : 0.2 * inner);
            }) == "");
      CHECK(difference<T>(mixed.view(), 2, [&](Index row, Index column, Index c) {
              auto const other = [](Index i, Index size) {
                return std::clamp<Index>(i / 2 + (i % 2 == 0 ? -1 : 1), 0, size - 1);
              };
              Index const far_row = other(row, half.height), far_column = other(column, half.width);
              double const nearer =
                  0.75 * number(coarse, row / 2, column / 2, c) + 0.25 * number(coarse, row / 2, far_column, c);
              double const farther =
                  0.75 * number(coarse, far_row, column / 2, c) + 0.25 * number(coarse, far_row, far_column, c);
              return number(weights, 0, 0, c) * number(x, row, column, c) +
                     number(weights, 0, 1, c) * (0.75 * nearer + 0.25 * farther);
            }) == "");
      CHECK(difference<T>(average.view(), 2, [&](Index, Index, Index c) {
              double first = 0.0, second = 0.0;
              for (Index i = 0; i < shape.pixels(); ++i) {
                first += static_cast<double>(activated.view().pixel(0, i)[c]) / static_cast<double>(shape.pixels());
              }
              for (Index i = 0; i < half.pixels(); ++i) {
                second += static_cast<double>(coarse.view().pixel(0, i)[c]) / static_cast<double>(half.pixels());
              }
              return first + second + std::max(number(a, 0, 0, c), 0.0);
            }) == "");
    }
  });
}

TEST_CASE("activations go over the whole map") {
  // More pixels than one range of the split has.
  Random random(6);
  auto const input = random_map<float>({3, 3000, 5}, random);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    PRelu<T> activation;
    CHECK(activation.shape() == ParameterShape{1, {1, 1, 1, 1}});
    CHECK(activation.packed_elements() == 0);
    CHECK(activation.slope() == 1);
    T const slope = T(0.25);
    activation.pack(nullptr, 0, {&slope, 1});
    activation.pack(nullptr, 1, {});
    CHECK(activation.slope() == slope);

    auto activated = Tensor<T>::create(input.shape()).value(), gate = Tensor<T>::create(input.shape()).value();
    for (View<T> const map : {activated.view(), gate.view()}) {
      for (Index pixel = 0; pixel < map.pixels(); ++pixel) {
        for (Index c = 0; c < 5; ++c) map.pixel(0, pixel)[c] = static_cast<T>(input.view().pixel(0, pixel)[c]);
      }
    }
    run<T>(kernels, {}, [&](Context<T>& context) {
      activation.forward(context, activated.view());
      sigmoid(context, gate.view());
    });
    Index wrong = 0;
    for (Index pixel = 0; pixel < input.shape().pixels(); ++pixel) {
      for (Index c = 0; c < 5; ++c) {
        double const x = static_cast<double>(input.view().pixel(0, pixel)[c]);
        wrong += static_cast<double>(activated.view().pixel(0, pixel)[c]) != (x > 0.0 ? x : 0.25 * x);
        wrong += !(std::abs(static_cast<double>(gate.view().pixel(0, pixel)[c]) - 1.0 / (1.0 + std::exp(-x))) <=
                   3 * epsilon<T>);
      }
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("concatenation, with any number of channels") {
  Random random(18);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    auto const a = random_map<T>({9, 4, 3}, random), b = random_map<T>({9, 4, 16}, random),
               c = random_map<T>({9, 4, 8}, random);
    Buffer<T> numbers(9 * 4 * pixel_pitch<T>(27), T(1e30f));  // not the zeros that it may rely on
    View<T> const output(numbers.data(), {9, 4, 27});
    run<T>(kernels, {}, [&](Context<T>& context) {
      auto const copy = concat(context, {a.view(), b.view()});
      concat(context.at("join"), {copy, c.view()}, output);
    });
    CHECK(difference<T>(output, 0, [&](Index y, Index x, Index i) {
            return static_cast<double>(i < 3 ? a(y, x, i) : i < 19 ? b(y, x, i - 3) : c(y, x, i - 19));
          }) == "");
  });
}

TEST_CASE("pixel shuffle and unshuffle") {
  Random random(8);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    for (Index const factor : {1, 2, 3}) {
      CAPTURE(factor);
      Shape const shape{factor * 9, factor * 5, 7}, cell_shape{9, 5, 7 * factor * factor};
      auto const image = random_map<T>(shape, random);
      Buffer<T> first(cell_shape.pixels() * pixel_pitch<T>(cell_shape.channels), T(1e30f));
      Buffer<T> second(shape.pixels() * pixel_pitch<T>(shape.channels), T(1e30f));
      View<T> const cells(first.data(), cell_shape), back(second.data(), shape);
      run<T>(kernels, {}, [&](Context<T>& context) {
        pixel_unshuffle(context, image.view(), cells, factor);
        pixel_shuffle(context.at("shuffle"), pixel_unshuffle(context, image.view(), factor), back, factor);
      });
      CHECK(difference<T>(cells, 0, [&](Index y, Index x, Index c) {
              Index const cell = factor * factor, row = y * factor + c % cell / factor;
              return static_cast<double>(image.view()(row, x * factor + c % factor, c / cell));
            }) == "");
      CHECK(difference<T>(back, 0,
                          [&](Index y, Index x, Index c) { return static_cast<double>(image.view()(y, x, c)); }) == "");
    }
  });
  auto context = Context<float>::for_rehearsal(*kernel_tables().front());
  pixel_unshuffle(context, View<float const>(nullptr, {5, 4, 3}), View<float>(nullptr, {2, 2, 12}), 2);
  CHECK(std::string(context.status().error().message()) ==
        "pixel unshuffle: the input has 4x5 pixels of 3 channels, expected 4x4 of 3");
}

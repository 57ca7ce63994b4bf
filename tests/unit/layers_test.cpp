// Layers against PyTorch's definitions of them, written out here in the checkpoint's own order of the weights, which no
// kernel and no packing has touched.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// body(context) as a network does it: a rehearsal that measures, then a run in exactly that memory.
template <class T>
void run(KernelTable<T> const& kernels, ParallelFor const& parallel, std::function<void(Context<T>&)> const& body) {
  Context<T> rehearsal(kernels, parallel), context(kernels, parallel);
  body(rehearsal);
  auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
  context.arena = Arena(memory.bytes());
  body(context);
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
  Parameters(Layer& layer, Random& random) : plain(layer.shape().elements()), packed(layer.packed_elements()) {
    fill(plain.span(), random);
    layer.bind(packed.data());
    layer.pack(0, plain.span());
  }

  Buffer<T> plain, packed;
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

}  // namespace

TEST_CASE("parameters arrive in any pieces") {
  Random random(1);
  auto const check = [&](auto layer) {
    Parameters<float> const whole(layer, random);
    std::vector<float> packed(static_cast<std::size_t>(layer.packed_elements()));
    layer.bind(packed.data());
    in_ranges(whole.plain.size(), 50, &random, [&](Index first, Index last) {
      layer.pack(first, std::span(whole.plain.data() + first, static_cast<std::size_t>(last - first)));
    });
    layer.pack(whole.plain.size(), {});
    CHECK(std::equal(packed.begin(), packed.end(), whole.packed.begin(), whole.packed.end()));
  };
  check(Conv2d<float>(5, 18, 3));
  check(Conv2d<float>(8, 8, 1));
  check(ConvTranspose2d<float>(3, 17));
  check(PlainParameter<float>({4, {1, 2, 5, 5}}));
}

TEST_CASE("Conv2d is torch.nn.Conv2d") {
  struct {
    Index kernel, stride, padding, in, out, height, width;
  } const table[] = {
      {3, 1, 1, 3, 8, 6, 7},    {3, 1, 1, 17, 20, 5, 9}, {3, 2, 1, 8, 16, 9, 6}, {3, 1, 0, 4, 5, 5, 3},
      {1, 1, 0, 24, 12, 4, 30}, {1, 2, 0, 3, 2, 5, 4},   {5, 1, 2, 2, 1, 4, 3},  {3, 1, 2, 2, 3, 1, 1},
      {5, 3, 4, 3, 33, 7, 8},   {2, 2, 0, 8, 8, 6, 4},
  };
  Random random(2);
  for (auto const& row : table) {
    INFO("kernel ", row.kernel, ", stride ", row.stride, ", padding ", row.padding, ", ", row.in, " to ", row.out,
         " channels, ", row.height, "x", row.width);
    every_table([&]<class T>(KernelTable<T> const& kernels) {
      Conv2d<T> layer(row.in, row.out, row.kernel, row.stride, row.padding);
      Parameters<T> const weights(layer, random);
      auto const input = random_map<T>({row.height, row.width, row.in}, random);
      auto const in = input.view();
      Shape const shape = layer.output_shape(in.shape());
      CHECK(shape == Shape{(row.height + 2 * row.padding - row.kernel) / row.stride + 1,
                           (row.width + 2 * row.padding - row.kernel) / row.stride + 1, row.out});
      auto const residual = random_map<T>(shape, random);
      auto const convolution = [&](Index y, Index x, Index o) {
        double sum = 0.0;
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
        layer.forward(context, in, out, {.slope = T(0.25), .residual = residual.view()});
        CHECK(context.macs == static_cast<std::uint64_t>(shape.pixels() * row.out * depth));
      });
      CHECK(difference<T>(out, depth, [&](Index y, Index x, Index o) {
              double const sum = convolution(y, x, o);
              return (sum > 0.0 ? sum : 0.25 * sum) + static_cast<double>(residual.view()(y, x, o));
            }) == "");
    });
  }
}

TEST_CASE("Conv2d without a padding keeps the size") {
  for (Index const kernel : {1, 3, 5}) CHECK(Conv2d<float>(3, 8, kernel).output_shape({7, 4, 3}) == Shape{7, 4, 8});
}

TEST_CASE("ConvTranspose2d is torch.nn.ConvTranspose2d(3, stride=2, padding=1, output_padding=1)") {
  struct {
    Index in, out, height, width;
  } const table[] = {{1, 1, 1, 1}, {3, 5, 1, 4}, {8, 4, 5, 1}, {17, 33, 3, 5}, {16, 16, 7, 15}};
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
      run<T>(kernels, {}, [&](Context<T>& context) { layer.forward(context, input.view(), out, T(0)); });
      CHECK(difference<T>(out, 4 * row.in, [&](Index y, Index x, Index o) { return std::max(sum(y, x, o), 0.0); }) ==
            "");
    });
  }
}

TEST_CASE("layers give the same bits for 1, 2, 3 and 7 threads") {
  Random random(4);
  Conv2d<float> convolution(8, 16, 3);
  ConvTranspose2d<float> transposed(8, 16);
  Parameters<float> const weights(convolution, random), transposed_weights(transposed, random);
  auto const input = random_map<float>({38, 26, 8}, random);
  View<float const> const in = input.view();
  struct {
    std::string name;
    Shape output;
    std::function<void(Context<float>&, View<float>)> forward;
  } const layers[] = {
      {"convolution", {38, 26, 16}, [&](auto& context, auto out) { convolution.forward(context, in, out); }},
      {"transposed convolution", {76, 52, 16}, [&](auto& context, auto out) { transposed.forward(context, in, out); }},
      {"blur-pool", {19, 13, 8}, [&](auto& context, auto out) { blur_pool(context, in, out); }},
      {"bilinear doubling", {76, 52, 8}, [&](auto& context, auto out) { bilinear_double(context, in, out); }},
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
    run<T>(kernels, {}, [&](Context<T>& context) { global_average<T>(context, views, average.view()); });
    CHECK(average.view()(0, 0, 0) == 5);
    CHECK(average.view()(0, 0, 1) == 10);
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
    activation.pack(0, {&slope, 1});
    activation.pack(1, {});
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

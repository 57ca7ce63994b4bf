// The options of a convolution - bias, activation, dilation, groups, padding of every mode, a scale, a residual to add
// to or to subtract from - against PyTorch's definition, written out here in the checkpoint's order of the weights.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/layers/convolution.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/random.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

enum class Behind { nothing, relu, leaky_relu, slope, slopes, silu, clamp, gate };
enum class Added { nothing, residual, subtract_from };

struct Case {
  Index height, width, in, out, kernel;
  ConvOptions options;
  Behind behind = Behind::nothing;
  Added added = Added::nothing;
  bool scales = false;

  std::string text() const {
    char const* const modes[] = {"zeros", "reflect", "replicate"};
    char const* const activations[] = {"none", "relu",  "leaky_relu", "prelu", "prelu of channels",
                                       "silu", "clamp", "gate"};
    char const* const residuals[] = {"no", "an added", "a subtracting"};
    std::ostringstream text;
    text << width << 'x' << height << ", " << in << " to " << out << " channels, kernel " << kernel << ", stride "
         << options.stride << ", padding " << options.padding << " of " << modes[static_cast<int>(options.padding_mode)]
         << ", dilation " << options.dilation << ", groups " << options.groups << (options.bias ? ", bias" : "")
         << ", activation " << activations[static_cast<int>(behind)] << (scales ? ", scale, " : ", ")
         << residuals[static_cast<int>(added)] << " residual";
    return text.str();
  }
};

template <class T>
double number(T value) {
  return static_cast<double>(value);
}

/// A layer with parameters, its input, and its result by the definition, in double.
template <class T>
class Definition {
 public:
  Definition(Case const& c, Random& random)
      : layer(c.in, c.out, c.kernel, c.options),
        weights_(static_cast<std::size_t>(layer.shape().elements())),
        bias_(static_cast<std::size_t>(c.out)),
        slopes_(static_cast<std::size_t>(c.out)),
        scale_(Tensor<T>::create({1, 1, c.out}).value()),
        packed_(layer.packed_elements() + pixel_pitch<T>(c.out)),
        packed_slopes_(pixel_pitch<T>(c.out)),
        channel_prelu(c.out) {
    fill(std::span(weights_), random);
    fill(std::span(bias_), random);
    fill(std::span(slopes_), random);
    fill(scale_.view(), random);
    layer.pack(packed_.data(), 0, weights_);
    layer.bind(packed_.data());
    if (layer.has_bias()) layer.bias().pack(packed_.data() + layer.packed_elements(), 0, bias_);
    prelu.pack(nullptr, 0, std::span(slopes_).first(1));
    channel_prelu.pack(packed_slopes_.data(), 0, slopes_);
    channel_prelu.bind(packed_slopes_.data());
    input = Tensor<T>::create({c.height, c.width, c.in}).value();
    fill(input.view(), random);
    output_shape = layer.output_shape(input.shape(), activation(c.behind));
    residual = Tensor<T>::create(output_shape).value();
    fill(residual.view(), random);
  }

  Activation<T> activation(Behind behind) const {
    switch (behind) {
      case Behind::relu: return relu;
      case Behind::leaky_relu: return leaky_relu(0.25f);
      case Behind::slope: return prelu;
      case Behind::slopes: return channel_prelu;
      case Behind::silu: return Function::silu;
      case Behind::clamp: return mirnet::clamp(-0.5, 1.0);
      case Behind::gate: return simple_gate;
      default: return {};
    }
  }

  Epilogue<T> epilogue(Case const& c) const {
    Epilogue<T> epilogue{.activation = activation(c.behind)};
    if (c.scales) epilogue.scale = scale_.view();
    if (c.added == Added::residual) epilogue.residual = residual.view();
    if (c.added == Added::subtract_from) epilogue.subtract_from = residual.view();
    return epilogue;
  }

  double expected(Case const& c, Index y, Index x, Index o) const {
    double const sum = this->sum(c, y, x, o);
    double const slopes[] = {1.0, 0.0, 0.25, number(prelu.slope()), number(slopes_[static_cast<std::size_t>(o)])};
    double value = c.behind == Behind::silu    ? sum / (1.0 + std::exp(-sum))
                   : c.behind == Behind::clamp ? std::clamp(sum, -0.5, 1.0)
                   : c.behind == Behind::gate  ? sum * this->sum(c, y, x, c.out / 2 + o)
                   : sum > 0.0                 ? sum
                                               : sum * slopes[static_cast<int>(c.behind)];
    if (c.scales) value *= number(scale_.view()(0, 0, o));
    if (c.added == Added::nothing) return value;
    double const other = number(residual.view()(y, x, o));
    return c.added == Added::residual ? value + other : other - value;
  }

  double sum(Case const& c, Index y, Index x, Index o) const {
    // -1: a zero.
    auto const source = [&](Index i, Index size) {
      if (i >= 0 && i < size) return i;
      if (c.options.padding_mode == PaddingMode::zeros) return Index{-1};
      if (c.options.padding_mode == PaddingMode::replicate) return std::clamp<Index>(i, 0, size - 1);
      return i < 0 ? -i : 2 * size - 2 - i;
    };
    Index const in = c.in / c.options.groups, first = o / (c.out / c.options.groups) * in;
    double sum = c.options.bias ? number(bias_[static_cast<std::size_t>(o)]) : 0.0;
    for (Index ky = 0; ky < c.kernel; ++ky) {
      for (Index kx = 0; kx < c.kernel; ++kx) {
        Index const iy = source(y * c.options.stride - c.options.padding + ky * c.options.dilation, c.height);
        Index const ix = source(x * c.options.stride - c.options.padding + kx * c.options.dilation, c.width);
        if (iy < 0 || ix < 0) continue;
        for (Index i = 0; i < in; ++i) {
          Index const at = ((o * in + i) * c.kernel + ky) * c.kernel + kx;
          sum += number(weights_[static_cast<std::size_t>(at)]) * number(input.view()(iy, ix, first + i));
        }
      }
    }
    return sum;
  }

  Conv2d<T> layer;

 private:
  std::vector<T> weights_, bias_, slopes_;
  Tensor<T> scale_;
  Buffer<T> packed_, packed_slopes_;

 public:
  PRelu<T> prelu;
  ChannelPRelu<T> channel_prelu;
  Tensor<T> input, residual;
  Shape output_shape;
};

/// With `in_place`, the residual is what the output holds.
template <class T>
Tensor<T> run(Definition<T> const& definition, Case const& c, KernelTable<T> const& kernels, ParallelFor threads,
              Algorithm algorithm, bool in_place = false) {
  auto output = Tensor<T>::create(definition.output_shape).value();
  Epilogue<T> epilogue = definition.epilogue(c);
  if (in_place) {
    std::copy_n(definition.residual.view().data(), output.view().pixels() * output.view().pitch(),
                output.view().data());
    if (c.added == Added::residual) epilogue.residual = output.view();
    if (c.added == Added::subtract_from) epilogue.subtract_from = output.view();
  }
  auto const forward = [&](Context<T>& context) {
    context.algorithm = algorithm;
    definition.layer.forward(context, definition.input.view(), output.view(), epilogue);
  };
  auto rehearsal = Context<T>::for_rehearsal(kernels, threads);
  forward(rehearsal);
  auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());  // NaN
  Context<T> context(kernels, threads);
  CHECK(context.compute_in(memory.bytes(), [&] { forward(context); }).ok());
  CHECK(context.macs == rehearsal.macs);
  CHECK(context.macs ==
        static_cast<std::uint64_t>(definition.output_shape.pixels() * definition.layer.shape().elements()));
  return output;
}

template <class T>
void check(Case const& c, KernelTable<T> const& kernels, ParallelFor threads, double epsilon, std::uint64_t seed) {
  Random random(seed);
  Definition<T> const definition(c, random);
  double const depth = number(static_cast<float>(definition.layer.shape().elements() / c.out + 2));
  // The factors of a gate are about as large as the root of their depth.
  double const bound = epsilon * depth * (c.behind == Behind::gate ? 2 * std::sqrt(depth) : 1.0);
  for (int way = 0; way < 4; ++way) {
    Algorithm const algorithm = way % 2 == 0 ? Algorithm::automatic : Algorithm::direct;
    bool const in_place = way / 2 == 1;
    if (in_place && c.added == Added::nothing) continue;
    INFO(c.text(), ", ", std::string(kernels.isa), std::string(algorithm == Algorithm::direct ? ", direct" : ""),
         std::string(in_place ? ", in place" : ""));
    auto const output = run(definition, c, kernels, threads, algorithm, in_place);
    double worst = 0.0;
    for (Index y = 0; y < output.shape().height; ++y) {
      for (Index x = 0; x < output.shape().width; ++x) {
        for (Index o = 0; o < output.shape().channels; ++o) {
          double const off = std::abs(number(output.view()(y, x, o)) - definition.expected(c, y, x, o));
          if (!(off <= worst)) worst = off;
        }
        for (Index o = output.shape().channels; o < output.view().pitch(); ++o) {
          if (number(output.view().pixel(y, x)[o]) != 0.0) worst = 1e9;
        }
      }
    }
    CHECK(worst <= bound);
  }
}

std::vector<Case> cases() {
  using enum Behind;
  std::vector<Case> list{
      {9, 11, 3, 17, 3, {.padding = 1, .bias = true}, relu},
      {9, 11, 20, 5, 3, {.padding = 1, .padding_mode = PaddingMode::reflect}, slopes, Added::residual},
      {30, 27, 16, 16, 3, {.padding = 1, .bias = true, .padding_mode = PaddingMode::reflect}, leaky_relu},
      {30,
       27,
       16,
       16,
       3,
       {.padding = 1, .bias = true, .padding_mode = PaddingMode::replicate},
       slopes,
       Added::subtract_from},
      {30, 27, 17, 33, 3, {.padding = 2, .padding_mode = PaddingMode::replicate}, slope, Added::subtract_from},
      {12, 10, 16, 16, 3, {.padding = 2, .dilation = 2, .bias = true, .padding_mode = PaddingMode::reflect}},
      {21, 20, 32, 64, 3, {.padding = 1, .groups = 2, .bias = true}, relu, Added::residual},
      {21, 20, 64, 64, 3, {.padding = 1, .groups = 2}, slopes, Added::subtract_from},
      {21, 20, 64, 32, 1, {.padding = 0, .groups = 2, .bias = true}, slopes},
      {10, 7, 24, 24, 3, {.padding = 1, .groups = 24, .bias = true}, relu, Added::residual},
      {10, 7, 16, 32, 3, {.padding = 1, .groups = 16, .padding_mode = PaddingMode::reflect}, slopes},
      {10, 7, 12, 18, 2, {.stride = 2, .padding = 1, .groups = 6, .bias = true}, leaky_relu},
      {11, 13, 300, 300, 1, {.padding = 0, .groups = 300}},
      {16, 15, 8, 16, 3, {.stride = 2, .padding = 1, .padding_mode = PaddingMode::reflect}, relu},
      {18, 9, 5, 7, 5, {.stride = 3, .padding = 4, .dilation = 2, .bias = true}, slope},
      {1, 1, 3, 3, 3, {.padding = 1, .bias = true, .padding_mode = PaddingMode::replicate}},
      {30, 27, 32, 32, 3, {.padding = 1, .bias = true}, silu},
      {30, 27, 17, 33, 3, {.padding = 1}, clamp, Added::subtract_from},
      {21, 20, 64, 64, 3, {.padding = 1, .groups = 2, .bias = true}, silu},
      {21, 20, 32, 64, 3, {.padding = 1, .groups = 2, .bias = true}, silu, Added::residual},
      {21, 20, 24, 36, 3, {.padding = 1, .groups = 4, .bias = true}, silu},
      {10, 7, 24, 24, 3, {.padding = 1, .groups = 24, .bias = true}, clamp},
      {13, 9, 20, 70, 1, {.padding = 0}, silu},
      {13, 9, 20, 64, 1, {.padding = 0, .bias = true}, gate},
      {13, 9, 100, 128, 1, {.padding = 0}, gate},
      {13, 9, 20, 64, 1, {.padding = 0}, gate, Added::residual},
      {13, 9, 20, 64, 1, {.padding = 0}, gate, Added::subtract_from},
      {13, 9, 20, 34, 1, {.padding = 0, .bias = true}, gate},
      {13, 9, 20, 34, 1, {.padding = 0}, gate, Added::subtract_from},
      {13, 9, 64, 64, 3, {.padding = 1, .groups = 64, .bias = true}, gate},
      {13, 9, 64, 64, 5, {.stride = 2, .padding = 2, .groups = 64}, gate},
      {13, 9, 128, 128, 3, {.padding = 1, .groups = 128, .padding_mode = PaddingMode::reflect}, gate},
      {13, 9, 30, 30, 3, {.padding = 1, .groups = 30, .bias = true}, gate, Added::residual},
      {13, 9, 64, 128, 3, {.padding = 1, .groups = 64, .bias = true}, gate},
      {13, 9, 16, 64, 3, {.padding = 1, .bias = true}, gate, Added::residual},
      {13, 9, 64, 128, 1, {.padding = 0, .groups = 2}, gate},
      {18, 9, 5, 7, 5, {.stride = 3, .padding = 4, .dilation = 2, .bias = true}, silu},
      {30, 27, 17, 33, 3, {.padding = 1, .bias = true}, relu, Added::residual, true},
      {30, 27, 64, 64, 3, {.padding = 1, .groups = 2}, nothing, Added::nothing, true},
      {21, 20, 24, 36, 3, {.padding = 1, .groups = 4}, slopes, Added::subtract_from, true},
      {10, 7, 24, 24, 3, {.padding = 1, .groups = 24, .bias = true}, slope, Added::residual, true},
      {13, 9, 100, 70, 1, {.padding = 0}, nothing, Added::residual, true},
      {13, 9, 20, 70, 1, {.padding = 0}, silu, Added::residual, true},
      {13, 9, 20, 70, 1, {.padding = 0}, silu, Added::nothing, true},
  };
  Random random(77);
  for (int i = 0; i < (test::slow ? 20 : 60); ++i) {
    Index const groups = random.pick({Index{1}, Index{1}, Index{2}, Index{3}, Index{16}});
    Case c{random.between(6, 24),          random.between(6, 24), groups * random.between(1, 20),
           groups * random.between(1, 20), random.between(1, 4),  {}};
    c.options = {.stride = random.between(1, 3),
                 .padding = random.between(0, 4),
                 .dilation = random.between(1, 2),
                 .groups = groups,
                 .bias = random.between(0, 1) == 1,
                 .padding_mode = random.pick({PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate})};
    c.behind = static_cast<Behind>(random.between(0, c.out % 2 == 0 ? 7 : 6));
    c.added = static_cast<Added>(random.between(0, 2));
    c.scales = c.behind != Behind::gate && random.between(0, 2) == 0;
    if ((std::min)(c.height, c.width) + 2 * c.options.padding < (c.kernel - 1) * c.options.dilation + 1) continue;
    list.push_back(c);
  }
  return list;
}

}  // namespace

TEST_CASE("convolutions with every option, on all kernels") {
  ThreadPool pool(2);
  std::uint64_t seed = 0;
  Cases parts(3);
  for (auto const& c : cases()) {
    if (parts.next_is_left_out()) continue;
    ++seed;
    for (auto const* kernels : kernel_tables()) check<float>(c, *kernels, pool, 4e-7, seed);
    for (auto const& set : bfloat16_tables()) check<bfloat16>(c, *set.halves, {}, 2e-2, seed);
    check<double>(c, plain_kernels<double>(), {}, 1e-14, seed);
    check<double>(c, eigen_kernels<double>(), {}, 1e-14, seed);
  }
}

TEST_CASE("convolutions of groups, of whole lines and of others, on all kernels") {
  struct Size {
    Index height, width;
  };
  // Some have enough tiles for a fast algorithm, with tiles that reach past the edges.
  Size const sizes[] = {{13, 20}, {30, 27}, {5, 70}, {6, 7}, {1, 3}};
  ThreadPool pool(2);
  Random random(31);
  Cases cases(9);
  for (Index const inputs : {4, 5, 6, 9, 16, 20, 30, 32, 45}) {
    for (Index const groups : {2, 3, 4, 5, 8}) {
      Index const outputs = random.pick({inputs, inputs, Index{3}, Index{8}, Index{16}, Index{21}});
      bool const is_large = inputs * outputs * groups > 2000;
      Size const size = sizes[random.between(0, is_large ? 0 : 4)];
      Case c{size.height,
             size.width,
             groups * inputs,
             groups * outputs,
             random.pick({3, 3, 3, 3, 1, 2}),
             {.groups = groups, .bias = random.between(0, 1) == 1},
             static_cast<Behind>(random.between(0, 6)),
             static_cast<Added>(random.between(0, 2))};
      c.options.padding = c.kernel / 2;
      if (size.height > 1) {
        c.options.padding_mode = random.pick({PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate});
      }
      bool const in_place = random.between(0, 1) == 1;
      auto const seed = random.bits();
      if (cases.next_is_left_out() || (test::slow && is_large)) continue;
      Random numbers(seed), same_numbers(seed);
      Definition<double> const exact(c, numbers);
      Definition<float> const definition(c, same_numbers);
      auto const expected = run(exact, c, plain_kernels<double>(), {}, Algorithm::direct);
      double const bound = 4e-7 * number(static_cast<float>(definition.layer.shape().elements() / c.out + 2));
      for (auto const* kernels : kernel_tables()) {
        std::string const isa = kernels->isa;
        for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::precise, Algorithm::direct}) {
          if (algorithm != Algorithm::direct && (isa == "scalar" || isa == "eigen")) continue;  // one way for all
          INFO(c.text(), ", ", isa, ", algorithm ", static_cast<int>(algorithm), in_place ? ", in place" : "");
          auto const output = run(definition, c, *kernels, pool, algorithm, in_place);
          CHECK(largest_difference(output.view(), expected.view()) <= bound);
          Index not_zero = 0;
          for (Index pixel = 0; pixel < output.view().pixels(); ++pixel) {
            for (Index o = c.out; o < output.view().pitch(); ++o) not_zero += output.view().pixel(0, pixel)[o] != 0.0f;
          }
          CHECK(not_zero == 0);
        }
      }
    }
  }
}

TEST_CASE("fast algorithms serve groups of four channels and more, whole lines or not") {
  struct {
    Index channels, groups;
    bool fast;
  } const table[] = {{64, 4, true},  {80, 2, true},   {80, 4, true},  {120, 2, true}, {120, 4, true},
                     {180, 2, true}, {180, 4, true},  {16, 4, true},  {24, 4, true},  {36, 4, true},
                     {9, 3, false},  {48, 16, false}, {12, 12, false}};
  for (auto const& row : table) {
    Convolution<float> work{};
    work.height = work.width = work.output_height = work.output_width = 64;
    work.channels = work.output_channels = row.channels, work.groups = row.groups;
    work.output_lines = pixel_pitch<float>(row.channels) / channels_per_line<float>;
    work.kernel_height = work.kernel_width = 3, work.stride = work.pad_top = work.pad_left = 1;
    for (auto const* kernels : kernel_tables()) {
      std::string const isa = kernels->isa;
      INFO(row.channels, " channels in ", row.groups, " groups, ", isa);
      auto const plan = kernels->plan_convolution(work, Algorithm::automatic);
      if (isa == "scalar" || isa == "eigen") {
        CHECK(std::string(plan.name) == "plain loops");
      } else {
        CHECK((std::string(plan.name) == "winograd F(4x4,3x3)") == row.fast);
        CHECK(std::string(kernels->plan_convolution(work, Algorithm::direct).name) != "winograd F(4x4,3x3)");
      }
    }
  }
}

TEST_CASE("parts of a map with every padding, and with groups that do not begin with lines") {
  Random random(5);
  struct {
    Index channels, groups;
  } const table[] = {{32, 1}, {32, 2}, {32, 32}, {40, 2}, {36, 4}, {45, 3}};
  for (PaddingMode const mode : {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate}) {
    for (auto const& row : table) {
      Case const c{37,           30, row.channels,
                   row.channels, 3,  {.padding = 1, .groups = row.groups, .bias = true, .padding_mode = mode}};
      INFO(c.text());
      for (auto const* kernels : kernel_tables()) {
        if (std::string(kernels->isa) == "eigen") continue;  // whose bits depend on the number of rows
        INFO(std::string(kernels->isa));
        Definition<float> const definition(c, random);
        auto const whole = run(definition, c, *kernels, {}, Algorithm::automatic);
        // Whole tiles give the same bits; the tiles of fewer rows lie elsewhere.
        for (Index const rows_a_part : {8, 3}) {
          CAPTURE(rows_a_part);
          auto parts = Tensor<float>::create(whole.shape()).value();
          auto const forward = [&](Context<float>& context) {
            Conv2d<float>::Rows const rows(definition.layer, context, definition.input.shape());
            for (Index first = 0; first < c.height; first += rows_a_part) {
              Index const end = (std::min)(first + rows_a_part, c.height), above = std::max<Index>(first - 1, 0);
              Index const below = (std::min)(end + 1, c.height);
              rows.forward(context, rows_of<float const>(definition.input.view(), above, below - above),
                           rows_of(parts.view(), first, end - first));
            }
          };
          auto rehearsal = Context<float>::for_rehearsal(*kernels);
          forward(rehearsal);
          auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
          std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
          Context<float> context(*kernels);
          CHECK(context.compute_in(memory.bytes(), [&] { forward(context); }).ok());
          double const apart = largest_difference(std::as_const(parts).view(), std::as_const(whole).view());
          CHECK(apart <= (rows_a_part == 8 ? 0.0 : 1e-4));
        }
      }
    }
  }
}

TEST_CASE("what convolutions refuse") {
  auto const& kernels = *kernel_tables().front();
  auto const sentence = [&](auto const& layer, Shape shape, Epilogue<float> epilogue = {}) {
    auto context = Context<float>::for_rehearsal(kernels);
    layer.forward(context, View<float const>(nullptr, shape), View<float>(nullptr, layer.output_shape(shape)),
                  epilogue);
    auto const status = context.status();
    return std::string(status.ok() ? "" : status.error().message());
  };
  Conv2d<float> const reflecting(4, 4, 3, {.padding_mode = PaddingMode::reflect});
  CHECK(sentence(reflecting, {1, 5, 4}) ==
        "convolution: the input that is reflected has 5x1 pixels of 4 channels, expected 5x2 of 4");
  CHECK(sentence(reflecting, {2, 2, 4}).empty());
  ChannelPRelu<float> const slopes(5);
  CHECK(sentence(reflecting, {2, 2, 4}, {.activation = slopes}) ==
        "convolution: the activation has 1x1 pixels of 5 channels, expected 1x1 of 4");
  auto context = Context<float>::for_rehearsal(kernels);
  ChannelSums<float> sums(context, 4);
  CHECK(sentence(Conv2d<float>(4, 4, 3, {.groups = 2}), {2, 2, 4}, {.sums = &sums}) ==
        "convolution: several groups have no statistics");
  CHECK(sentence(Conv2d<float>(1, 4, 3), {2, 2, 1}, {.sums = &sums}).empty());
}

TEST_CASE("the default padding is half of the kernel's extent") {
  for (Index const dilation : {1, 2, 3}) {
    for (Index const kernel : {1, 3, 5, 7}) {
      CHECK(Conv2d<float>(4, 4, kernel, {.dilation = dilation}).output_shape({30, 40, 4}) == Shape{30, 40, 4});
    }
  }
  CHECK(Conv2d<float>(4, 4, 2).output_shape({30, 40, 4}) == Shape{31, 41, 4});
  CHECK(Conv2d<float>(4, 4, 3, {.stride = 2}).output_shape({30, 41, 4}) == Shape{15, 21, 4});
}

TEST_CASE("convolutions beyond the limits have no channels") {
  for (ConvOptions const& options :
       {ConvOptions{.stride = 0}, ConvOptions{.stride = 32}, ConvOptions{.padding = 32}, ConvOptions{.dilation = 32},
        ConvOptions{.groups = 0}, ConvOptions{.groups = 3}, ConvOptions{.groups = 255}}) {
    CHECK(Conv2d<float>(510, 510 * 2, 3, options).shape().elements() == (options.groups == 3 ? 510 * 2 * 170 * 9 : 0));
  }
  CHECK(Conv2d<float>(16, 16, 64).shape().elements() == 0);
  CHECK(Conv2d<float>(65536, 16, 1).shape().elements() == 0);
  CHECK(Conv2d<float>(255, 255, 3, {.groups = 255}).shape() == ParameterShape{4, {255, 1, 3, 3}});
  CHECK(Conv2d<float>(1000, 2000, 3, {.groups = 1000}).shape() == ParameterShape{4, {2000, 1, 3, 3}});
  CHECK(Conv2d<float>(8, 8, 3, {.groups = 3}).shape().elements() == 0);
  CHECK(Conv2d<float>(0, 8, 3, {.groups = 0}).shape().elements() == 0);
  CHECK(sizeof(Conv2d<float>) <= 2 * sizeof(std::uint64_t));  // a network has hundreds of these
}

TEST_CASE("activations of channels, as layers of their own") {
  Random random(9);
  ThreadPool pool(2);
  every_table([&]<class T>(KernelTable<T> const& kernels) {
    for (Index const channels : {3, 16, 21, 64}) {
      CAPTURE(channels);
      ChannelPRelu<T> layer(channels);
      Buffer<T> slopes(layer.packed_elements()), plain(channels);
      fill(plain.span(), random);
      layer.pack(slopes.data(), 0, plain.span());
      layer.bind(slopes.data());
      auto input = Tensor<T>::create({5, 70, channels}).value(), output = Tensor<T>::create(input.shape()).value();
      fill(input.view(), random);
      Context<T> context(kernels, pool);
      for (bool const one_slope : {false, true}) {
        std::copy_n(input.view().data(), input.view().pixels() * input.view().pitch(), output.view().data());
        CHECK(context
                  .compute_in({},
                              [&] {
                                if (one_slope) activate(context, leaky_relu(0.25f), output.view());
                                if (!one_slope) activate(context, layer, output.view());
                              })
                  .ok());
        Index wrong = 0;
        for (Index pixel = 0; pixel < input.view().pixels(); ++pixel) {
          for (Index c = 0; c < input.view().pitch(); ++c) {
            T const x = input.view().pixel(0, pixel)[c];
            T const slope = one_slope ? T(0.25f) : c < channels ? plain.data()[c] : T(0);
            wrong += output.view().pixel(0, pixel)[c] != (x > T(0) ? x : x * slope);
          }
        }
        CHECK(wrong == 0);
      }
    }
  });
}

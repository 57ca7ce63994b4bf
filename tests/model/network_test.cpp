// A network that the library does not know: Model loads, plans and runs it like MIRNet, from a header of its own.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <utility>

#include <mirnet/model/model.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/enlarge.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"

using namespace mirnet;
using test::Enlarge;

namespace {

static_assert(Network<Enlarge<float>> && Network<Enlarge<bfloat16>> && Network<Enlarge<double>>);
static_assert(!Network<Conv2d<float>>);

using Config = Enlarge<float>::Config;

/// The network's output for an image, through a plan and memory that has no byte more.
template <class T>
Tensor<Accumulator<T>> output_of(test::Bytes const& file, KernelTable<T> const& kernels, Shape shape,
                                 ParallelFor threads = {}) {
  auto const model = Model<Enlarge<T>>::load(file).value();
  auto const image = test::make_image<Accumulator<T>>(shape);
  Context<T> context(kernels, threads);
  auto const plan = model.plan(context, shape.height, shape.width).value();
  auto const needed =
      Model<Enlarge<T>>::bytes_needed(model.config(), shape.height, shape.width, kernels, threads.workers).value();
  CHECK(plan.bytes == needed.run);
  CHECK(needed.model == model.bytes());
  auto const memory = Memory::allocate(plan.bytes).value();
  auto output =
      Tensor<Accumulator<T>>::create({2 * shape.height, 2 * shape.width, model.config().channels_out}).value();
  model.run(context, plan, memory.bytes(), image.view(), output.view()).value();
  CHECK(context.macs == plan.macs);
  return output;
}

}  // namespace

TEST_CASE("a network that the library does not know, on all kernels") {
  Config const config{.width = 24, .channels_in = 4, .channels_out = 5};
  auto const file = test::make_weight_file(config);
  ThreadPool pool(2);
  for (Shape const shape : {Shape{9, 14, 4}, Shape{16, 8, 4}}) {
    auto const expected = output_of<double>(file, test::plain_kernels<double>(), shape);
    double largest = 0.0;
    for (Index i = 0; i < expected.view().pixels() * expected.view().pitch(); ++i) {
      largest = std::max(largest, std::abs(expected.view().data()[i]));
    }
    REQUIRE(largest > 0.1);
    auto const difference = [&](auto const& output) {
      double most = 0.0;
      for (Index y = 0; y < expected.view().height(); ++y) {
        for (Index x = 0; x < expected.view().width(); ++x) {
          for (Index c = 0; c < 5; ++c) {
            most = std::max(most, std::abs(static_cast<double>(output.view()(y, x, c)) - expected.view()(y, x, c)));
          }
        }
      }
      return most / largest;
    };
    for (auto const* kernels : test::kernel_tables()) {
      INFO(std::string(kernels->isa));
      CHECK(difference(output_of<float>(file, *kernels, shape)) < 2e-6);
      CHECK(difference(output_of<float>(file, *kernels, shape, pool)) < 2e-6);
    }
    for (auto const& set : test::bfloat16_tables()) {
      INFO(std::string(set.halves->isa));
      CHECK(difference(output_of<bfloat16>(file, *set.halves, shape)) < 2e-2);
    }
  }
}

TEST_CASE("its weights in place") {
  Config const config{.width = 17};
  auto const plain = test::make_weight_file(config), packed = test::make_weight_file(config, test::Storage::f32_packed);
  auto const placed = Memory::allocate(static_cast<Index>(packed.size())).value();
  std::copy(packed.begin(), packed.end(), placed.bytes().begin());
  auto const file = std::span<std::byte const>(placed.bytes()).first(packed.size());
  if (std::endian::native == std::endian::little) {
    auto const model = Model<Enlarge<float>>::load_in_place(file).value();
    CHECK(model.parameters() == Model<Enlarge<float>>::load(plain).value().parameters());
    CHECK(model.config() == config);
  }
  auto const* const kernels = test::kernel_tables().front();
  auto const from_packed = output_of<float>(packed, *kernels, {5, 7, 4});
  auto const from_plain = output_of<float>(plain, *kernels, {5, 7, 4});
  CHECK(test::same_bits(from_packed.view(), from_plain.view()));
}

namespace {

test::Bytes file_of(char const* name) {
  auto const path = std::string(MIRNET_GOLDEN_WEIGHTS_DIR) + "/" + name;
  INFO(path);
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  std::string const content{std::istreambuf_iterator<char>(file), {}};
  auto const bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

/// Enlarge with a batch normalization behind its first convolution, from the numbers of
/// tests/converter/make_own_network.py, computed by the definitions of the layers.
Tensor<double> by_definition(View<double const> image) {
  constexpr Index width = 24, outputs = 5;
  auto const weight = [](Index i, Index seed) { return static_cast<double>((i * 37 + seed * 11) % 64 - 32) / 128; };
  auto const channel = [](Index o, Index factor, double offset) {
    return static_cast<double>(o * factor % 16) / 16 + offset;
  };
  Index const inputs = image.channels();
  auto inner = Tensor<double>::create({image.height(), image.width(), width}).value();
  for (Index y = 0; y < image.height(); ++y) {
    for (Index x = 0; x < image.width(); ++x) {
      for (Index o = 0; o < width; ++o) {
        double sum = 0;
        for (Index tap = 0; tap < 9; ++tap) {
          Index const row = y + tap / 3 - 1, column = x + tap % 3 - 1;
          if (row < 0 || row >= image.height() || column < 0 || column >= image.width()) continue;
          for (Index i = 0; i < inputs; ++i) sum += image(row, column, i) * weight((o * inputs + i) * 9 + tap, 1);
        }
        double const normal = (sum - channel(o, 3, -0.5)) / std::sqrt(channel(o, 11, 0.25) + 1e-5);
        double const value = normal * channel(o, 7, 0.5) + channel(o, 5, -0.5);
        inner.view()(y, x, o) = value < 0 ? 0.25 * value : value;
      }
    }
  }
  auto result = Tensor<double>::create({2 * image.height(), 2 * image.width(), outputs}).value();
  for (Index y = 0; y < image.height(); ++y) {
    for (Index x = 0; x < image.width(); ++x) {
      for (Index tap = 0; tap < 9; ++tap) {  // each value of the input adds to those around it
        Index const row = 2 * y + tap / 3 - 1, column = 2 * x + tap % 3 - 1;
        if (row < 0 || row >= 2 * image.height() || column < 0 || column >= 2 * image.width()) continue;
        for (Index o = 0; o < outputs; ++o) {
          for (Index i = 0; i < width; ++i) {
            result.view()(row, column, o) += inner.view()(y, x, i) * weight((i * outputs + o) * 9 + tap, 2);
          }
        }
      }
    }
  }
  return result;
}

template <class T>
double relative_difference(View<T const> found, View<double const> expected) {
  double largest = 0, most = 0;
  for (Index y = 0; y < expected.height(); ++y) {
    for (Index x = 0; x < expected.width(); ++x) {
      for (Index c = 0; c < expected.channels(); ++c) {
        largest = std::max(largest, std::abs(expected(y, x, c)));
        most = std::max(most, std::abs(static_cast<double>(found(y, x, c)) - expected(y, x, c)));
      }
    }
  }
  REQUIRE(largest > 0.1);
  return most / largest;
}

}  // namespace

TEST_CASE("a checkpoint that convert.py --network generic has converted") {
  Shape const shape{9, 7, 4};
  auto const image = test::make_image<double>(shape);
  auto const expected = by_definition(image.view());
  auto const plain = file_of("own.mirw"), packed = file_of("own-packed.mirw"), narrow = file_of("own-bf16.mirw");
  auto const model = Model<Enlarge<float>>::load(plain).value();
  CHECK(model.config() == Config{.width = 24, .channels_in = 4, .channels_out = 5});
  CHECK(model.task() == Task::upscale);
  auto const& plain_kernels = test::plain_kernels<double>();
  CHECK(relative_difference<double>(output_of<double>(plain, plain_kernels, shape).view(), expected.view()) < 1e-6);
  CHECK(relative_difference<double>(output_of<double>(packed, plain_kernels, shape).view(), expected.view()) < 1e-6);
  for (auto const* kernels : test::kernel_tables()) {
    INFO(std::string(kernels->isa));
    CHECK(relative_difference<float>(output_of<float>(plain, *kernels, shape).view(), expected.view()) < 2e-6);
    CHECK(relative_difference<float>(output_of<float>(packed, *kernels, shape).view(), expected.view()) < 2e-6);
  }
  for (auto const& set : test::bfloat16_tables()) {
    INFO(std::string(set.halves->isa));
    CHECK(relative_difference<float>(output_of<bfloat16>(narrow, *set.halves, shape).view(), expected.view()) < 3e-2);
  }
  if constexpr (std::endian::native == std::endian::little) {
    auto const in_place = [&]<class T>(test::Bytes const& file, KernelTable<T> const& kernels) {
      auto const placed = Memory::allocate(static_cast<Index>(file.size())).value();
      std::copy(file.begin(), file.end(), placed.bytes().begin());
      auto const network = Model<Enlarge<T>>::load_in_place(placed.bytes().first(file.size())).value();
      auto const copied = test::make_image<float>(shape);
      Context<T> context(kernels);
      auto const plan = network.plan(context, shape.height, shape.width).value();
      auto const memory = Memory::allocate(plan.bytes).value();
      auto output = Tensor<float>::create({18, 14, 5}).value();
      network.run(context, plan, memory.bytes(), copied.view(), output.view()).value();
      return output;
    };
    for (auto const* kernels : test::kernel_tables()) {
      CHECK(test::same_bits(in_place(packed, *kernels).view(), output_of<float>(plain, *kernels, shape).view()));
    }
    for (auto const& set : test::bfloat16_tables()) {
      CHECK(test::same_bits(in_place(narrow, *set.halves).view(),
                            output_of<bfloat16>(narrow, *set.halves, shape).view()));
    }
  }
}

TEST_CASE("what a header says of a network of one's own") {
  std::vector<std::byte> bytes(128);
  for (std::size_t i = 0; i < 12; ++i) test::put(bytes, 44 + 2 * i, static_cast<std::uint16_t>(1000 + i));
  test::put(bytes, 10, std::uint16_t{4}), test::put(bytes, 38, std::uint16_t{5});
  test::put(bytes, 40, std::uint16_t{6}), test::put(bytes, 42, std::uint16_t{3});
  WeightHeader const header(bytes);
  CHECK(header.architecture() == 0);
  CHECK(header.task() == Task::defocus);
  CHECK(header.channels_in() == 6);
  CHECK(header.channels_out() == 3);
  for (int i = 0; i < WeightHeader::numbers; ++i) CHECK(header.number(i) == 1000 + i);
  CHECK(header.expect_own_network().ok());
  CHECK(std::string(header.expect_no_numbers_from(11).error().message()) ==
        "number 11 of the network is 1011, expected 0: it has 11 of them");
  CHECK(header.expect_no_numbers_from(12).ok());
  CHECK(WeightHeader(std::vector<std::byte>(128)).expect_no_numbers_from(0).ok());
}

TEST_CASE("each task has a name") {
  char const* const names[] = {"unspecified", "denoise", "brighten", "upscale", "deblur", "defocus"};
  auto file = test::make_weight_file(Config{});
  for (std::uint16_t task = 0; task < 6; ++task) {
    test::put(file, 38, task);
    test::repair_checksum(file);
    CHECK(std::string(name_of(Model<Enlarge<float>>::load(file).value().task())) == names[task]);
  }
  CHECK(std::string(name_of(static_cast<Task>(6))) == "unknown");
}

TEST_CASE("what another network's file is refused with") {
  auto const message = [](auto const& model) { return std::string(model.ok() ? "" : model.error().message()); };
  auto const mirnet_file = test::make_weight_file(test::tiny);
  CHECK(message(Model<Enlarge<float>>::load(mirnet_file)) ==
        "the file has weights of MIRNet (architecture 1), expected a network of your own (0)");
  auto const file = test::make_weight_file(Config{});
  CHECK(message(Model<Mirnet<float>>::load(file)) ==
        "the file has weights of a network of somebody's own (architecture 0), expected MIRNet (1)");

  struct Mistake {
    std::size_t offset;
    std::uint16_t value;
    char const* sentence;
  };
  Mistake const mistakes[] = {
      {36, 2, "the file has weights of MIRNet-v2 (architecture 2), expected a network of your own (0)"},
      {38, 6, "the task is 6, expected 0 to 5"},
      {40, 0, "an image has 0 channels, expected 1 to 16"},
      {42, 6, "the second dimension of last.weight is 5, expected 6"},
      {44, 65, "the width is 65, expected 1 to 64"},
      {44, 9, "the first dimension of first.weight is 8, expected 9"},
      {46, 1, "number 1 of the network is 1, expected 0: it has 1 of them"},
      {66, 65535, "number 11 of the network is 65535, expected 0: it has 1 of them"},
      {10, 5,
       "the format version is 0.5, this program reads 0.0 to 0.4; use a newer program, or convert the checkpoint with "
       "this one's weights/convert.py"},
      {10, 3,
       "the format version is 0.3, networks of your own need 0.4: convert the checkpoint with weights/convert.py "
       "--network generic"}};
  for (auto const& mistake : mistakes) {
    auto wrong = file;
    test::put(wrong, mistake.offset, mistake.value);
    test::repair_checksum(wrong);
    CHECK(message(Model<Enlarge<float>>::load(wrong)) == mistake.sentence);
  }
}

TEST_CASE("a table with other names than the network's says which") {
  auto const good = test::make_weight_file(Config{});
  auto const names = static_cast<std::size_t>(test::get<std::uint64_t>(good, 88));
  auto const refusal = [&](auto&& change) {
    auto file = good;
    change(file);
    test::repair_checksum(file);
    return std::string(Model<Enlarge<float>>::load(file).error().message());
  };
  auto const rename = [&](char const* name) {  // first.weight: 12 characters
    return [=](test::Bytes& file) { std::memcpy(&file[names], name, 12); };
  };
  CHECK(refusal(rename("other.weight")) == "tensor 0 is \"other.weight\", expected \"first.weight\"");
  CHECK(refusal(rename("\x1b[31m\n\"%s\x7f\xff")) == "tensor 0 is \"??31m???s???\", expected \"first.weight\"");
  // The names are first.weight, first.bias, act.weight, last.weight.
  CHECK(refusal([&](test::Bytes& file) { std::memcpy(&file[names + 12], "act.weight", 10); }) ==
        "tensor 1 is \"act.weight\", expected \"first.bias\"");
  std::size_t const second = 128 + 64;
  CHECK(refusal([&](test::Bytes& file) { test::put(file, second + 4, std::uint16_t{20}); }) ==
        "tensor 1 is \"first.biasact.weight\", expected \"first.bias\"");
  CHECK(refusal([&](test::Bytes& file) { test::put(file, second + 4, std::uint16_t{0}); }) ==
        "the name of tensor 1 has 0 bytes, expected 1 to 31 for \"first.bias\"");
  for (auto const size : {std::uint16_t{32}, std::uint16_t{65535}}) {
    CHECK(refusal([&](test::Bytes& file) { test::put(file, second + 4, size); }) ==
          "the name of tensor 1 has " + std::to_string(size) + " bytes, expected 1 to 31 for \"first.bias\"");
  }
  for (std::uint32_t const offset : {0u, 11u, 13u, 0xFFFFFFFFu}) {
    CHECK(refusal([&](test::Bytes& file) { test::put(file, second, offset); }) ==
          "the name of tensor 1 begins at byte " + std::to_string(offset) + " of the names, expected 12 for " +
              "\"first.bias\"");
  }
}

TEST_CASE("what its plans and runs refuse") {
  auto const model = Model<Enlarge<float>>::load(test::make_weight_file(Config{})).value();
  Context<float> context(*test::kernel_tables().front());
  CHECK(model.plan(context, 0, 1).error().code() == ErrorCode::memory);
  auto const plan = model.plan(context, 4, 6).value();
  auto const memory = Memory::allocate(plan.bytes).value();
  auto const image = test::make_image<float>({4, 6, 4});
  auto output = test::make_image<float>({4, 6, 4});
  CHECK(std::string(model.run(context, plan, memory.bytes(), image.view(), output.view()).error().message()) ==
        "the output has 6x4 pixels of 4 channels, expected 12x8 of 5 as the plan has");
}

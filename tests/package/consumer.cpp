// consumer WEIGHTS.mirw
//
// What a first user of the library writes: a model, a map of pixels, a run, a look at the result. The tests build it
// as each kind of consumer would.
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

#include <mirnet/mirnet.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  std::ifstream stream(argv[1], std::ios::binary);
  std::vector<char> const file{std::istreambuf_iterator<char>(stream), {}};
  auto const model = mirnet::Model<mirnet::Mirnet<float>>::load(std::as_bytes(std::span(file))).value();

  mirnet::Context<float> context(mirnet::native_kernels());
  mirnet::Shape const shape{13, 21, model.config().channels};
  auto noisy = mirnet::Tensor<float>::create(shape).value();
  auto clean = mirnet::Tensor<float>::create(shape).value();
  for (mirnet::Index y = 0; y < shape.height; ++y) {
    for (mirnet::Index x = 0; x < shape.width; ++x) {
      for (mirnet::Index c = 0; c < shape.channels; ++c) noisy.view()(y, x, c) = (x + y) % 2 == 0 ? 0.6f : 0.4f;
    }
  }

  auto const plan = model.plan(context, shape.height, shape.width).value();
  auto const memory = mirnet::Memory::allocate(plan.bytes).value();
  model.run(context, plan, memory.bytes(), noisy.view(), clean.view()).value();

  float sum = 0.0f;
  for (mirnet::Index y = 0; y < shape.height; ++y) {
    for (mirnet::Index x = 0; x < shape.width; ++x) sum += clean.view()(y, x, 0);
  }
  float const mean = sum / static_cast<float>(shape.pixels());
  std::printf("mirnet %s on %s: mean %.3f\n", MIRNET_VERSION, context.kernels->isa, static_cast<double>(mean));
  // The network adds a small correction to a picture whose mean is 0.5. NaN fails too.
  return std::abs(mean - 0.5f) < 0.1f ? 0 : 1;
} catch (std::exception const& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

// Runs the code of README's section "Embed it" on a picture of the size that it is made for, and compares the result
// with that of weights which are copied from the file that ships.
#include "embed_it.inc"

#include <cstdio>
#include <cstring>

extern "C" std::byte const shipped[], shipped_end[];

static long calls = 0;

void on_my_cores(void*, mirnet::Index items, mirnet::ParallelFor::Task task, void* arguments) noexcept {
  ++calls;
  for (mirnet::Index item = items; item-- > 0;) task(arguments, item, item % 2);
}

static int failed(char const* what) {
  std::fprintf(stderr, "%s\n", what);
  return 1;
}

int main() {
  mirnet::Shape const shape{height, width, network.channels};
  auto noisy = mirnet::Tensor<float>::create(shape).value();
  auto clean = mirnet::Tensor<float>::create(shape).value();
  auto expected = mirnet::Tensor<float>::create(shape).value();
  unsigned random = 1;
  for (mirnet::Index y = 0; y < shape.height; ++y) {
    for (mirnet::Index x = 0; x < shape.width; ++x) {
      for (mirnet::Index c = 0; c < shape.channels; ++c) {
        random = random * 1664525 + 1013904223;
        noisy.view()(y, x, c) = static_cast<float>(random >> 8) * 0x1p-24f;
      }
    }
  }
  auto const done = restore(noisy.view(), clean.view());
  if (!done) return failed(done.error().message());
  if (calls == 0) return failed("the scheduler was not asked");

  auto const model = mirnet::Model<mirnet::Mirnet<float>>::load({shipped, shipped_end});
  if (!model) return failed(model.error().message());
  if (model->config() != network) return failed("the weights that ship are of another network");
  mirnet::Context<float> context(mirnet::native_kernels());
  auto const plan = model->plan(context, shape.height, shape.width).value();
  auto const memory = mirnet::Memory::allocate(plan.bytes).value();
  if (!model->run(context, plan, memory.bytes(), std::as_const(noisy).view(), expected.view())) return 1;
  auto const bytes = static_cast<std::size_t>(shape.pixels() * expected.view().pitch()) * sizeof(float);
  if (std::memcmp(clean.view().data(), expected.view().data(), bytes) != 0)
    return failed("other bits than copies give");
  if (std::memcmp(clean.view().data(), noisy.view().data(), bytes) == 0) return failed("nothing was restored");
  return 0;
}

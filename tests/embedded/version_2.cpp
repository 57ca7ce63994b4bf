// MIRNet-v2 as firmware runs it: weights in place, memory in arrays whose sizes the compiler finds out, two cores. The
// result is what PyTorch makes of the same checkpoint.
#include <cmath>
#include <cstdio>
#include <span>

#include <mirnet/mirnet.hpp>

// assets.S of examples/embedded: a packed weight file, and arrays of float in the order of channels, rows and columns.
extern "C" std::byte const tile_weights[], tile_weights_end[];
extern "C" float const tile_input[], tile_expected[];

using mirnet::Index;
using Net = mirnet::MirnetV2<float>;

static constexpr mirnet::MirnetV2Config network{.features = 16, .blocks = 1};
static constexpr mirnet::Shape tile{20, 28, network.channels};
static constexpr auto needed =
    mirnet::Model<Net>::bytes_needed(network, tile.height, tile.width, mirnet::native_kernels(), 2).value();

alignas(64) static std::byte model_memory[needed.model_in_place];
alignas(64) static std::byte run_memory[needed.run];
alignas(64) static float input[tile.pixels() * mirnet::pixel_pitch<float>(tile.channels)];
alignas(64) static float output[tile.pixels() * mirnet::pixel_pitch<float>(tile.channels)];

static void on_two_cores(void*, Index items, mirnet::ParallelFor::Task task, void* arguments) noexcept {
  for (Index item = items; item-- > 0;) task(arguments, item, item % 2);
}

static int failed(char const* what) {
  std::fprintf(stderr, "%s\n", what);
  return 1;
}

int main() {
  mirnet::View<float> const in(input, tile), out(output, tile);
  auto const value = [](float const* array, Index y, Index x, Index c) {
    return array[(c * tile.height + y) * tile.width + x];
  };
  auto const each = [](auto&& body) {
    for (Index y = 0; y < tile.height; ++y) {
      for (Index x = 0; x < tile.width; ++x) {
        for (Index c = 0; c < tile.channels; ++c) body(y, x, c);
      }
    }
  };
  each([&](Index y, Index x, Index c) { in(y, x, c) = value(tile_input, y, x, c); });

  auto const model = mirnet::Model<Net>::load_in_place({tile_weights, tile_weights_end}, model_memory);
  if (!model) return failed(model.error().message());
  mirnet::Context<float> context(mirnet::native_kernels(), {.run = on_two_cores, .self = nullptr, .workers = 2});
  auto const plan = model->plan(context, tile.height, tile.width);
  if (!plan) return failed(plan.error().message());
  if (plan->bytes != needed.run) return failed("the plan needs other memory than was known at compile time");
  auto const done = model->run(context, *plan, run_memory, in, out);
  if (!done) return failed(done.error().message());

  float difference = 0.0f, change = 0.0f;
  each([&](Index y, Index x, Index c) {
    float const expected = value(tile_expected, y, x, c), off = std::abs(out(y, x, c) - expected);
    if (!(off <= difference)) difference = off;  // NaN, too
    change = std::fmax(change, std::abs(expected - in(y, x, c)));
  });
  std::printf("difference from PyTorch: %g of the residual, at most 2e-5\n", static_cast<double>(difference / change));
  return difference <= 2e-5f * change ? 0 : 1;
}

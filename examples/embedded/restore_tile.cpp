#include "restore_tile.hpp"

#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include <mirnet/mirnet.hpp>

#include "scheduler.hpp"

// assets.S: a packed weight file, and arrays of float in the order of channels, rows and columns.
extern "C" std::byte const tile_weights[], tile_weights_end[];
extern "C" float const tile_input[], tile_expected[];

namespace tile {

namespace {

using mirnet::Index;

constexpr mirnet::MirnetConfig network{.features = 8, .groups = 2, .blocks = 2};
constexpr mirnet::Shape shape{16, 12, network.channels};

// Memory of the sizes that these need, which the compiler finds out.
constexpr auto needed = mirnet::Model<mirnet::Mirnet<float>>::bytes_needed(network, shape.height, shape.width,
                                                                           mirnet::native_kernels(), Scheduler::cores)
                            .value();
alignas(64) std::byte model_memory[needed.model_in_place];
alignas(64) std::byte run_memory[needed.run];

constexpr Index image_elements = shape.pixels() * mirnet::pixel_pitch<float>(shape.channels);
alignas(64) float input[image_elements];
alignas(64) float output[image_elements];

Scheduler scheduler;
std::optional<mirnet::Model<mirnet::Mirnet<float>>> model;
char message[512] = "";

void keep(mirnet::Error const& error) noexcept {
  std::string_view const text = error.message();
  message[text.copy(message, sizeof message - 1)] = '\0';
}

std::span<std::byte const> weights() noexcept {
  return {tile_weights, static_cast<std::size_t>(tile_weights_end - tile_weights)};
}

/// Of an array in the order of channels, rows and columns.
float value(float const* array, Index y, Index x, Index c) noexcept {
  return array[(c * shape.height + y) * shape.width + x];
}

}  // namespace

Memory memory() noexcept {
  return {weights().size(), sizeof model_memory, sizeof run_memory, sizeof input + sizeof output};
}

bool set_up() noexcept {
  auto loaded = mirnet::Model<mirnet::Mirnet<float>>::load_in_place(weights(), model_memory);
  if (!loaded) return keep(loaded.error()), false;
  model.emplace(*std::move(loaded));
  return true;
}

long restore() noexcept {
  mirnet::View<float> const in(input, shape), out(output, shape);
  for (Index y = 0; y < shape.height; ++y) {
    for (Index x = 0; x < shape.width; ++x) {
      for (Index c = 0; c < shape.channels; ++c) in(y, x, c) = value(tile_input, y, x, c);
    }
  }

  mirnet::Context<float> context(mirnet::native_kernels(), scheduler.parallel());
  auto const plan = model->plan(context, shape.height, shape.width);
  if (!plan) return keep(plan.error()), -1;
  auto const done = model->run(context, *plan, run_memory, in, out);
  if (!done) return keep(done.error()), -1;

  float difference = 0.0f, change = 0.0f;
  for (Index y = 0; y < shape.height; ++y) {
    for (Index x = 0; x < shape.width; ++x) {
      for (Index c = 0; c < shape.channels; ++c) {
        float const expected = value(tile_expected, y, x, c);
        float const off = std::abs(out(y, x, c) - expected);
        if (!(off <= difference)) difference = off;  // NaN, too
        change = std::fmax(change, std::abs(expected - in(y, x, c)));
      }
    }
  }
  float const billionths = difference / change * 1e9f;
  return billionths >= 0.0f && billionths < 1e9f ? static_cast<long>(billionths) : 1'000'000'000;
}

char const* refusal() noexcept {
  auto const cut_off =
      mirnet::Model<mirnet::Mirnet<float>>::load_in_place(weights().first(weights().size() - 1), model_memory);
  if (cut_off) return "";
  keep(cut_off.error());
  return message;
}

char const* error() noexcept { return message; }

}  // namespace tile

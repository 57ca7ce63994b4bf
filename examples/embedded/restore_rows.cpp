#include "restore_rows.hpp"

#include <span>
#include <string_view>

#include <mirnet/mirnet.hpp>

#include "scheduler.hpp"

// assets.S
extern "C" std::byte const tile_weights[], tile_weights_end[];
extern "C" float const tile_input[];

namespace rows {

namespace {

using mirnet::Index;
using Net = mirnet::Mirnet<float>;
using mirnet::Result;
using Run = mirnet::TiledRun<Net>;

constexpr mirnet::MirnetConfig network{.features = 8, .groups = 2, .blocks = 2};
#if defined(PICTURE_HEIGHT)  // for slow processors
constexpr Index height = PICTURE_HEIGHT, width = PICTURE_WIDTH;
#else
constexpr Index height = 5000, width = 64;
#endif
constexpr mirnet::TileOptions tiles{.longest = 40, .overlap = 4, .margin = 1};

constexpr auto needed =
    Run::bytes_needed(network, height, width, tiles, mirnet::native_kernels(), tile::Scheduler::cores).value();
alignas(64) std::byte model_memory[needed.model_in_place];
alignas(64) std::byte run_memory[needed.run];

/// The corner of the result to which only the first tile contributes.
constexpr Index corner_side = 24;
float corner[corner_side * corner_side * network.channels];

tile::Scheduler scheduler;
char message[512] = "";

long failed(mirnet::Error const& error) noexcept {
  std::string_view const text = error.message();
  message[text.copy(message, sizeof message - 1)] = '\0';
  return -1;
}

/// The picture repeats a tile of 16x12 pixels, whose array is in the order of channels, rows and columns.
Result<void> read(Index first_row, mirnet::View<float> some) noexcept {
  for (Index y = 0; y < some.height(); ++y) {
    for (Index x = 0; x < some.width(); ++x) {
      for (Index c = 0; c < some.channels(); ++c)
        some(y, x, c) = tile_input[(c * 16 + (first_row + y) % 16) * 12 + x % 12];
    }
  }
  return {};
}

/// Receives the rows of the result, and keeps or compares their corner.
struct Receiver {
  bool compare;
  long rows = 0;

  Result<void> operator()(Index first_row, mirnet::View<float const> some) noexcept {
    if (rows != first_row) return mirnet::Error(mirnet::ErrorCode::internal, "rows are missing, or come twice");
    rows += static_cast<long>(some.height());
    for (Index y = 0; y < some.height() && first_row + y < corner_side; ++y) {
      for (Index x = 0; x < corner_side; ++x) {
        for (Index c = 0; c < network.channels; ++c) {
          float& kept = corner[((first_row + y) * corner_side + x) * network.channels + c];
          if (!compare) kept = some(y, x, c);
          if (kept != some(y, x, c)) {
            return mirnet::Error(mirnet::ErrorCode::internal, "row %d of the picture is not that of its tile",
                                 static_cast<int>(first_row + y));
          }
        }
      }
    }
    return {};
  }
};

/// Restores a picture of this size.
long restore(mirnet::Model<Net> const& model, Index rows, Index columns, bool compare) noexcept {
  mirnet::Context<float> context(mirnet::native_kernels(), scheduler.parallel());
  auto const run = Run::plan(model, context, rows, columns, tiles);
  if (!run) return failed(run.error());
  Receiver receiver{compare};
  auto const done = run->compute(context, run_memory, read, receiver);
  return done ? receiver.rows : failed(done.error());
}

}  // namespace

Memory memory() noexcept {
  return {height, static_cast<std::size_t>(height * width * network.channels) * sizeof(float), sizeof run_memory};
}

long restore() noexcept {
  auto const model = mirnet::Model<Net>::load_in_place({tile_weights, tile_weights_end}, model_memory);
  if (!model) return failed(model.error());
  long const first_tile = restore(*model, tiles.longest, tiles.longest, false);
  return first_tile < 0 ? first_tile : restore(*model, height, width, true);
}

char const* error() noexcept { return message; }

}  // namespace rows

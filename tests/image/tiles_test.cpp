// Images in tiles: how they lie, that they add up, that the memory is what was said, and how a run is watched.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include <mirnet/image/restore.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;

namespace {

constexpr MirnetConfig on_pixels{.features = 8, .groups = 1, .blocks = 1};
constexpr MirnetConfig on_cells{.features = 8, .groups = 1, .blocks = 1, .unshuffle = 2};

Model<Mirnet<float>> small_model() { return test::make_model<float>(on_pixels); }

/// Rectangle of an image of floats.
Image crop(Image const& image, Index left, Index top, Index width, Index height) {
  auto part = Image::create(width, height, image.channels(), image.type()).value();
  for (Index y = 0; y < height; ++y) {
    std::memcpy(part.samples<float>().data() + y * width * image.channels(),
                image.samples<float>().data() + ((top + y) * image.width() + left) * image.channels(),
                static_cast<std::size_t>(width * image.channels()) * sizeof(float));
  }
  return part;
}

}  // namespace

TEST_CASE("the parts of all tiles in a pixel add up to one, and change slowly") {
  Index const longest_tiles[] = {shortest_tile, 264, 512, 1000};
  for (Index i = 0; i < 16; ++i) {
    Index const longest = longest_tiles[i % 4], step = Index{1} << (i / 4 == 0 ? 0 : i / 4 + 2);  // 1, 8, 16 and 32
    for (Index size = 1; size < 3000; size += size < 600 ? 7 : 97) {
      CAPTURE(size);
      CAPTURE(longest);
      CAPTURE(step);
      auto const axis = TileAxis::of_at_most(size, longest, step);
      CHECK(axis.length() <= std::min(size, longest));
      if (axis.count() > 1) CHECK(axis.length() % std::max<Index>(step, 8) == 0);
      for (Index tile = 0; tile + 1 < axis.count(); ++tile) {
        CHECK(axis.first(tile) % step == 0);
        CHECK(axis.first(tile + 1) > axis.first(tile));
        CHECK(axis.first(tile + 1) + tile_overlap <= axis.first(tile) + axis.length());
      }
      CHECK(axis.first(0) == 0);
      CHECK(axis.first(axis.count() - 1) + axis.length() == size);
      double worst = 0.0, steepest = 0.0;
      float lowest = 0.0f;
      int most_tiles = 0;
      std::vector<float> before(static_cast<std::size_t>(axis.count()), 0.0f);
      for (Index pixel = 0; pixel < size; ++pixel) {
        double sum = 0.0;
        int tiles = 0;
        for (Index tile = 0; tile < axis.count(); ++tile) {
          bool const covered = pixel >= axis.first(tile) && pixel < axis.first(tile) + axis.length();
          float const weight = covered ? axis.weight(tile, pixel) : 0.0f;
          auto& last = before[static_cast<std::size_t>(tile)];
          if (pixel > 0) steepest = std::max(steepest, static_cast<double>(std::fabs(weight - last)));
          last = weight;
          lowest = std::min(lowest, weight);
          tiles += weight > 0.0f;
          sum += static_cast<double>(weight);
        }
        most_tiles = std::max(most_tiles, tiles);
        worst = std::max(worst, std::fabs(sum - 1.0));
      }
      CHECK(worst < 1e-6);
      CHECK(lowest >= 0.0f);
      CHECK(most_tiles <= 2);
      CHECK(steepest < 1.01 / (tile_overlap - 1 - 2 * tile_margin));
    }
  }
}

TEST_CASE("tiles of the longest images there are begin where they should, and bytes that cannot be counted are none") {
  TileAxis const axis(500'000'000, 2'000'000);
  CHECK(axis.first(1'999'999) == 500'000'000 - axis.length());
  CHECK(axis.first(1'000'000) == std::int64_t{1'000'000} * (500'000'000 - axis.length()) / 1'999'999);
  CHECK(detail::tile_rows_bytes<float>(256, 1000, 3) == 256 * 1000 * 12);
  CHECK(detail::tile_rows_bytes<float>(std::numeric_limits<Index>::max() / 24, 3, 3) == std::nullopt);
}

TEST_CASE("tiles of a network on cells of pixels have its cells") {
  struct Case {
    MirnetConfig config;
    Index step;
  };
  for (auto const& [config, step] :
       {Case{on_cells, 8}, Case{{.features = 8, .groups = 1, .blocks = 1, .streams = 4, .unshuffle = 4}, 32}}) {
    auto const model = test::make_model<float>(config);
    Context<float> context(*test::kernel_tables().front());
    auto const image = draw(1003, 777, 3);
    for (auto const& tiling :
         {plan_tiles(model, context, image, 300).value(), plan_tiles(model, context, image).value()}) {
      for (auto const& axis : {tiling.x, tiling.y}) {
        REQUIRE(axis.count() > 1);
        CHECK(axis.length() % step == 0);
        for (Index tile = 0; tile + 1 < axis.count(); ++tile) CHECK(axis.first(tile) % step == 0);
        CHECK(axis.first(axis.count() - 1) + axis.length() == axis.size());
      }
    }
  }
}

TEST_CASE("tiles are put together as they say") {
  for (auto const& config : {on_pixels, on_cells}) {
    auto const model = test::make_model<float>(config);
    CAPTURE(model.config().unshuffle);
    ThreadPool pool(2);
    Context<float> context(*test::kernel_tables().front(), pool);
    auto const image = draw(test::slow ? 500 : 800, test::slow ? 80 : 500, 3, SampleType::f32, pictures::noisy_pattern);
    auto const tiling = plan_tiles(model, context, image, 256).value();
    REQUIRE(tiling.x.count() == (test::slow ? 3 : 4));
    REQUIRE(tiling.y.count() == (test::slow ? 1 : 3));
    auto const restored = restore(model, image, context, tiling).value();

    std::vector<double> expected(restored.samples<float>().size(), 0.0);
    for (Index tile_y = 0; tile_y < tiling.y.count(); ++tile_y) {
      for (Index tile_x = 0; tile_x < tiling.x.count(); ++tile_x) {
        Index const left = tiling.x.first(tile_x), top = tiling.y.first(tile_y);
        auto const tile = restore(model, crop(image, left, top, tiling.x.length(), tiling.y.length()), context).value();
        for (Index y = 0; y < tile.height(); ++y) {
          for (Index x = 0; x < tile.width(); ++x) {
            double const part = static_cast<double>(tiling.x.weight(tile_x, left + x)) *
                                static_cast<double>(tiling.y.weight(tile_y, top + y));
            for (Index c = 0; c < 3; ++c) {
              expected[static_cast<std::size_t>(((top + y) * image.width() + left + x) * 3 + c)] +=
                  part *
                  static_cast<double>(tile.samples<float>()[static_cast<std::size_t>((y * tile.width() + x) * 3 + c)]);
            }
          }
        }
      }
    }
    double worst = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      worst = std::max(worst, std::fabs(expected[i] - static_cast<double>(restored.samples<float>()[i])));
    }
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("every kind of image goes through tiles, alpha untouched") {
  auto const model = small_model();
  Context<float> context(*test::kernel_tables().front());
  test::Cases cases(5);
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      if (cases.next_is_left_out()) continue;
      auto const image = draw(300, test::slow ? 16 : 64, channels, type, pictures::noisy_pattern);
      auto const tiling = plan_tiles(model, context, image, shortest_tile).value();
      CHECK(tiling.tiles() == 2);
      auto const restored = restore(model, image, context, tiling).value();
      CHECK(restored.channels() == channels);
      CHECK(restored.type() == type);
      if (!image.has_alpha()) continue;
      auto const bytes = static_cast<std::size_t>(sample_bytes(type));
      bool same = true;
      for (std::size_t pixel = 0; pixel < static_cast<std::size_t>(image.pixels()); ++pixel) {
        auto const at = ((pixel + 1) * static_cast<std::size_t>(channels) - 1) * bytes;
        same &= std::memcmp(image.bytes().data() + at, restored.bytes().data() + at, bytes) == 0;
      }
      CHECK(same);
    }
  }
}

TEST_CASE("one tile is the whole image, bit by bit") {
  for (auto const& config : {on_pixels, on_cells}) {
    auto const model = test::make_model<float>(config);
    Context<float> context(*test::kernel_tables().front());
    auto const image = draw(90, 70, 3, SampleType::f32, pictures::noisy_pattern);
    auto const whole = restore(model, image, context).value();
    auto const tiling = plan_tiles(model, context, image, shortest_tile).value();
    CHECK(tiling.tiles() == 1);
    CHECK(equal(restore(model, image, context, tiling).value(), whole));
  }
}

TEST_CASE("the largest tiles that a limit of memory allows") {
  auto const model = small_model();
  Context<float> context(*test::kernel_tables().front());
  auto const image = draw(1500, 900, 3);
  auto const usual = plan_tiles(model, context, image).value();
  auto const fitting = [&](Index bytes, Index longest) {
    return longest_tile_within(model, context, image, bytes, longest).value();
  };
  CHECK(fitting(usual.bytes, usual_tile) == usual_tile);
  for (Index const longest : {usual_tile, Index{1000}, Index{700}}) {
    for (Index bytes = usual.bytes - 1; bytes > usual.bytes / 3; bytes = bytes * 3 / 4) {
      Index const side = fitting(bytes, longest);
      CAPTURE(side);
      REQUIRE(side >= shortest_tile);
      CHECK(side <= longest);
      CHECK(plan_tiles(model, context, image, side).value().bytes <= bytes);
      if (side + 64 <= longest) CHECK(plan_tiles(model, context, image, side + 64).value().bytes > bytes);
    }
  }
  CHECK(fitting(1 << 20, usual_tile) == 0);
  auto const too_small = plan_tiles(model, context, image, shortest_tile - 1);
  REQUIRE(!too_small);
  CHECK(too_small.error().code() == ErrorCode::invalid_argument);
  auto const other = restore(model, draw(1500, 901, 3), context, usual);
  REQUIRE(!other);
  CHECK(other.error().code() == ErrorCode::invalid_argument);
}

TEST_CASE("the usual tiles do at most a tenth of a photograph's work twice, and are those of restore") {
  auto const model = small_model();
  Context<float> context(*test::kernel_tables().front());
  for (auto const& size : {Shape{4000, 6000, 3}, Shape{6000, 4000, 3}, Shape{3000, 4000, 3}}) {
    auto const image = Image::create(size.width, size.height, 3, SampleType::u8).value();
    auto const tiling = plan_tiles(model, context, image).value();
    // Its plan as a whole is more than 32 bits count.
    Index const pixels = tiling.tiles() * tiling.x.length() * tiling.y.length();
    CHECK(static_cast<double>(pixels) <= 1.1 * static_cast<double>(size.pixels()));
    CHECK(tiling.x.length() <= usual_tile);
    CHECK(tiling.y.length() <= usual_tile);
  }
  auto const image = draw(test::slow ? 770 : 800, test::slow ? 16 : 60, 3, SampleType::f32, pictures::noisy_pattern);
  auto const tiling = plan_tiles(model, context, image).value();
  CHECK(tiling.tiles() == 2);
  CHECK(equal(restore(model, image, context).value(), restore(model, image, context, tiling).value()));
}

TEST_CASE("tiles at the same time give the bits of one after the other, where their memory is little") {
  for (auto const& config : {on_pixels, on_cells}) {
    auto const model = test::make_model<float>(config);
    CAPTURE(config.unshuffle);
    auto const image = draw(900, test::slow ? 80 : 400, 3, SampleType::f32, pictures::noisy_pattern);
    Context<float> alone(*test::kernel_tables().front());
    auto const one = plan_tiles(model, alone, image, 256).value();
    CHECK(one.at_once == 1);
    auto const expected = restore(model, image, alone, one).value();
    for (Index const workers : {2, 3}) {
      ThreadPool pool(workers);
      Context<float> context(*test::kernel_tables().front(), pool);
      auto const tiling = plan_tiles(model, context, image, 256).value();
      REQUIRE(tiling.x.count() > workers);
      CHECK(tiling.at_once == workers);
      CHECK(tiling.run_bytes() >= workers * tiling.alone.bytes);
      CHECK(tiling.bytes > one.bytes);
      CHECK(equal(restore(model, image, context, tiling).value(), expected));
    }
  }
  // The network of the paper takes more for each tile than all may.
  auto const published = test::make_model<float>({.groups = 1, .blocks = 1});
  ThreadPool pool(2);
  Context<float> context(*test::kernel_tables().front(), pool);
  CHECK(plan_tiles(published, context, draw(2000, 100, 3)).value().at_once == 2);
  if constexpr (sizeof(Index) > 4) CHECK(plan_tiles(published, context, draw(2000, 1500, 3)).value().at_once == 1);
}

TEST_CASE("rows of the result come in order, each once, and an error ends the run") {
  auto const model = small_model();
  ThreadPool pool(2);
  Context<float> context(*test::kernel_tables().front(), pool);
  auto const image = draw(300, test::slow ? 270 : 560, 3, SampleType::f32, pictures::noisy_pattern);
  for (Index const longest : {shortest_tile, Index{600}}) {
    auto const tiling = plan_tiles(model, context, image, longest).value();
    auto const expected = restore(model, image, context, tiling, {0.5f, 0.75f}).value();
    auto found = Image::create(image.width(), image.height(), 3, SampleType::f32).value();
    Index next = 0, calls = 0;
    auto const write = [&](Index first_row, View<float const> rows) -> Result<void> {
      CHECK(first_row == next);
      next += rows.height();
      ++calls;
      put_rows(rows, found, first_row);
      return {};
    };
    CHECK(restore_rows(model, image, context, tiling, {0.5f, 0.75f}, write).ok());
    CHECK(next == image.height());
    CHECK(calls == tiling.y.count());
    CHECK(equal(found, expected));
  }
  auto const tiling = plan_tiles(model, context, image, shortest_tile).value();
  Index calls = 0;
  auto const fail = [&](Index, View<float const>) -> Result<void> {
    ++calls;
    return Error(ErrorCode::output, "no more");
  };
  auto const failed = restore_rows(model, image, context, tiling, {}, fail);
  REQUIRE(!failed);
  CHECK(failed.error().code() == ErrorCode::output);
  CHECK(calls == 1);
}

TEST_CASE("images of the caller, with gaps between rows or from bottom to top, are restored by rectangles") {
  auto const model = small_model();
  ThreadPool pool(2);
  test::Cases cases(5);
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      if (cases.next_is_left_out()) continue;
      Context<float> context(*test::kernel_tables().front(), channels == 3 ? ParallelFor(pool) : ParallelFor());
      auto const image = draw(520, channels == 3 ? 300 : 40, channels, type, pictures::noisy_pattern);
      Index const pixel = channels * sample_bytes(type), row = image.width() * pixel, stride = row + 3 * pixel;
      // The original from bottom to top, and the result in the middle of wider rows.
      std::vector<std::byte> reversed(image.bytes().size()), wide(static_cast<std::size_t>(stride * image.height()));
      for (Index y = 0; y < image.height(); ++y) {
        std::copy_n(image.bytes().data() + y * row, row, reversed.data() + (image.height() - 1 - y) * row);
      }
      ImageView const original(reversed.data() + (image.height() - 1) * row, image.width(), image.height(), channels,
                               type, -row);
      MutableImageView const result(wide.data() + pixel, image.width(), image.height(), channels, type, stride);
      auto const tiling = plan_tiles(model, context, original, shortest_tile).value();
      auto const expected = restore(model, image, context, tiling, {0.5f, 0.75f}).value();
      auto const expected_at = [&](Index y, Index x) { return expected.bytes().data() + y * row + x * pixel; };
      auto const found_at = [&](Index y, Index x) { return result.samples() + y * stride + x * pixel; };

      std::vector<int> finished(static_cast<std::size_t>(image.pixels()));
      bool right_when_told = true;
      auto const tell = [&](Index top, Index left, Index height, Index width) {
        for (Index y = top; y < top + height; ++y) {
          right_when_told &=
              std::memcmp(found_at(y, left), expected_at(y, left), static_cast<std::size_t>(width * pixel)) == 0;
          for (Index x = left; x < left + width; ++x) ++finished[static_cast<std::size_t>(y * image.width() + x)];
        }
      };
      auto const memory = Memory::allocate(restoring_bytes(model, original, tiling).value()).value();
      auto const all = memory.bytes().first(static_cast<std::size_t>(restoring_bytes(model, original, tiling).value()));
      CHECK(restore_into(model, original, context, tiling, {0.5f, 0.75f}, all, result, tell).ok());
      CHECK(right_when_told);
      CHECK(std::count(finished.begin(), finished.end(), 1) == image.pixels());
      // Nothing was written beside the result.
      bool gaps_are_zero = true;
      for (Index y = 0; y < image.height(); ++y) {
        for (Index i : {Index{0}, stride - 1})
          gaps_are_zero &= wide[static_cast<std::size_t>(y * stride + i)] == std::byte{0};
      }
      CHECK(gaps_are_zero);
      auto const little = restore_into(model, original, context, tiling, {}, all.first(all.size() - 1), result, tell);
      REQUIRE(!little);
      CHECK(little.error().code() == ErrorCode::memory);
    }
  }
}

TEST_CASE("strength goes from the image as it is to the network's, brightness and colour apart") {
  auto const model = small_model();
  Context<float> context(*test::kernel_tables().front());
  test::Cases cases(5);
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      if (cases.next_is_left_out()) continue;
      auto const image = draw(300, test::slow ? 12 : 40, channels, type, pictures::noisy_pattern);
      for (Index const longest : {Index{300}, shortest_tile}) {
        auto const tiling = plan_tiles(model, context, image, longest).value();
        auto const full = restore(model, image, context, tiling).value();
        CHECK(equal(restore(model, image, context, tiling, {1.0f, 1.0f}).value(), full));
        auto const none = restore(model, image, context, tiling, {0.0f, 0.0f}).value();
        if (type == SampleType::f32) continue;
        CHECK(equal(none, image));
      }
    }
  }
  auto const image = draw(64, 48, 3, SampleType::f32, pictures::noisy_pattern);
  auto const tiling = plan_whole(model, context, image).value();
  auto const full = restore(model, image, context, tiling).value();
  auto const part = restore(model, image, context, tiling, {0.25f, 0.5f}).value();
  double worst = 0.0;
  for (std::size_t i = 0; i < part.samples<float>().size(); i += 3) {
    double change[3], found[3], brightness = 0.0, found_brightness = 0.0;
    constexpr double weights[] = {0.299, 0.587, 0.114};
    for (std::size_t c = 0; c < 3; ++c) {
      auto const before = static_cast<double>(image.samples<float>()[i + c]);
      change[c] = static_cast<double>(full.samples<float>()[i + c]) - before;
      found[c] = static_cast<double>(part.samples<float>()[i + c]) - before;
      brightness += weights[c] * change[c];
      found_brightness += weights[c] * found[c];
    }
    worst = std::max(worst, std::fabs(found_brightness - 0.25 * brightness));
    for (std::size_t c = 0; c < 3; ++c) {
      worst = std::max(worst, std::fabs(found[c] - found_brightness - 0.5 * (change[c] - brightness)));
    }
  }
  CHECK(worst < 1e-5);
}

TEST_CASE("progress goes up to the end, and a run can be stopped") {
  auto const model = small_model();
  ThreadPool pool(2);
  auto const image = draw(300, test::slow ? 24 : 280, 3);

  struct Watcher {
    std::vector<std::uint64_t> macs;
    std::atomic<bool> stop = false;
    std::size_t last_call = ~std::size_t{0};
  } watcher;
  auto const watch = [](void* self, std::uint64_t macs) noexcept {
    auto& seen = *static_cast<Watcher*>(self);
    seen.macs.push_back(macs);
    if (seen.macs.size() >= seen.last_call) seen.stop = true;
  };
  Context<float> context(*test::kernel_tables().front(), pool);
  context.progress = {watch, &watcher};
  context.stop = &watcher.stop;
  auto const tiling = plan_tiles(model, context, image, shortest_tile).value();
  CHECK(watcher.macs.empty());  // a rehearsal is no progress
  REQUIRE(restore(model, image, context, tiling));
  CHECK(std::ranges::is_sorted(watcher.macs));
  CHECK(watcher.macs.back() == tiling.macs());
  CHECK(watcher.macs.size() > 100);

  for (std::size_t const last_call : {std::size_t{1}, watcher.macs.size() / 2, watcher.macs.size()}) {
    Watcher other;
    other.last_call = last_call;
    Context<float> stopping(*test::kernel_tables().front(), pool);
    stopping.progress = {watch, &other};
    stopping.stop = &other.stop;
    auto const stopped = restore(model, image, stopping, tiling);
    REQUIRE(!stopped);
    CHECK(stopped.error().code() == ErrorCode::cancelled);
  }
}

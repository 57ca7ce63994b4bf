// Runs a model over an image that is larger than the memory, in tiles: functions of the caller supply the rows of the
// image and receive those of the result. Allocates nothing; the bytes of a run are known before it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/image/tiles.hpp>
#include <mirnet/model/model.hpp>

namespace mirnet::inline MIRNET_ABI {

/// How an image of a given size is cut into tiles, with the plan of one tile.
template <class Config>
struct Tiling {
  TileAxis x, y;
  Plan<Config> plan;  ///< of one tile: all are equally large
  Index bytes = 0;    ///< of a run through all tiles, as the function that makes the tiling counts them
  /// Tiles that are computed at the same time, each by one of the context's workers: neighbours in a row of tiles.
  Index at_once = 1;
  Plan<Config> alone{};  ///< of one tile and one worker, where there are several at once

  constexpr Index tiles() const noexcept { return x.count() * y.count(); }
  /// Multiply-accumulates of all tiles: more than the image has by itself, as tiles overlap.
  constexpr std::uint64_t macs() const noexcept { return plan.macs * static_cast<std::uint64_t>(tiles()); }
  /// Of the model's memory, for as many tiles as are computed at the same time.
  constexpr Index run_bytes() const noexcept {
    return at_once == 1 ? plan.bytes : (std::max)(plan.bytes, at_once * alone.bytes);
  }
};

namespace detail {

/// The bytes of some rows of an image without padding between pixels; nullopt where an Index cannot hold the number.
template <class Pixel>
constexpr std::optional<Index> tile_rows_bytes(Index rows, Index width, Index channels) noexcept {
  auto const pixels = checked_product(rows, width);
  return pixels ? checked_product(*pixels, channels * static_cast<Index>(sizeof(Pixel))) : std::nullopt;
}

/// The bytes that `run_tiles` works in: the model's memory, inputs and outputs of the tiles that are computed at the
/// same time and, for several tiles, the rows in which they are summed. `more` is added.
template <class Pixel>
constexpr std::optional<Index> tiles_bytes(TileAxis const& x, TileAxis const& y, Index channels_in, Index channels_out,
                                           Index run_bytes, std::optional<Index> more = 0, Index at_once = 1) noexcept {
  auto const one = map_bytes<Pixel>({y.seen(), x.seen(), (std::max)(channels_in, channels_out)});
  auto const map = one ? checked_product(*one, at_once) : std::nullopt;
  bool const several = x.count() > 1 || y.count() > 1;
  auto const rows = several ? tile_rows_bytes<Pixel>(y.length(), x.size(), channels_out) : 0;
  std::optional<Index> bytes = run_bytes;
  for (auto const part : {map, map, rows, more}) bytes = bytes && part ? checked_sum(*bytes, *part) : std::nullopt;
  return bytes;
}

/// The pixel of a line of `size` pixels that is seen `i` pixels after its first one: beyond its ends, the line is
/// mirrored again and again, or goes on with its last pixel if it is too short for that.
constexpr Index continued(Index i, Index size) noexcept {
  if (size < shortest_mirrored) return std::clamp<Index>(i, 0, size - 1);
  Index const place = (i % (2 * size) + 2 * size) % (2 * size);
  return place < size ? place : 2 * size - 1 - place;
}

/// Where the network sees more than the image: moves the tile, which is at the beginning of the map's memory without
/// gaps, to its place in the map and continues it beyond its edges.
template <class Pixel>
void extend(TileAxis const& axis_x, TileAxis const& axis_y, View<Pixel> map) noexcept {
  Index const height = axis_y.length(), width = axis_x.length(), top = axis_y.before(), left = axis_x.before();
  if (map.height() == height && map.width() == width) return;
  Index const pitch = map.pitch();
  auto const bytes = [&](Index pixels) { return static_cast<std::size_t>(pixels * pitch) * sizeof(Pixel); };
  auto const copy = [&](Pixel* to, Pixel const* from, Index pixels) {
    std::memmove(static_cast<void*>(to), static_cast<void const*>(from), bytes(pixels));
  };
  for (Index y = height - 1; y >= 0; --y) {  // each row moves to where rows after it have been
    copy(map.pixel(top + y, left), map.data() + y * width * pitch, width);
  }
  for (Index y = top; y < top + height; ++y) {
    for (Index x = 0; x < map.width(); ++x) {
      if (x < left || x >= left + width) copy(map.pixel(y, x), map.pixel(y, left + continued(x - left, width)), 1);
    }
  }
  for (Index y = 0; y < map.height(); ++y) {
    if (y < top || y >= top + height) copy(map.row(y), map.row(top + continued(y - top, height)), map.width());
  }
}

/// The opposite: moves the tile to the beginning of the map's memory.
template <class Pixel>
void gather_tile(TileAxis const& axis_x, TileAxis const& axis_y, View<Pixel> map) noexcept {
  Index const height = axis_y.length(), width = axis_x.length();
  if (map.height() == height && map.width() == width) return;
  for (Index y = 0; y < height; ++y) {
    std::memmove(static_cast<void*>(map.data() + y * width * map.pitch()),
                 static_cast<void const*>(map.pixel(axis_y.before() + y, axis_x.before())),
                 static_cast<std::size_t>(width * map.pitch()) * sizeof(Pixel));
  }
}

/// Adds a tile's share of rows [first_row, end of the tile) to `rows`, which begin at row first_row of the image.
template <class Pixel>
void add_tile(ParallelFor const& parallel, View<Pixel const> tile, TileAxis const& axis_x, TileAxis const& axis_y,
              Index tile_x, Index tile_y, Index first_row, View<Pixel> rows) noexcept {
  Index const left = axis_x.first(tile_x), top = axis_y.first(tile_y);
  parallel(top + tile.height() - first_row, [&](Index row, Index) {
    Index const y = first_row + row;
    float const part_y = axis_y.weight(tile_y, y);
    Pixel const* from = tile.row(y - top);
    Pixel* to = rows.pixel(row, left);
    for (Index x = left; x < left + tile.width(); ++x, from += tile.pitch(), to += rows.pitch()) {
      float const part = part_y * axis_x.weight(tile_x, x);
      for (Index c = 0; c < tile.channels(); ++c) to[c] += part * from[c];
    }
  });
}

/// A context with the same kernels and algorithm, for one thread.
template <class T>
Context<T> with_one_worker(Context<T> const& context) noexcept {
  Context<T> own(*context.kernels);
  own.algorithm = context.algorithm;
  return own;
}

/// Computes `count` tiles at the same time, each with one of the context's workers. input(i) and output(i) are the maps
/// of tile i; `memory` has count times the bytes of the tiling's plan for one worker. Errors: as Model::run.
template <Network Net, class Input, class Output>
Result<void> run_at_once(Model<Net> const& model, Context<typename Net::Scalar>& context,
                         Tiling<typename Net::Config> const& tiling, std::byte* memory, Index count, Input&& input,
                         Output&& output) noexcept {
  // One of them tells how far all have come: they take as long as each other.
  struct Ahead {
    Progress all;
    std::uint64_t before;
    std::uint64_t count;
  } ahead{context.progress, context.macs, static_cast<std::uint64_t>(count)};
  Result<void> failure;
  std::atomic<bool> has_failed = false;
  context.parallel(count, [&](Index i, Index) {
    auto own = with_one_worker(context);
    own.stop = context.stop;
    if (i == 0 && context.progress.call != nullptr) {
      own.progress = {[](void* self, std::uint64_t macs) noexcept {
                        auto const& from = *static_cast<Ahead const*>(self);
                        from.all.call(from.all.self, from.before + from.count * macs);
                      },
                      &ahead};
    }
    Index const bytes = tiling.alone.bytes;
    auto done =
        model.run(own, tiling.alone, {memory + i * bytes, static_cast<std::size_t>(bytes)}, input(i), output(i));
    if (!done && !has_failed.exchange(true)) failure = std::move(done);
  });
  context.macs += tiling.alone.macs * static_cast<std::uint64_t>(count);
  return failure;
}

/// Runs the tiles of an image row by row from left to right, some of a row at the same time. fill(tile_x, tile_y, map)
/// writes the input of a tile; the network's output is as large, and may have other channels. write(first_row, rows)
/// receives the rows of the result to which no later tile contributes, in order, each once. Before that,
/// finish(first_row, first_column, map) gets the rectangles that these rows consist of, each as soon as it is final,
/// and may change it. All return Result<void>, and an error ends the run. `memory` has tiles_bytes.
template <Network Net, class Fill, class Write, class Finish>
Result<void> run_tiles(Model<Net> const& model, Context<typename Net::Scalar>& context,
                       Tiling<typename Net::Config> const& tiling, std::byte* memory, Fill&& fill, Write&& write,
                       Finish&& finish) noexcept {
  using Pixel = typename Model<Net>::Pixel;
  TileAxis const &axis_x = tiling.x, &axis_y = tiling.y;
  Index const channels_in = Net::channels_in(model.config()), width = axis_x.size(), at_once = tiling.at_once;
  Shape const seen{axis_y.seen(), axis_x.seen(), channels_in}, made = Net::output_shape(model.config(), seen);
  Index const channels = made.channels,
              map_elements = seen.pixels() * pixel_pitch<Pixel>((std::max)(channels_in, channels));
  Shape const shape{axis_y.length(), axis_x.length(), channels};  // of a tile's result
  auto* const maps = reinterpret_cast<Pixel*>(memory + tiling.run_bytes());
  auto const input = [&](Index i) { return View<Pixel>(maps + i * map_elements, seen); };
  auto const output = [&](Index i) { return View<Pixel>(maps + (at_once + i) * map_elements, made); };
  auto const result = [&](Index i) { return View<Pixel>(output(i).data(), shape); };
  std::memset(static_cast<void*>(maps), 0, static_cast<std::size_t>(at_once * map_elements) * sizeof(Pixel));
  auto const run = [&](Index tile_x, Index tile_y, Index count) -> Result<void> {
    for (Index i = 0; i < count; ++i) {
      View<Pixel> const tile(input(i).data(), {shape.height, shape.width, channels_in});
      if (Result<void> const filled = fill(tile_x + i, tile_y, tile); !filled) return filled;
      extend(axis_x, axis_y, input(i));
    }
    auto const done = count > 1 ? run_at_once(model, context, tiling, memory, count, input, output)
                                : model.run(context, tiling.plan, {memory, static_cast<std::size_t>(tiling.plan.bytes)},
                                            input(0), output(0));
    for (Index i = 0; done && i < count; ++i) gather_tile(axis_x, axis_y, output(i));
    return done;
  };
  if (tiling.tiles() == 1) {
    if (auto const done = run(0, 0, 1); !done) return done;
    if (Result<void> const finished = finish(Index{0}, Index{0}, result(0)); !finished) return finished;
    return write(Index{0}, result(0));
  }

  // The sums of the rows to which later tiles contribute; `settled` is the first of these rows.
  Pixel* const sums = maps + 2 * at_once * map_elements;
  auto const bytes_of = [&](Index rows) { return static_cast<std::size_t>(rows * width * channels) * sizeof(Pixel); };
  auto const rows_of = [&](Index rows) { return View<Pixel>(sums, {rows, width, channels}, channels); };
  std::memset(static_cast<void*>(sums), 0, bytes_of(shape.height));
  Index settled = 0;
  for (Index tile_y = 0; tile_y < axis_y.count(); ++tile_y) {
    Index const end = axis_y.end(tile_y), next = axis_y.settled(tile_y);
    for (Index tile_x = 0, count, column = 0; tile_x < axis_x.count(); tile_x += count) {
      count = (std::min)(at_once, axis_x.count() - tile_x);
      if (auto const done = run(tile_x, tile_y, count); !done) return done;
      for (Index i = 0; i < count; ++i) {
        add_tile<Pixel>(context.parallel, result(i), axis_x, axis_y, tile_x + i, tile_y, settled,
                        rows_of(end - settled));
      }
      Index const end_column = axis_x.settled(tile_x + count - 1);
      View<Pixel> const final_part = crop(rows_of(next - settled), 0, column, next - settled, end_column - column);
      if (Result<void> const finished = finish(settled, column, final_part); !finished) return finished;
      column = end_column;
    }
    if (Result<void> const written = write(settled, rows_of(next - settled)); !written) return written;
    Index const kept = end - next;
    std::memmove(static_cast<void*>(sums), rows_of(end - settled).row(next - settled), bytes_of(kept));
    std::memset(static_cast<void*>(rows_of(shape.height).row(kept)), 0, bytes_of(shape.height - kept));
    settled = next;
  }
  return {};
}

}  // namespace detail

/// A run of a model over an image of any size in tiles, in memory for a few of its rows. The network's output has the
/// height and width of its input.
///
///     TileOptions const tile{.longest = 128, .overlap = 32, .margin = 8};
///     auto const run = TiledRun<Net>::plan(model, context, height, width, tile).value();
///     auto const done = run.compute(context, memory, read_rows, write_rows);
///
/// read_rows(first_row, rows) writes rows of the image into a View<Pixel>, and write_rows(first_row, rows) receives
/// rows of the result as a View<Pixel const>; both proceed from the first row to the last, each row once. From one
/// pixel to the next there are rows.pitch() elements, of which the first rows.channels() are the pixel's. Both return
/// Result<void>; an error ends the run, and compute() returns it.
template <Network Net>
class TiledRun {
  using T = typename Net::Scalar;

 public:
  using Config = typename Net::Config;
  using Pixel = typename Model<Net>::Pixel;

  /// The bytes of a run with these kernels, number of workers and algorithm, without a model: `run` is what bytes() of
  /// a plan returns, and the other members are those of Model::bytes_needed. A constant expression if `kernels` is one.
  /// Errors: as plan() and Model::bytes_needed.
  static constexpr Result<BytesNeeded> bytes_needed(Config const& config, Index height, Index width,
                                                    TileOptions const& tile, KernelTable<T> const& kernels,
                                                    Index workers = 1,
                                                    Algorithm algorithm = Algorithm::automatic) noexcept {
    if (auto const checked = check(config, height, width, tile); !checked) return checked.error();
    TileAxis const x = axis(config, width, tile), y = axis(config, height, tile);
    auto needed = Model<Net>::bytes_needed(config, y.seen(), x.seen(), kernels, workers, algorithm);
    if (!needed) return needed;
    auto const bytes = all_bytes(config, x, y, needed->run);
    if (!bytes) return too_large();
    needed->run = *bytes;
    return needed;
  }

  /// Plans a run over an image of this size, with this context's kernels and number of workers. The model must outlive
  /// the run. Errors: model, where the network's output has another size than its input; invalid_argument, as
  /// TileOptions::check; those of Model::plan for a tile; memory, where rows have more bytes than can be counted.
  static Result<TiledRun> plan(Model<Net> const& model, Context<T> const& context, Index height, Index width,
                               TileOptions const& tile = {}) noexcept {
    Config const& config = model.config();
    if (auto const checked = check(config, height, width, tile); !checked) return checked.error();
    TileAxis const x = axis(config, width, tile), y = axis(config, height, tile);
    auto const plan = model.plan(context, y.seen(), x.seen());
    if (!plan) return plan.error();
    auto const bytes = all_bytes(config, x, y, plan->bytes);
    if (!bytes) return too_large();
    return TiledRun(model, {x, y, *plan, *bytes});
  }

  /// The tiles, and the bytes of a run.
  Tiling<Config> const& tiling() const noexcept { return tiling_; }
  Index bytes() const noexcept { return tiling_.bytes; }

  /// Runs the model over all tiles. `memory` starts at a multiple of 64 and has at least bytes(). Allocates nothing if
  /// T is float or bfloat16. Errors: invalid_argument, where the context is not that of the plan; memory, where it is
  /// too little; cancelled; those of read_rows and write_rows.
  template <class Read, class Write>
  requires std::is_invocable_r_v<Result<void>, Read&, Index, View<Pixel>>&&
      std::is_invocable_r_v<Result<void>, Write&, Index, View<Pixel const>>
          Result<void> compute(Context<T>& context, std::span<std::byte> memory, Read&& read_rows,
                               Write&& write_rows) const noexcept {
    if (auto const checked = detail::check_memory(memory, bytes()); !checked) return checked;
    // The rows of the image from which tiles are cut are at the end of the memory.
    Index const channels = Net::channels_in(model_->config()), width = tiling_.x.size();
    Index const row = width * channels;
    auto* const kept = reinterpret_cast<Pixel*>(memory.data() + (bytes() - kept_bytes()));
    auto const fill = [&](Index tile_x, Index tile_y, View<Pixel> map) -> Result<void> {
      if (tiling_.tiles() == 1) return read_rows(Index{0}, map);
      Index const top = tiling_.y.first(tile_y);
      if (tile_x == 0) {
        Index const there = tile_y == 0 ? 0 : tiling_.y.end(tile_y - 1) - top;  // from the tiles above
        if (there > 0) std::memmove(kept, kept + (map.height() - there) * row, bytes_of(there * row));
        View<Pixel> const rows(kept + there * row, {map.height() - there, width, channels}, channels);
        if (Result<void> const read = read_rows(top + there, rows); !read) return read;
      }
      for (Index y = 0; y < map.height(); ++y) {
        Pixel const* from = kept + y * row + tiling_.x.first(tile_x) * channels;
        Pixel* to = map.row(y);
        for (Index x = 0; x < map.width(); ++x, from += channels, to += map.pitch()) std::copy_n(from, channels, to);
      }
      return {};
    };
    auto const leave = [](Index, Index, View<Pixel>) noexcept { return Result<void>(); };
    return detail::run_tiles(*model_, context, tiling_, memory.data(), fill, write_rows, leave);
  }

 private:
  TiledRun(Model<Net> const& model, Tiling<Config> const& tiling) noexcept : model_(&model), tiling_(tiling) {}

  static constexpr Result<void> check(Config const& config, Index height, Index width,
                                      TileOptions const& tile) noexcept {
    Shape const made = Net::output_shape(config, {height, width, Net::channels_in(config)});
    if (made.height != height || made.width != width) {
      return Error(ErrorCode::model, "the network's output has another size than its input: its tiles do not add up");
    }
    Index const step = Net::tile_step(config);
    if (auto const checked = tile.check(width, step); !checked) return checked;
    return tile.check(height, step);
  }

  static constexpr TileAxis axis(Config const& config, Index size, TileOptions const& tile) noexcept {
    return TileAxis::of_at_most(size, tile, Net::tile_step(config));
  }

  static constexpr std::optional<Index> all_bytes(Config const& config, TileAxis const& x, TileAxis const& y,
                                                  Index run_bytes) noexcept {
    Index const channels = Net::channels_in(config), made = Net::output_shape(config, {1, 1, channels}).channels;
    bool const several = x.count() > 1 || y.count() > 1;
    auto const kept = several ? detail::tile_rows_bytes<Pixel>(y.length(), x.size(), channels) : 0;
    return detail::tiles_bytes<Pixel>(x, y, channels, made, run_bytes, kept);
  }

  static Error too_large() noexcept {
    return Error(ErrorCode::memory, "the rows of tiles need more memory than can be addressed");
  }

  static std::size_t bytes_of(Index elements) noexcept { return static_cast<std::size_t>(elements) * sizeof(Pixel); }

  Index kept_bytes() const noexcept {
    if (tiling_.tiles() == 1) return 0;
    return tiling_.y.length() * tiling_.x.size() * Net::channels_in(model_->config()) *
           static_cast<Index>(sizeof(Pixel));
  }

  Model<Net> const* model_;
  Tiling<Config> tiling_;
};

}  // namespace mirnet::inline MIRNET_ABI

// Restores an image in one call, in tiles where it is larger than one or as a whole, or hands the result on row by row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/strength.hpp>
#include <mirnet/image/tiled_run.hpp>
#include <mirnet/image/transparency.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Errors: model, where the network does not take three channels.
template <Network Net>
Result<void> check_colours(Model<Net> const& model) noexcept {
  Index const channels = Net::channels_in(model.config());
  if (channels == 3) return {};
  return Error(ErrorCode::model, "the network is for images of %lld channels; expected 3",
               static_cast<long long>(channels));
}

/// On tiles of their own, workers do not wait for each other and share less of the caches: two took three quarters of
/// the time in fp32, and about as long in bf16. They take more memory: at most this much, beside pictures.
inline constexpr Index most_bytes_at_once = Index{640} << 20;

/// Errors: model, where the network does not take three channels; memory, where no memory could hold it.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiling(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                 Image const& image, TileAxis x, TileAxis y,
                                                 Index most_bytes = 0) noexcept {
  if (auto const checked = check_colours(model); !checked) return checked.error();
  auto const plan = model.plan(context, y.seen(), x.seen());
  if (!plan) return plan.error();
  Tiling<typename Net::Config> tiling{x, y, *plan};
  auto const more = static_cast<double>(image.bytes().size()) + bytes_to_see(image);
  auto const result =
      static_cast<Index>((std::min)(more, 0.5 * static_cast<double>((std::numeric_limits<Index>::max)())));
  auto const bytes = tiles_bytes<float>(x, y, 3, plan->bytes, result);
  if (!bytes) return Error(ErrorCode::memory, "the image and its tiles need more memory than can be addressed");
  tiling.bytes = *bytes;
  Index const workers = context.parallel.workers;
  if (workers > 1 && x.count() >= workers) {
    auto several = tiling;
    several.at_once = workers;
    auto const alone = model.plan(with_one_worker(context), y.seen(), x.seen());
    if (!alone) return alone.error();
    several.alone = *alone;
    auto const all = tiles_bytes<float>(x, y, 3, several.run_bytes(), result, workers);
    if (all && *all - result <= most_bytes_at_once && *all <= most_bytes) {
      several.bytes = *all;
      return several;
    }
  }
  return tiling;
}

/// One row of a map.
template <class T>
View<T> row_of(View<T> map, Index y) noexcept {
  return {map.row(y), {1, map.width(), map.channels()}, map.pitch()};
}

}  // namespace detail

/// The image as a whole. Errors: model, where the network does not take three channels; memory, where no memory could
/// hold the image.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_whole(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image) noexcept {
  return detail::plan_tiling(model, context, image, TileAxis(image.width(), 1), TileAxis(image.height(), 1));
}

/// Tiles of at most `longest` pixels in width and height. As many as the context has workers are computed at the same
/// time if that takes at most `most_bytes`; the result has the same bits. Errors: as above; invalid_argument, where
/// `longest` is less than `shortest_tile`.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiles(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image, Index longest = usual_tile,
                                                Index most_bytes = (std::numeric_limits<Index>::max)()) noexcept {
  if (longest < shortest_tile) {
    return Error(ErrorCode::invalid_argument, "tiles of %lld pixels are too small; expected %lld or more",
                 static_cast<long long>(longest), static_cast<long long>(shortest_tile));
  }
  Index const step = Net::tile_step(model.config());
  TileOptions const tile{.longest = longest, .overlap = round_up(tile_overlap, step)};
  for (Index const side : {image.width(), image.height()}) {
    if (auto const checked = tile.check(side, step); !checked) return checked.error();
  }
  return detail::plan_tiling(model, context, image, TileAxis::of_at_most(image.width(), tile, step),
                             TileAxis::of_at_most(image.height(), tile, step), most_bytes);
}

/// The largest `longest`, up to the one given, with which plan_tiles takes at most `bytes`, in steps of 64 pixels; 0
/// where not even the shortest tiles do. Errors: as plan_tiles.
template <Network Net>
Result<Index> longest_tile_within(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                  Image const& image, Index bytes, Index longest = usual_tile) noexcept {
  for (; longest >= shortest_tile; longest = (longest - 1) / 64 * 64) {
    auto const tiling = plan_tiles(model, context, image, longest, bytes);
    if (!tiling) return tiling.error();
    if (tiling->bytes <= bytes) return longest;
  }
  return 0;
}

/// Hands on the restored image row by row, from the first to the last, each once: write(first_row, rows) receives
/// colours in three channels, not yet clamped to [0, 1], as a View<float const>, and returns Result<void>; an error
/// ends the run. Where the image is fully transparent, the colours stay as they are and the network does not see them
/// (transparency.hpp). Allocates the memory that it needs and frees it. T is float or bfloat16. Errors:
/// invalid_argument, where the tiling was made for another image, model or context; model, where the network does not
/// take three channels; memory; cancelled; those of `write`.
template <Network Net, class Write>
requires std::is_invocable_r_v<Result<void>, Write&, Index, View<float const>> Result<void> restore_rows(
    Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context,
    Tiling<typename Net::Config> const& tiling, Strength strength, Write&& write) noexcept {
  if (tiling.x.size() != image.width() || tiling.y.size() != image.height()) {
    return Error(ErrorCode::invalid_argument, "the tiles are for an image of %lld x %lld pixels, this has %lld x %lld",
                 static_cast<long long>(tiling.x.size()), static_cast<long long>(tiling.y.size()),
                 static_cast<long long>(image.width()), static_cast<long long>(image.height()));
  }
  if (auto const checked = detail::check_colours(model); !checked) return checked;
  auto const bytes = detail::tiles_bytes<float>(tiling.x, tiling.y, 3, tiling.run_bytes(), 0, tiling.at_once);
  if (!bytes) return Error(ErrorCode::memory, "the tiles need more memory than can be addressed");
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  auto const filled = image.has_alpha() ? with_hidden_filled(image) : Result<Image>(Image());
  if (!filled) return filled.error();
  Image const& seen = image.has_alpha() ? *filled : image;
  auto const fill = [&](Index tile_x, Index tile_y, View<float> map) -> Result<void> {
    context.parallel(map.height(), [&](Index y, Index) {
      to_map(seen, tiling.y.first(tile_y) + y, tiling.x.first(tile_x), detail::row_of(map, y));
    });
    return {};
  };
  auto const soften = [&](Index first_row, View<float> rows) -> Result<void> {
    context.parallel(rows.height(), [&](Index y, Index) {
      detail::soften(seen, first_row + y, strength, detail::row_of(rows, y));
      detail::put_hidden(image, first_row + y, detail::row_of(rows, y));
    });
    return write(first_row, View<float const>(rows));
  };
  return detail::run_tiles(model, context, tiling, memory->bytes().data(), fill, soften);
}

/// The restored image, with the size, the channels, the sample type and the alpha of `image`. Errors: as restore_rows.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context,
                      Tiling<typename Net::Config> const& tiling, Strength strength = {}) noexcept {
  auto restored = colourless_copy(image);
  if (!restored) return restored;
  auto const write = [&](Index first_row, View<float const> rows) -> Result<void> {
    context.parallel(rows.height(),
                     [&](Index y, Index) { put_rows(detail::row_of(rows, y), *restored, first_row + y); });
    return {};
  };
  auto const done = restore_rows(model, image, context, tiling, strength, write);
  if (!done) return done.error();
  return restored;
}

/// The same, in the tiles that plan_tiles makes unless it is told otherwise. Errors: model, where the network does not
/// take three channels; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context) noexcept {
  auto const tiling = plan_tiles(model, context, image);
  return tiling ? restore(model, image, context, *tiling) : Result<Image>(tiling.error());
}

}  // namespace mirnet::inline MIRNET_ABI

// Restores an image in one call: as a whole, or in tiles where the whole would take too much memory.
#pragma once

#include <cstdint>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/strength.hpp>
#include <mirnet/image/tiled_run.hpp>
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

/// Errors: model, where the network does not take three channels; memory, where no memory could hold it.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiling(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                 Image const& image, TileAxis x, TileAxis y) noexcept {
  if (auto const checked = check_colours(model); !checked) return checked.error();
  auto const plan = model.plan(context, y.length(), x.length());
  if (!plan) return plan.error();
  auto const result = static_cast<Index>(image.bytes().size());
  auto const bytes = tiles_bytes<float>(x, y, 3, plan->bytes, result);
  if (!bytes) return Error(ErrorCode::memory, "the image and its tiles need more memory than can be addressed");
  return Tiling<typename Net::Config>{x, y, *plan, *bytes};
}

}  // namespace detail

/// The image as a whole. Errors: model, where the network does not take three channels; memory, where no memory could
/// hold the image.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_whole(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image) noexcept {
  return detail::plan_tiling(model, context, image, TileAxis(image.width(), 1), TileAxis(image.height(), 1));
}

/// Tiles of at most `longest` pixels in width and height. Errors: as above; invalid_argument, where `longest` is less
/// than `shortest_tile`.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiles(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image, Index longest) noexcept {
  if (longest < shortest_tile) {
    return Error(ErrorCode::invalid_argument, "tiles of %lld pixels are too small; expected %lld or more",
                 static_cast<long long>(longest), static_cast<long long>(shortest_tile));
  }
  Index const step = Net::tile_step(model.config());
  TileOptions const tile{.longest = longest};
  for (Index const side : {image.width(), image.height()}) {
    if (auto const checked = tile.check(side, step); !checked) return checked.error();
  }
  return detail::plan_tiling(model, context, image, TileAxis::of_at_most(image.width(), tile, step),
                             TileAxis::of_at_most(image.height(), tile, step));
}

/// The image as a whole if that takes at most `bytes`, otherwise the largest tiles that do. Errors: as above; memory,
/// where the smallest tiles take more.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_within(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                 Image const& image, Index bytes) noexcept {
  Index const step = Net::tile_step(model.config());
  TileAxis x(image.width(), 1, step), y(image.height(), 1, step);
  for (;;) {
    auto const tiling = detail::plan_tiling(model, context, image, x, y);
    if (!tiling || tiling->bytes <= bytes) return tiling;
    TileAxis& longer = x.length() >= y.length() ? x : y;
    if (longer.length() <= shortest_tile) {
      return Error(ErrorCode::memory,
                   "%lld x %lld pixels need %.0f MiB of memory even in the smallest tiles, and %.0f MiB may be used",
                   static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                   static_cast<double>(tiling->bytes) / (1 << 20), static_cast<double>(bytes) / (1 << 20));
    }
    longer = longer.with_one_more();
  }
}

/// The restored image, with the size, the channels, the sample type and the alpha of `image`. Allocates the memory that
/// it needs and frees it. T is float or bfloat16. Errors: invalid_argument, where the tiling was made for another
/// image, model or context; model, where the network does not take three channels; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context,
                      Tiling<typename Net::Config> const& tiling, Strength strength = {}) noexcept {
  if (tiling.x.size() != image.width() || tiling.y.size() != image.height()) {
    return Error(ErrorCode::invalid_argument, "the tiles are for an image of %lld x %lld pixels, this has %lld x %lld",
                 static_cast<long long>(tiling.x.size()), static_cast<long long>(tiling.y.size()),
                 static_cast<long long>(image.width()), static_cast<long long>(image.height()));
  }
  if (auto const checked = detail::check_colours(model); !checked) return checked.error();
  auto restored = colourless_copy(image);
  if (!restored) return restored;
  auto const bytes = detail::tiles_bytes<float>(tiling.x, tiling.y, 3, tiling.plan.bytes);
  if (!bytes) return Error(ErrorCode::memory, "the tiles need more memory than can be addressed");
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  auto const fill = [&](Index tile_x, Index tile_y, View<float> map) -> Result<void> {
    to_map(image, tiling.y.first(tile_y), tiling.x.first(tile_x), map);
    return {};
  };
  auto const write = [&](Index first_row, View<float> rows) -> Result<void> {
    detail::soften(image, first_row, strength, rows);
    put_rows(rows, *restored, first_row);
    return {};
  };
  auto const done = detail::run_tiles(model, context, tiling, memory->bytes().data(), fill, write);
  if (!done) return done.error();
  return restored;
}

/// The same, as a whole. Errors: model, where the network does not take three channels; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context) noexcept {
  auto const tiling = plan_whole(model, context, image);
  return tiling ? restore(model, image, context, *tiling) : Result<Image>(tiling.error());
}

}  // namespace mirnet::inline MIRNET_ABI

// Restores an image in one call, in tiles where it is larger than one or as a whole, or hands the result on row by row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/strength.hpp>
#include <mirnet/image/tiled_run.hpp>
#include <mirnet/image/transparency.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/memory.hpp>

namespace mirnet::inline MIRNET_ABI {

/// What a network sees: an image in three channels, or, where it has six, the left and the right view of a scene, as
/// the two halves of a camera's lens see it. Results belong to the left view. The images outlive this.
struct Views {
  Views(ImageView image) noexcept : left(image) {}
  Views(Image const& image, Image const* right_view = nullptr) noexcept : left(image) {
    if (right_view != nullptr) right = *right_view;
  }
  Views(ImageView image, std::optional<ImageView> const& right_view) noexcept : left(image), right(right_view) {}

  ImageView left;
  std::optional<ImageView> right;  ///< nothing: there is one image
};

namespace detail {

/// How many views a network takes, 1 or 2. Errors: model, where it has other channels than three for each of them and
/// three for the result.
template <Network Net>
Result<Index> views_of(Model<Net> const& model) noexcept {
  Index const in = Net::channels_in(model.config());
  Index const out = Net::output_shape(model.config(), {1, 1, in}).channels;
  if (out == 3 && (in == 3 || in == 6)) return in / 3;
  return Error(ErrorCode::model, "the network is for images of %lld channels; expected 3", static_cast<long long>(in));
}

/// Errors: as views_of; model, where the network takes another number of views; invalid_argument, where one is larger.
template <Network Net>
Result<void> check_views(Model<Net> const& model, Views const& views) noexcept {
  auto const taken = views_of(model);
  if (!taken) return taken.error();
  Index const given = views.right ? 2 : 1;
  if (*taken != given) {
    return Error(ErrorCode::model, "the network takes %lld view%s of a scene, and was given %lld",
                 static_cast<long long>(*taken), *taken == 1 ? "" : "s", static_cast<long long>(given));
  }
  ImageView const &left = views.left, &right = views.right ? *views.right : left;
  if (left.width() == right.width() && left.height() == right.height()) return {};
  return Error(ErrorCode::invalid_argument, "the left view has %lld x %lld pixels, the right one %lld x %lld",
               static_cast<long long>(left.width()), static_cast<long long>(left.height()),
               static_cast<long long>(right.width()), static_cast<long long>(right.height()));
}

/// The bytes of the copies of views with alpha. Errors: memory.
inline Result<Index> bytes_to_see(Views const& views) noexcept {
  std::optional<Index> sum = 0;
  for (auto const& view : {std::optional(views.left), views.right}) {
    if (!view || !view->has_alpha()) continue;
    auto const bytes = FilledBytes::of(*view);
    if (!bytes) return bytes.error();
    sum = sum ? checked_sum(*sum, bytes->sum()) : sum;
  }
  if (!sum) return Error(ErrorCode::memory, "transparent images need more memory than can be addressed");
  return *sum;
}

/// The bytes that restoring takes beside the images: for the tiles, which views with alpha follow, and in all.
struct RestoringBytes {
  Index tiles, all;

  /// Errors: memory, where no memory could hold them.
  template <Network Net>
  static Result<RestoringBytes> of(Model<Net> const& model, Tiling<typename Net::Config> const& tiling,
                                   Views const& views) noexcept {
    auto const seen = bytes_to_see(views);
    if (!seen) return seen.error();
    auto const tiles = tiles_bytes<float>(tiling.x, tiling.y, Net::channels_in(model.config()), 3, tiling.run_bytes(),
                                          alignment_bytes - 1, tiling.at_once);
    auto const all = tiles ? checked_sum(*tiles, *seen) : std::nullopt;
    if (!all) return Error(ErrorCode::memory, "the tiles need more memory than can be addressed");
    return RestoringBytes{*tiles / alignment_bytes * alignment_bytes, *all};
  }
};

/// On tiles of their own, workers do not wait for each other and share less of the caches: two took three quarters of
/// the time in fp32, and about as long in bf16. They take more memory: at most this much, beside pictures.
inline constexpr Index most_bytes_at_once = Index{640} << 20;

/// Errors: as views_of; memory, where no memory could hold it.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiling(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                 ImageView image, TileAxis x, TileAxis y,
                                                 Index most_bytes = 0) noexcept {
  auto const views = views_of(model);
  if (!views) return views.error();
  auto const plan = model.plan(context, y.seen(), x.seen());
  if (!plan) return plan.error();
  Tiling<typename Net::Config> tiling{x, y, *plan};
  auto const seen = *views == 2 ? bytes_to_see({image, image}) : bytes_to_see(image);
  if (!seen) return seen.error();
  auto const more =
      static_cast<double>(image.height()) * static_cast<double>(image.row_bytes()) + static_cast<double>(*seen);
  auto const result =
      static_cast<Index>((std::min)(more, 0.5 * static_cast<double>((std::numeric_limits<Index>::max)())));
  auto const bytes = tiles_bytes<float>(x, y, 3 * *views, 3, plan->bytes, result);
  if (!bytes) return Error(ErrorCode::memory, "the image and its tiles need more memory than can be addressed");
  tiling.bytes = *bytes;
  Index const workers = context.parallel.workers;
  if (workers > 1 && x.count() >= workers) {
    auto several = tiling;
    several.at_once = workers;
    auto const alone = model.plan(with_one_worker(context), y.seen(), x.seen());
    if (!alone) return alone.error();
    several.alone = *alone;
    auto const all = tiles_bytes<float>(x, y, 3 * *views, 3, several.run_bytes(), result, workers);
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

/// The image, or each of two views, as a whole. Errors: model, where the network does not take three channels for each
/// view and give three; memory, where no memory could hold the image.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_whole(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                ImageView image) noexcept {
  return detail::plan_tiling(model, context, image, TileAxis(image.width(), 1), TileAxis(image.height(), 1));
}

/// Tiles of at most `longest` pixels in width and height. As many as the context has workers are computed at the same
/// time if that takes at most `most_bytes`; the result has the same bits. Errors: as above; invalid_argument, where
/// `longest` is less than `shortest_tile`.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiles(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                ImageView image, Index longest = usual_tile,
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

/// The largest `longest`, up to the one given, with which plan_tiles takes at most `bytes`, in steps of 64 pixels (from
/// 8192 pixels on, of a 64th); 0 where not even the shortest tiles do. Errors: as plan_tiles.
template <Network Net>
Result<Index> longest_tile_within(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                  ImageView image, Index bytes, Index longest = usual_tile) noexcept {
  // A tile that is longer than the image is as long as it.
  longest = (std::min)(longest, (std::max)({image.width(), image.height(), shortest_tile}));
  while (longest >= shortest_tile) {
    auto const tiling = plan_tiles(model, context, image, longest, bytes);
    if (!tiling) return tiling.error();
    if (tiling->bytes <= bytes) return longest;
    Index const step = (std::max<Index>)(longest / 4096, 1) * 64;
    longest = (longest - 1) / step * step;
  }
  return 0;
}

namespace detail {

/// Restores in tiles. finish(y, x, map) receives rectangles of the result that are final, row of tiles by row of tiles
/// from left to right; write(first_row, rows) receives whole rows. `memory` is RestoringBytes::all of it.
template <Network Net, class Write, class Finish>
Result<void> restore_in(std::byte* memory, RestoringBytes const& bytes, Model<Net> const& model, Views const& views,
                        Context<typename Net::Scalar>& context, Tiling<typename Net::Config> const& tiling,
                        Strength strength, Write&& write, Finish&& finish) noexcept {
  std::byte* next = memory + bytes.tiles;
  auto const see = [&](ImageView image) -> Result<ImageView> {
    if (!image.has_alpha()) return image;
    auto const filled = FilledBytes::of(image);
    if (!filled) return filled.error();
    return seen_of(image, std::exchange(next, next + filled->sum()), *filled);
  };
  auto const left = see(views.left), right = see(views.right.value_or(ImageView()));
  if (!left) return left.error();
  if (!right) return right.error();
  auto const fill = [&](Index tile_x, Index tile_y, View<float> map) -> Result<void> {
    Index const first_row = tiling.y.first(tile_y), first_column = tiling.x.first(tile_x);
    context.parallel(map.height(), [&](Index y, Index) {
      // Three channels for each view.
      auto const put = [&](ImageView from, Index channel) {
        to_map(from, first_row + y, first_column, {map.row(y) + channel, {1, map.width(), 3}, map.pitch()});
      };
      put(*left, 0);
      if (views.right) put(*right, 3);
    });
    return {};
  };
  auto const soften_and_finish = [&](Index first_row, Index first_column, View<float> map) -> Result<void> {
    context.parallel(map.height(), [&](Index y, Index) {
      detail::soften(*left, first_row + y, first_column, strength, row_of(map, y));
      detail::put_hidden(views.left, first_row + y, first_column, row_of(map, y));
    });
    return finish(first_row, first_column, View<float const>(map));
  };
  return run_tiles(model, context, tiling, memory, fill, write, soften_and_finish);
}

/// Whether these views can be restored so. Errors: invalid_argument; model.
template <Network Net>
Result<void> check_restoring(Model<Net> const& model, Views const& views,
                             Tiling<typename Net::Config> const& tiling) noexcept {
  if (tiling.x.size() != views.left.width() || tiling.y.size() != views.left.height()) {
    return Error(ErrorCode::invalid_argument, "the tiles are for an image of %lld x %lld pixels, this has %lld x %lld",
                 static_cast<long long>(tiling.x.size()), static_cast<long long>(tiling.y.size()),
                 static_cast<long long>(views.left.width()), static_cast<long long>(views.left.height()));
  }
  return check_views(model, views);
}

inline constexpr auto ignore_rectangle = [](Index, Index, View<float const>) noexcept { return Result<void>(); };

}  // namespace detail

/// Hands on the restored image row by row, from the first to the last, each once: write(first_row, rows) receives
/// colours in three channels, not yet clamped to [0, 1], as a View<float const>, and returns Result<void>; an error
/// ends the run. Where the image is fully transparent, the colours stay as they are and the network does not see them
/// (transparency.hpp). Allocates the memory that it needs and frees it. T is float or bfloat16. Errors:
/// invalid_argument, where the tiling was made for another image, model or context, or the views differ in size; model,
/// where the network takes other channels, or another number of views; memory; cancelled; those of `write`.
template <Network Net, class Write>
requires std::is_invocable_r_v<Result<void>, Write&, Index, View<float const>> Result<void> restore_rows(
    Model<Net> const& model, Views views, Context<typename Net::Scalar>& context,
    Tiling<typename Net::Config> const& tiling, Strength strength, Write&& write) noexcept {
  if (auto const checked = detail::check_restoring(model, views, tiling); !checked) return checked;
  auto const bytes = detail::RestoringBytes::of(model, tiling, views);
  if (!bytes) return bytes.error();
  auto const memory = Memory::allocate(bytes->all);
  if (!memory) return memory.error();
  return detail::restore_in(memory->bytes().data(), *bytes, model, views, context, tiling, strength, write,
                            detail::ignore_rectangle);
}

/// The bytes that restore_into works in: fewer than tiling.bytes, which count a result as well. Of the views, only the
/// formats count. Errors: memory, where no memory could hold them.
template <Network Net>
Result<Index> restoring_bytes(Model<Net> const& model, Views const& views,
                              Tiling<typename Net::Config> const& tiling) noexcept {
  auto const bytes = detail::RestoringBytes::of(model, tiling, views);
  if (!bytes) return bytes.error();
  return bytes->all;
}

/// Writes the restored image to `output`, which has the format of the left view and does not overlap it, and copies its
/// alpha. finished(y, x, height, width) is called in the caller's thread when a rectangle has its final samples; the
/// rectangles cover every pixel exactly once. `memory` starts at a multiple of 64 and has at least restoring_bytes.
/// Allocates nothing. Errors: as restore_rows; memory, where it is too little.
template <Network Net, class Finished>
Result<void> restore_into(Model<Net> const& model, Views views, Context<typename Net::Scalar>& context,
                          Tiling<typename Net::Config> const& tiling, Strength strength, std::span<std::byte> memory,
                          MutableImageView output, Finished&& finished) noexcept {
  if (auto const checked = detail::check_restoring(model, views, tiling); !checked) return checked;
  auto const bytes = detail::RestoringBytes::of(model, tiling, views);
  if (!bytes) return bytes.error();
  if (auto const checked = detail::check_memory(memory, bytes->all); !checked) return checked;
  MIRNET_ASSERT(output.width() == views.left.width() && output.height() == views.left.height() &&
                output.channels() == views.left.channels() && output.type() == views.left.type());
  auto const put = [&](Index y, Index x, View<float const> map) -> Result<void> {
    context.parallel(map.height(), [&](Index row, Index) {
      detail::copy_alpha(views.left, output, y + row, x, map.width());
      put_rows(detail::row_of(map, row), output, y + row, x);
    });
    finished(y, x, map.height(), map.width());
    return {};
  };
  auto const ignore_rows = [](Index, View<float const>) noexcept { return Result<void>(); };
  return detail::restore_in(memory.data(), *bytes, model, views, context, tiling, strength, ignore_rows, put);
}

/// The restored image, with the size, the channels, the sample type and the alpha of the left view. Errors: as
/// restore_rows.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Views views, Context<typename Net::Scalar>& context,
                      Tiling<typename Net::Config> const& tiling, Strength strength = {}) noexcept {
  auto restored = Image::create(views.left.width(), views.left.height(), views.left.channels(), views.left.type());
  if (!restored) return restored;
  auto const bytes = restoring_bytes(model, views, tiling);
  if (!bytes) return bytes.error();
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  auto const done = restore_into(model, views, context, tiling, strength, memory->bytes(), *restored,
                                 [](Index, Index, Index, Index) noexcept {});
  if (!done) return done.error();
  return restored;
}

/// The same, in the tiles that plan_tiles makes unless it is told otherwise. Errors: model, where the network takes
/// other channels or another number of views; invalid_argument, where views differ in size; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Views views, Context<typename Net::Scalar>& context) noexcept {
  auto const tiling = plan_tiles(model, context, views.left);
  return tiling ? restore(model, views, context, *tiling) : Result<Image>(tiling.error());
}

}  // namespace mirnet::inline MIRNET_ABI

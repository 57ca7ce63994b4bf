// An image through the network in one call: as a whole, or in tiles where its memory would be too much.
#pragma once

#include <cstring>
#include <optional>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/tiles.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/tensor.hpp>

namespace mirnet::inline MIRNET_ABI {

/// How an image of one size is restored.
template <class Config>
struct Tiling {
  TileAxis x, y;
  Plan<Config> plan;  ///< of one tile: all are equally large
  Index bytes = 0;    ///< that `restore` takes while it runs, with what it returns

  Index tiles() const noexcept { return x.count() * y.count(); }
  /// Multiply-accumulates of all tiles: more than the image has by itself, as tiles overlap.
  std::uint64_t macs() const noexcept { return plan.macs * static_cast<std::uint64_t>(tiles()); }
};

/// How much of what the network takes away is taken away, of brightness and of colour: 0 leaves the image as it is, 1
/// is all. Photographers keep some of the grain in the brightness and none of the blotches of colour.
struct Strength {
  float brightness = 1.0f;
  float colour = 1.0f;
  bool operator==(Strength const&) const = default;
};

namespace detail {

/// Moves restored rows of an image back towards what they were. Brightness is that of ITU-R BT.601.
inline void soften(Image const& image, Index first_row, Strength strength, View<float> rows) noexcept {
  if (strength == Strength{}) return;
  image.visit([&](auto samples) {
    auto const* from = samples.data() + first_row * image.width() * image.channels();
    float* to = rows.data();
    for (Index i = 0; i < rows.pixels(); ++i, from += image.channels(), to += rows.pitch()) {
      auto const before = unit_colours(from, image.colours());
      float const change[] = {to[0] - before[0], to[1] - before[1], to[2] - before[2]};
      float const brightness = 0.299f * change[0] + 0.587f * change[1] + 0.114f * change[2];
      for (std::size_t c = 0; c < 3; ++c) {
        to[c] = before[c] + strength.colour * (change[c] - brightness) + strength.brightness * brightness;
      }
    }
  });
}

/// Bytes of rows of an image that tiles add up to, three floats a pixel; nothing where an Index cannot hold them.
constexpr std::optional<Index> tile_rows_bytes(Index rows, Index width) noexcept {
  auto const pixels = checked_product(rows, width);
  return pixels ? checked_product(*pixels, 3 * static_cast<Index>(sizeof(float))) : std::nullopt;
}
inline View<float> tile_rows(float* memory, Index rows, Index width) noexcept { return {memory, {rows, width, 3}, 3}; }

/// Errors: model, where the network is not one for three channels; memory, where no memory could hold it.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiling(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                 Image const& image, TileAxis x, TileAxis y) noexcept {
  if (Index const channels = Net::channels_in(model.config()); channels != 3) {
    return Error(ErrorCode::model, "the network is for images of %lld channels; expected 3",
                 static_cast<long long>(channels));
  }
  auto const plan = model.plan(context, y.length(), x.length());
  if (!plan) return plan.error();
  Tiling<typename Net::Config> tiling{x, y, *plan};
  // Input and output of a tile, the rows that tiles share, and the result.
  auto const map = map_bytes<float>({y.length(), x.length(), 3});
  auto const rows = tiling.tiles() > 1 ? tile_rows_bytes(y.length(), image.width()) : 0;
  std::optional<Index> bytes = plan->bytes;
  for (auto const more : {map, map, rows, std::optional(static_cast<Index>(image.bytes().size()))}) {
    bytes = bytes && more ? checked_sum(*bytes, *more) : std::nullopt;
  }
  if (!bytes) return Error(ErrorCode::memory, "the image and its tiles need more memory than can be addressed");
  tiling.bytes = *bytes;
  return tiling;
}

/// Adds a tile's part of rows [first_row, end of the tile) to the rows, of which first_row is the first.
template <class Config>
void add_tile(ParallelFor const& parallel, View<float const> tile, Tiling<Config> const& tiling, Index tile_x,
              Index tile_y, Index first_row, View<float> rows) noexcept {
  Index const left = tiling.x.first(tile_x), top = tiling.y.first(tile_y);
  parallel(top + tile.height() - first_row, [&](Index row, Index) {
    Index const y = first_row + row;
    float const part_y = tiling.y.weight(tile_y, y);
    float const* from = tile.row(y - top);
    float* to = rows.pixel(row, left);
    for (Index x = left; x < left + tile.width(); ++x, from += tile.pitch(), to += rows.pitch()) {
      float const part = part_y * tiling.x.weight(tile_x, x);
      for (Index c = 0; c < 3; ++c) to[c] += part * from[c];
    }
  });
}

}  // namespace detail

/// The image as a whole. Errors: model, where the network is not one for three channels; memory, where no memory could
/// hold the image.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_whole(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image) noexcept {
  return detail::plan_tiling(model, context, image, TileAxis(image.width(), 1), TileAxis(image.height(), 1));
}

/// Tiles of at most `longest` pixels in width and height. Errors: as above; invalid_argument, where that is less than
/// `shortest_tile`.
template <Network Net>
Result<Tiling<typename Net::Config>> plan_tiles(Model<Net> const& model, Context<typename Net::Scalar> const& context,
                                                Image const& image, Index longest) noexcept {
  if (longest < shortest_tile) {
    return Error(ErrorCode::invalid_argument, "tiles of %lld pixels are too small; expected %lld or more",
                 static_cast<long long>(longest), static_cast<long long>(shortest_tile));
  }
  Index const step = Net::tile_step(model.config());
  return detail::plan_tiling(model, context, image, TileAxis::of_at_most(image.width(), longest, step),
                             TileAxis::of_at_most(image.height(), longest, step));
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

/// The restored image, with the size, the channels, the sample type and the alpha of the one given. Takes the memory
/// that it needs and gives it back. T is float or bfloat16. Errors: invalid_argument, where the tiling is another
/// image's or context's; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context,
                      Tiling<typename Net::Config> const& tiling, Strength strength = {}) noexcept {
  if (tiling.x.size() != image.width() || tiling.y.size() != image.height()) {
    return Error(ErrorCode::invalid_argument, "the tiles are for an image of %lld x %lld pixels, this has %lld x %lld",
                 static_cast<long long>(tiling.x.size()), static_cast<long long>(tiling.y.size()),
                 static_cast<long long>(image.width()), static_cast<long long>(image.height()));
  }
  Shape const shape{tiling.y.length(), tiling.x.length(), 3};
  auto restored = colourless_copy(image);
  if (!restored) return restored;
  auto input = Tensor<float>::create(shape);
  if (!input) return input.error();
  auto output = Tensor<float>::create(shape);
  if (!output) return output.error();
  auto const memory = Memory::allocate(tiling.plan.bytes);
  if (!memory) return memory.error();
  auto const run = [&](Index tile_x, Index tile_y) {
    to_map(image, tiling.y.first(tile_y), tiling.x.first(tile_x), input->view());
    return model.run(context, tiling.plan, memory->bytes(), input->view(), output->view());
  };
  if (tiling.tiles() == 1) {
    auto const done = run(0, 0);
    if (!done) return done.error();
    detail::soften(image, 0, strength, output->view());
    put_rows(output->view(), *restored, 0);
    return restored;
  }

  // Rows that are not settled yet, `settled` the first of them.
  auto const rows_bytes = detail::tile_rows_bytes(shape.height, image.width());
  if (!rows_bytes) return Error(ErrorCode::memory, "the rows of a tile need more memory than can be addressed");
  auto const rows_memory = Memory::allocate(*rows_bytes);
  if (!rows_memory) return rows_memory.error();
  auto* const rows = reinterpret_cast<float*>(rows_memory->bytes().data());
  std::memset(rows, 0, rows_memory->bytes().size());
  Index settled = 0;
  for (Index tile_y = 0; tile_y < tiling.y.count(); ++tile_y) {
    Index const end = tiling.y.first(tile_y) + shape.height, next = tiling.y.settled(tile_y);
    for (Index tile_x = 0; tile_x < tiling.x.count(); ++tile_x) {
      auto const done = run(tile_x, tile_y);
      if (!done) return done.error();
      detail::add_tile(context.parallel, output->view(), tiling, tile_x, tile_y, settled,
                       detail::tile_rows(rows, end - settled, image.width()));
    }
    auto const done = detail::tile_rows(rows, next - settled, image.width());
    detail::soften(image, settled, strength, done);
    put_rows(done, *restored, settled);
    Index const row = image.width() * 3, kept = (end - next) * row;
    std::memmove(rows, rows + (next - settled) * row, static_cast<std::size_t>(kept) * sizeof(float));
    std::memset(rows + kept, 0, rows_memory->bytes().size() - static_cast<std::size_t>(kept) * sizeof(float));
    settled = next;
  }
  return restored;
}

/// The same, as a whole. Errors: model, where the network is not one for three channels; memory; cancelled.
template <Network Net>
Result<Image> restore(Model<Net> const& model, Image const& image, Context<typename Net::Scalar>& context) noexcept {
  auto const tiling = plan_whole(model, context, image);
  return tiling ? restore(model, image, context, *tiling) : Result<Image>(tiling.error());
}

}  // namespace mirnet::inline MIRNET_ABI

// Images larger than the memory: rows come in and go out in order, each once; the bits are those of tiles that are run
// and summed by hand; nothing is allocated; and the memory is as planned.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <mirnet/image/restore.hpp>
#include <mirnet/image/tiled_run.hpp>
#include <mirnet/kernels/reference.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/allocations.hpp"
#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"
#include "support/text.hpp"

using namespace mirnet;

namespace {

constexpr TileOptions small_tiles{.longest = 48, .overlap = 8, .margin = 2};

/// The caller of a run: supplies the rows of an image, keeps those of the result, and checks that both come in order
/// and once.
template <class Pixel>
class RowsOf {
 public:
  explicit RowsOf(View<Pixel const> image)
      : image_(image), result_(Tensor<Pixel>::create(image.shape()).value()), errors_() {}

  Result<void> read(Index first_row, View<Pixel> rows) {
    check("read", first_row, read_, rows.shape());
    for (Index y = 0; y < rows.height(); ++y) {
      for (Index x = 0; x < rows.width(); ++x) {
        for (Index c = 0; c < rows.channels(); ++c) rows(y, x, c) = image_(first_row + y, x, c);
      }
    }
    read_ += rows.height();
    return {};
  }
  Result<void> write(Index first_row, View<Pixel const> rows) {
    check("written", first_row, written_, rows.shape());
    if (first_row + rows.height() > read_) errors_ += "rows are written before they are read\n";
    for (Index y = 0; y < rows.height(); ++y) {
      for (Index x = 0; x < rows.width(); ++x) {
        for (Index c = 0; c < rows.channels(); ++c) result_.view()(first_row + y, x, c) = rows(y, x, c);
      }
    }
    written_ += rows.height();
    return {};
  }

  /// What went wrong, including a run that did not reach its end.
  std::string errors() const {
    if (read_ == image_.height() && written_ == image_.height()) return errors_;
    return errors_ + std::to_string(read_) + " rows were read, " + std::to_string(written_) + " written\n";
  }
  View<Pixel const> result() const { return result_.view(); }

 private:
  void check(char const* what, Index first_row, Index expected, Shape rows) {
    if (first_row != expected || rows.height < 1 || first_row + rows.height > image_.height() ||
        rows.width != image_.width() || rows.channels != image_.channels()) {
      errors_ += "rows " + std::to_string(first_row) + " to " + std::to_string(first_row + rows.height) + " are " +
                 what + " after " + std::to_string(expected) + "\n";
    }
  }

  View<Pixel const> image_;
  Tensor<Pixel> result_;
  std::string errors_;
  Index read_ = 0, written_ = 0;
};

/// The result of a run in memory of exactly the bytes that the run needs, filled with NaN.
template <Network Net>
Tensor<typename Model<Net>::Pixel> tiled(Model<Net> const& model, Context<typename Net::Scalar>& context,
                                         View<typename Model<Net>::Pixel const> image, TileOptions const& tile) {
  using Pixel = typename Model<Net>::Pixel;
  auto const run = TiledRun<Net>::plan(model, context, image.height(), image.width(), tile).value();
  auto const needed = TiledRun<Net>::bytes_needed(model.config(), image.height(), image.width(), tile, *context.kernels,
                                                  context.parallel.workers, context.algorithm)
                          .value();
  CHECK(needed.run == run.bytes());
  CHECK(needed.model == model.bytes());
  auto const memory = Memory::allocate(run.bytes() + 4096).value();
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
  RowsOf<Pixel> rows(image);
  run.compute(
         context, memory.bytes().first(static_cast<std::size_t>(run.bytes())),
         [&](Index first, View<Pixel> some) { return rows.read(first, some); },
         [&](Index first, View<Pixel const> some) { return rows.write(first, some); })
      .value();
  CHECK(rows.errors() == "");
  bool untouched = true;
  for (auto const byte : memory.bytes().subspan(static_cast<std::size_t>(run.bytes()))) {
    untouched &= byte == std::byte{0xFF};
  }
  CHECK(untouched);
  auto result = Tensor<Pixel>::create(image.shape()).value();
  for (Index y = 0; y < image.height(); ++y) {
    for (Index x = 0; x < image.width(); ++x) {
      for (Index c = 0; c < image.channels(); ++c) result.view()(y, x, c) = rows.result()(y, x, c);
    }
  }
  return result;
}

/// A pixel of a line of `size` pixels that goes on, at both ends, with its mirror images, or with its last pixel.
Index continued_pixel(Index i, Index size) {
  if (size < 10) return i < 0 ? 0 : i >= size ? size - 1 : i;
  while (i < 0 || i >= size) i = i < 0 ? -1 - i : 2 * size - 1 - i;
  return i;
}

/// Tiles that are cut out, mirrored where the image is small, run and added up one by one.
template <class T>
Tensor<Accumulator<T>> by_hand(Model<Mirnet<T>> const& model, Context<T>& context, View<Accumulator<T> const> image,
                               TileOptions const& tile) {
  using Pixel = Accumulator<T>;
  Index const step = Mirnet<T>::tile_step(model.config());
  auto const x_axis = TileAxis::of_at_most(image.width(), tile, step),
             y_axis = TileAxis::of_at_most(image.height(), tile, step);
  auto sum = Tensor<Pixel>::create(image.shape()).value();
  for (Index j = 0; j < y_axis.count(); ++j) {
    for (Index i = 0; i < x_axis.count(); ++i) {
      auto const seen = [&](TileAxis const& axis) {
        Index const smallest = std::min(tile.smallest, tile.longest);
        return axis.count() == 1 && axis.size() < smallest ? smallest : axis.length();
      };
      auto part = Tensor<Pixel>::create({seen(y_axis), seen(x_axis), image.channels()}).value();
      Index const left = x_axis.first(i), top = y_axis.first(j);
      Index const before_x = (seen(x_axis) - x_axis.length()) / 2, before_y = (seen(y_axis) - y_axis.length()) / 2;
      for (Index y = 0; y < seen(y_axis); ++y) {
        for (Index x = 0; x < seen(x_axis); ++x) {
          Index const from_y = top + continued_pixel(y - before_y, y_axis.length());
          Index const from_x = left + continued_pixel(x - before_x, x_axis.length());
          for (Index c = 0; c < image.channels(); ++c) part.view()(y, x, c) = image(from_y, from_x, c);
        }
      }
      auto const done = test::run(model, context, part.view());
      auto const result = crop(done.view(), before_y, before_x, y_axis.length(), x_axis.length());
      bool const alone = x_axis.count() * y_axis.count() == 1;
      for (Index y = 0; y < y_axis.length(); ++y) {
        for (Index x = 0; x < x_axis.length(); ++x) {
          float const weight = y_axis.weight(j, top + y) * x_axis.weight(i, left + x);
          for (Index c = 0; c < image.channels(); ++c) {
            Pixel& to = sum.view()(top + y, left + x, c);
            to = alone ? result(y, x, c) : to + weight * result(y, x, c);
          }
        }
      }
    }
  }
  return sum;
}

template <class Pixel>
bool same(Tensor<Pixel> const& a, Tensor<Pixel> const& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.view().data(), b.view().data(),
                     static_cast<std::size_t>(a.shape().pixels() * a.view().pitch()) * sizeof(Pixel)) == 0;
}

template <class T>
void compare_with_tiles_by_hand(MirnetConfig const& config, KernelTable<T> const& kernels, Index height, Index width,
                                TileOptions const& tile, ParallelFor threads = {}) {
  INFO(std::string(kernels.isa) << ", " << width << "x" << height << " pixels of " << config.channels
                                << " channels in tiles of " << tile.longest << ", overlap " << tile.overlap
                                << ", margin " << tile.margin << ", unshuffle " << config.unshuffle << ", "
                                << threads.workers << " workers");
  auto const model = test::make_model<T>(config);
  Context<T> context(kernels, threads);
  auto const image = test::make_image<Accumulator<T>>({height, width, config.channels});
  CHECK(same(tiled(model, context, image.view(), tile), by_hand(model, context, image.view(), tile)));
}

struct Doubled : Mirnet<float> {
  using Mirnet<float>::Mirnet;
  static constexpr Shape output_shape(Config const&, Shape image) noexcept {
    return {2 * image.height, 2 * image.width, image.channels};
  }
};

}  // namespace

TEST_CASE("rows of tiles have the bits of tiles that are run and added up by hand") {
  ThreadPool pool(2);
  for (auto const* kernels : test::kernel_tables()) {
    for (auto const& size : {Shape{100, 130, 0}, Shape{130, 40, 0}, Shape{40, 130, 0}, Shape{31, 17, 0}}) {
      compare_with_tiles_by_hand<float>(test::tiny, *kernels, size.height, size.width, small_tiles, pool);
    }
  }
  for (auto const& set : test::bfloat16_tables()) {
    compare_with_tiles_by_hand<bfloat16>(test::tiny, *set.halves, 70, 90, small_tiles);
  }
  compare_with_tiles_by_hand<double>(test::tiny, test::eigen_kernels<double>(), 70, 61, small_tiles);
}

TEST_CASE("networks of any number of channels, and on cells, run in tiles of any overlap") {
  auto const& kernels = *test::kernel_tables().front();
  for (Index const channels : {1, 2, 4, 16}) {
    auto config = test::tiny;
    config.channels = channels;
    compare_with_tiles_by_hand<float>(config, kernels, 61, 90, small_tiles);
  }
  // Cells of 2x2 pixels with padding to multiples of 8; of 4x4 and 4; of 2x2 and 2.
  compare_with_tiles_by_hand<float>(test::unshuffled[0], kernels, 99, 77, {.longest = 64, .overlap = 16, .margin = 4});
  compare_with_tiles_by_hand<float>(test::unshuffled[1], kernels, 70, 99, {.longest = 56, .overlap = 16, .margin = 7});
  compare_with_tiles_by_hand<float>(test::unshuffled[2], kernels, 70, 99, {.longest = 47, .overlap = 6, .margin = 0});
  compare_with_tiles_by_hand<float>(test::tiny, kernels, 70, 99, {.longest = 35, .overlap = 1, .margin = 0});
  compare_with_tiles_by_hand<float>(test::tiny, kernels, 64, 64, {.longest = 61, .overlap = 20, .margin = 7});
}

TEST_CASE("a network sees small images mirrored, as large as it is told") {
  ThreadPool pool(2);
  auto const& kernels = *test::kernel_tables().front();
  for (auto const& size :
       {Shape{1, 1, 0}, Shape{2, 3, 0}, Shape{63, 5, 0}, Shape{7, 64, 0}, Shape{9, 10, 0}, Shape{20, 150, 0}}) {
    for (Index const smallest : {1, 30, 64}) {
      compare_with_tiles_by_hand<float>(test::tiny, kernels, size.height, size.width,
                                        {.longest = 100, .overlap = 8, .margin = 2, .smallest = smallest}, pool);
    }
  }
  for (auto const& set : test::bfloat16_tables()) {
    compare_with_tiles_by_hand<bfloat16>(test::tiny, *set.halves, 9, 13, {.longest = 256});
  }
}

TEST_CASE("rows have the bits of whole images that are restored in the same tiles") {
  auto const model = test::make_model<float>({.features = 8, .groups = 1, .blocks = 1});
  Context<float> context(*test::kernel_tables().front());
  auto const image = pictures::draw(300, test::slow ? 40 : 290, 3, SampleType::f32, pictures::noisy_pattern);
  auto map = Tensor<float>::create({image.height(), image.width(), 3}).value();
  to_map(image, map.view());
  for (Index const longest : {Index{300}, shortest_tile}) {
    CAPTURE(longest);
    auto const tiling = plan_tiles(model, context, image, longest).value();
    CHECK(tiling.tiles() == (longest == 300 ? 1 : test::slow ? 2 : 4));
    auto const restored = restore(model, image, context, tiling).value();
    auto const rows = tiled(model, context, std::as_const(map).view(), {.longest = longest});
    CHECK(pictures::equal(from_map(rows.view(), image).value(), restored));
  }

  auto const small = pictures::draw(5, 300, 3, SampleType::f32, pictures::noisy_pattern);
  auto narrow = Tensor<float>::create({small.height(), small.width(), 3}).value();
  to_map(small, narrow.view());
  auto const rows = tiled(model, context, std::as_const(narrow).view(), {.longest = shortest_tile});
  auto const tiling = plan_tiles(model, context, small, shortest_tile).value();
  CHECK(tiling.tiles() == 2);
  CHECK(pictures::equal(from_map(rows.view(), small).value(), restore(model, small, context, tiling).value()));
}

TEST_CASE("an image that is much larger than the memory") {
  auto const model = test::make_model<float>(test::tiny);
  Context<float> context(*test::kernel_tables().front());
  Index const height = test::slow ? 400 : 5000, width = 60;
  auto const run = TiledRun<Mirnet<float>>::plan(model, context, height, width, small_tiles).value();
  auto const memory = Memory::allocate(run.bytes()).value();
  if (!test::slow) CHECK(run.bytes() < height * width * 3 * static_cast<Index>(sizeof(float)) / 2);
  CHECK(run.bytes() == TiledRun<Mirnet<float>>::plan(model, context, height * 40, width, small_tiles).value().bytes());

  // The image repeats every 40 rows, so the result repeats between tiles that begin at the same row of the pattern. So
  // a row far from both ends predicts others, and a checksum shows whether all rows are there.
  auto const pattern = test::make_image<float>({40, width, 3});
  auto const bits = [](float value) {
    std::uint32_t number;
    std::memcpy(&number, &value, sizeof number);
    return number;
  };
  std::uint64_t sum = 0, expected = 0;
  auto const add = [&](std::uint64_t& to, View<float const> rows, Index y, Index at) {
    for (Index x = 0; x < width; ++x) {
      for (Index c = 0; c < 3; ++c) to = to * 1099511628211u + bits(rows(y, x, c)) + static_cast<std::uint64_t>(at);
    }
  };
  long const before = test::allocations();
  auto const done = run.compute(
      context, memory.bytes(),
      [&](Index first, View<float> rows) -> Result<void> {
        for (Index y = 0; y < rows.height(); ++y) {
          for (Index x = 0; x < width; ++x) {
            for (Index c = 0; c < 3; ++c) rows(y, x, c) = pattern.view()((first + y) % 40, x, c);
          }
        }
        return {};
      },
      [&](Index first, View<float const> rows) -> Result<void> {
        for (Index y = 0; y < rows.height(); ++y) add(sum, rows, y, first + y);
        return {};
      });
  CHECK(test::allocations() == before);
  done.value();

  auto image = Tensor<float>::create({height, width, 3}).value();
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      for (Index c = 0; c < 3; ++c) image.view()(y, x, c) = pattern.view()(y % 40, x, c);
    }
  }
  auto const result = by_hand(model, context, std::as_const(image).view(), small_tiles);
  for (Index y = 0; y < height; ++y) add(expected, result.view(), y, y);
  CHECK(sum == expected);
}

TEST_CASE("an error of the caller's ends a run, and is what it returns") {
  auto const model = test::make_model<float>(test::tiny);
  Context<float> context(*test::kernel_tables().front());
  auto const image = test::make_image<float>({120, 60, 3});
  auto const run = TiledRun<Mirnet<float>>::plan(model, context, 120, 60, small_tiles).value();
  REQUIRE(run.tiling().y.count() == 3);
  auto const memory = Memory::allocate(run.bytes()).value();
  for (int last = 0; last < 6; ++last) {
    CAPTURE(last);
    int calls = 0;
    RowsOf<float> rows(image.view());
    auto const call = [&](Result<void> const& done) -> Result<void> {
      if (calls++ == last) return Error(ErrorCode::input, "call %d went wrong", last);
      return done;
    };
    auto const done = run.compute(
        context, memory.bytes(), [&](Index first, View<float> some) { return call(rows.read(first, some)); },
        [&](Index first, View<float const> some) { return call(rows.write(first, some)); });
    REQUIRE(!done);
    CHECK(done.error().code() == ErrorCode::input);
    CHECK(done.error().message() == "call " + std::to_string(last) + " went wrong");
    CHECK(calls == last + 1);
  }
  // The same run afterwards, as if nothing had been.
  CHECK(same(tiled(model, context, image.view(), small_tiles), by_hand(model, context, image.view(), small_tiles)));
}

TEST_CASE("runs in tiles are refused with a sentence, not begun") {
  auto const model = test::make_model<float>(test::tiny);
  auto const& kernels = *test::kernel_tables().front();
  Context<float> context(kernels);
  auto const run = TiledRun<Mirnet<float>>::plan(model, context, 100, 60, small_tiles).value();
  auto const memory = Memory::allocate(run.bytes() + 64).value();
  auto const read = [](Index, View<float>) -> Result<void> { return Error(ErrorCode::internal, "rows were read"); };
  auto const write = [](Index, View<float const>) -> Result<void> { return {}; };
  auto const bytes = memory.bytes().first(static_cast<std::size_t>(run.bytes()));
  auto const refusal = [](auto const& result) -> std::string {
    if (result) return "";
    return std::to_string(static_cast<int>(result.error().code())) + ": " + result.error().message();
  };
  CHECK(refusal(run.compute(context, bytes.first(bytes.size() - 1), read, write)) ==
        "5: " + std::to_string(bytes.size()) + " bytes of memory are needed, " + std::to_string(bytes.size() - 1) +
            " are there");
  CHECK(test::contains(refusal(run.compute(context, memory.bytes().subspan(4, bytes.size()), read, write)),
                       "2: the memory does not start at a multiple of 64"));

  auto const plan = [&](Index height, Index width, TileOptions const& tile, MirnetConfig const& config = test::tiny) {
    auto const needed = TiledRun<Mirnet<float>>::bytes_needed(config, height, width, tile, kernels);
    auto const planned = TiledRun<Mirnet<float>>::plan(test::make_model<float>(config), context, height, width, tile);
    CHECK(refusal(needed) == refusal(planned));
    return refusal(planned);
  };
  CHECK(plan(100, 60, small_tiles) == "");
  CHECK(test::contains(plan(100, 60, {.longest = 48, .overlap = 8, .margin = 2, .smallest = 0}),
                       "2: images are mirrored to 0 pixels, expected 1 to 4096"));
  CHECK(plan(100, 60, {.longest = 45, .overlap = 8, .margin = 2}) ==
        "2: tiles of 45 pixels are too small; expected 46 or more");
  CHECK(plan(100, 60, {.longest = 46, .overlap = 8, .margin = 2}) == "");
  CHECK(plan(100, 60, {.longest = 48, .overlap = 8, .margin = 4}) ==
        "2: tiles overlap by 8 pixels with margins of 4, expected more than two margins and at most 4096");
  CHECK(test::contains(plan(100, 60, {.longest = 480000, .overlap = 4097, .margin = 4}), "2: tiles overlap by 4097"));
  CHECK(test::contains(plan(100, 60, {.longest = 48, .overlap = 8, .margin = -1}), "2: tiles overlap by 8 pixels"));
  CHECK(plan(100, 60, {.longest = 256, .overlap = 68, .margin = 2}, test::unshuffled[0]) ==
        "2: tiles overlap by 68 pixels, expected a multiple of the network's step of 8");
  CHECK(test::contains(plan(0, 60, small_tiles), "2: a side of 0 pixels cannot be cut into tiles"));
  CHECK(test::contains(plan(100, -1, small_tiles), "2: a side of -1 pixels cannot be cut into tiles"));
  CHECK(test::contains(plan(100, std::numeric_limits<Index>::max(), small_tiles), "cannot be cut into tiles"));
  CHECK(test::contains(plan(100, 60, {.longest = std::numeric_limits<Index>::min()}), "are too small"));
  auto const doubled = Model<Doubled>::load(test::make_weight_file(test::tiny)).value();
  CHECK(test::contains(refusal(TiledRun<Doubled>::plan(doubled, context, 100, 60, small_tiles)),
                       "4: the network's output has another size than its input"));

  auto const nothing = [](Index, View<float> rows) -> Result<void> {
    for (Index y = 0; y < rows.height(); ++y) std::fill_n(rows.row(y), rows.width() * rows.pitch(), 0.0f);
    return {};
  };
  Context<float> two_workers(kernels, {.workers = 2});
  CHECK(test::contains(refusal(run.compute(two_workers, bytes, nothing, write)), "2: the plan is for 1 workers"));
  std::atomic<bool> const stop = true;
  context.stop = &stop;
  CHECK(test::contains(refusal(run.compute(context, bytes, nothing, write)), "130: stopped before the image was done"));
}

TEST_CASE("tiles of any options meet two at a time, and their parts add up to one") {
  for (auto const& options :
       {small_tiles, TileOptions{.longest = 0, .overlap = 1, .margin = 0},
        TileOptions{.longest = 0, .overlap = 32, .margin = 8}, TileOptions{.longest = 0, .overlap = 64, .margin = 0},
        TileOptions{.longest = 0, .overlap = 64, .margin = 31}}) {
    for (Index const step : {1, 8, 32}) {
      if (options.overlap % step != 0) continue;
      for (Index const more : {0, 1, 13}) {
        auto tile = options;
        tile.longest = tile.shortest(step) + more;
        for (Index size = 1; size < 6 * tile.longest; size += size < 300 ? 3 : 37) {
          INFO("size " << size << ", longest " << tile.longest << ", overlap " << tile.overlap << ", margin "
                       << tile.margin << ", step " << step);
          REQUIRE(tile.check(size, step));
          auto const axis = TileAxis::of_at_most(size, tile, step);
          CHECK(axis.length() <= std::min(size, tile.longest));
          bool right = axis.first(0) == 0 && axis.end(axis.count() - 1) == size;
          for (Index pixel = 0; pixel < size; ++pixel) {
            float sum = 0.0f;
            int tiles = 0;
            for (Index i = 0; i < axis.count(); ++i) {
              if (pixel < axis.first(i) || pixel >= axis.end(i)) continue;
              float const part = axis.weight(i, pixel);
              right &= part >= 0.0f;
              if (part > 0.0f) right &= i == 0 || pixel >= axis.first(i) + tile.margin;
              tiles += part > 0.0f;
              sum += part;
            }
            right &= tiles >= 1 && tiles <= 2 && std::fabs(sum - 1.0f) < 1e-6f;
          }
          for (Index i = 0; i + 1 < axis.count(); ++i) {
            right &= axis.first(i) % step == 0 && axis.first(i + 1) + tile.overlap <= axis.end(i);
          }
          CHECK(right);
        }
      }
    }
  }
}

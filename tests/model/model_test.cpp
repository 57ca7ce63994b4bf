// Plans and runs: any size, any number of threads, exact memory, no allocation.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/allocations.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

namespace {

using Config = mirnet::MirnetConfig;
using mirnet::Context;
using mirnet::Index;
using mirnet::Memory;
using mirnet::Mirnet;
using mirnet::MirnetV2;
using mirnet::MirnetV2Config;
using mirnet::Model;
using mirnet::Shape;
using mirnet::Tensor;
using mirnet::View;
using test::make_image;
using test::make_model;
using test::run;
using test::same_bits;
using test::small;

mirnet::KernelTable<float> const& fastest() { return *test::kernel_tables().front(); }

}  // namespace

namespace {

/// Every table's results for an image of this size, by the bound of the results of double; what they were measured by.
template <class Net, class Oracle>
double agree(Model<Net> const& model, Model<Oracle> const& oracle, Index height, Index width,
             mirnet::Algorithm algorithm = mirnet::Algorithm::automatic) {
  auto const& config = model.config();
  Shape const shape{height, width, config.channels};
  auto const image = make_image<double>(shape);
  Context<double> exact(test::eigen_kernels<double>());
  auto const expected = run(oracle, exact, image.view());
  double const scale = test::scale(image.view(), std::as_const(expected).view());
  for (auto const* kernels : test::kernel_tables()) {
    INFO(kernels->isa << ", " << width << "x" << height << ", " << test::describe(config) << ", algorithm "
                      << static_cast<int>(algorithm));
    Context<float> context(*kernels);
    context.algorithm = algorithm;
    auto const output = run(model, context, make_image<float>(shape).view());
    CHECK(test::largest_difference(output.view(), expected.view()) <= 2e-5 * scale);
  }
  return scale;
}

}  // namespace

TEST_CASE("float agrees with double for every size") {
  struct Size {
    Index height, width;
  };
  Size const sizes[] = {{1, 1}, {1, 2}, {2, 1}, {1, 9}, {3, 3}, {4, 4}, {5, 7}, {8, 16}, {13, 6}, {31, 33}, {67, 131}};
  test::Cases cases(7);
  auto const check = [&](auto const& config) {
    auto const model = make_model<float>(config);
    auto const oracle = make_model<double>(config);
    double largest = 0.0;
    for (auto const& size : sizes) {
      bool const is_large = size.height > 40 && (test::slow || config.features > 24);
      if (cases.next_is_left_out() || is_large) continue;
      largest = std::max(largest, agree(model, oracle, size.height, size.width));
    }
    CHECK(largest > 0.1);
  };
  test::each_config(check, small, Config{.features = 24, .groups = 1, .blocks = 2, .streams = 2, .columns = 3},
                    Config{.features = 8, .groups = 2, .blocks = 1, .streams = 4, .columns = 1}, test::unshuffled[0],
                    test::unshuffled[1], test::version_2, test::two_views);
  // As wide as the published network: groups of 20, 30 and 45 channels.
  if (!test::slow) check(MirnetV2Config{.blocks = 1});
}

TEST_CASE("hyper-parameters at the ends of their ranges") {
  auto const check = [](auto const& config) { agree(make_model<float>(config), make_model<double>(config), 11, 10); };
  test::each_config(check, Config{.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1, .channels = 1},
                    Config{.features = 9, .groups = 1, .blocks = 1, .streams = 2, .columns = 4, .channels = 2},
                    Config{.features = 10, .groups = 3, .blocks = 3, .streams = 1, .columns = 2, .channels = 4},
                    Config{.features = 17, .groups = 1, .blocks = 1, .streams = 3, .columns = 1, .channels = 16},
                    Config{.features = 8, .groups = 1, .blocks = 1, .streams = 4, .columns = 4, .channels = 3},
                    test::unshuffled[2], test::unshuffled[3],
                    MirnetV2Config{.features = 16, .blocks = 1, .bias = true, .adds_image = false},
                    MirnetV2Config{.features = 48, .blocks = 1, .channels = 6, .adds_image = false});
  if (!test::slow) check(MirnetV2Config{.features = 112, .blocks = 1});
}

TEST_CASE("hyper-parameters that no MIRNet-v2 has are refused with a sentence") {
  auto const sentence = [](MirnetV2Config const& config) {
    auto const needed = Model<MirnetV2<float>>::bytes_needed(config);
    REQUIRE(!needed.ok());
    CHECK(needed.error().code() == mirnet::ErrorCode::model);
    return std::string(needed.error().message());
  };
  CHECK(sentence({.features = 15}) == "features is 15, expected a multiple of 16 from 16 to 512");
  CHECK(sentence({.features = 513}) == "features is 513, expected a multiple of 16 from 16 to 512");
  CHECK(sentence({.features = 40}) == "features is 40, expected a multiple of 16 from 16 to 512");
  CHECK(sentence({.blocks = 0}) == "blocks is 0, expected 1 to 16");
  CHECK(sentence({.blocks = 17}) == "blocks is 17, expected 1 to 16");
  CHECK(sentence({.channels = 4}) == "channels is 4, expected 3, or 6 for two views");
  CHECK(sentence({.channels = 6}) ==
        "channels is 6, two views: expected the task defocus, whose output has no image added (adds_image = false)");
  CHECK(Model<MirnetV2<float>>::bytes_needed({.features = 512, .blocks = 16}).ok());
}

TEST_CASE("the image is continued by reflection, and by its edge where it is too small") {
  // 5x3 pixels become 8x4. Padding by hand beforehand must give the same bits.
  auto const compare = [](auto const& model, Index height, Index width, std::vector<Index> const& rows,
                          std::vector<Index> const& columns) {
    INFO(width << "x" << height << ", " << test::describe(model.config()));
    Index const channels = model.config().channels;
    auto const image = make_image<float>({height, width, channels});
    auto padded =
        Tensor<float>::create({static_cast<Index>(rows.size()), static_cast<Index>(columns.size()), channels}).value();
    for (std::size_t y = 0; y < rows.size(); ++y) {
      for (std::size_t x = 0; x < columns.size(); ++x) {
        for (Index c = 0; c < channels; ++c) {
          padded.view()(static_cast<Index>(y), static_cast<Index>(x), c) = image.view()(rows[y], columns[x], c);
        }
      }
    }
    Context<float> context(fastest());
    auto const cropped = run(model, context, image.view());
    auto const whole = run(model, context, std::as_const(padded).view());
    for (Index y = 0; y < height; ++y) {
      for (Index x = 0; x < width; ++x) {
        for (Index c = 0; c < 3; ++c) CHECK(cropped.view()(y, x, c) == whole.view()(y, x, c));
      }
    }
  };
  auto const check = [&](auto const& config) {
    auto const model = make_model<float>(config);
    compare(model, 5, 6, {0, 1, 2, 3, 4, 3, 2, 1}, {0, 1, 2, 3, 4, 5, 4, 3});
    compare(model, 3, 7, {0, 1, 2, 1}, {0, 1, 2, 3, 4, 5, 6, 5});
    compare(model, 2, 1, {0, 1, 1, 1}, {0, 0, 0, 0});
  };
  test::each_config(check, Config{.features = 8, .groups = 1, .blocks = 1, .streams = 3}, test::version_2,
                    test::two_views);
}

namespace {

/// The image in cells of `cell` x `cell` pixels, of which each is a pixel with channel c*cell*cell + y*cell + x for
/// channel c of its row y and column x. rows[y] is the image's row that continues it as row y; columns likewise.
Tensor<float> in_cells(View<float const> image, Index cell, std::vector<Index> const& rows,
                       std::vector<Index> const& columns) {
  Shape const shape{static_cast<Index>(rows.size()) / cell, static_cast<Index>(columns.size()) / cell,
                    image.channels() * cell * cell};
  auto cells = Tensor<float>::create(shape).value();
  for (Index y = 0; y < shape.height * cell; ++y) {
    for (Index x = 0; x < shape.width * cell; ++x) {
      for (Index c = 0; c < image.channels(); ++c) {
        cells.view()(y / cell, x / cell, (c * cell + y % cell) * cell + x % cell) =
            image(rows[static_cast<std::size_t>(y)], columns[static_cast<std::size_t>(x)], c);
      }
    }
  }
  return cells;
}

}  // namespace

TEST_CASE("a network on cells of pixels is the same network on an image of their channels") {
  auto const compare = [&](Config const& config, Index height, Index width, std::vector<Index> const& rows,
                           std::vector<Index> const& columns) {
    Config plain = config;
    plain.channels = config.cell_channels();
    plain.unshuffle = 1;
    Index const cell = config.unshuffle;
    auto const model = make_model<float>(config), of_cells = make_model<float>(plain);
    auto const image = make_image<float>({height, width, config.channels});
    auto const cells = in_cells(image.view(), cell, rows, columns);
    for (auto const* kernels : test::kernel_tables()) {
      INFO(kernels->isa << ", " << width << "x" << height << ", unshuffle " << cell);
      Context<float> context(*kernels);
      auto const output = run(model, context, image.view());
      auto const expected = run(of_cells, context, std::as_const(cells).view());
      double worst = 0.0;
      for (Index y = 0; y < height; ++y) {
        for (Index x = 0; x < width; ++x) {
          for (Index c = 0; c < config.channels; ++c) {
            float const other = expected.view()(y / cell, x / cell, (c * cell + y % cell) * cell + x % cell);
            worst =
                std::max(worst, std::fabs(static_cast<double>(output.view()(y, x, c)) - static_cast<double>(other)));
          }
        }
      }
      CHECK(worst <= 1e-6);  // the image is added to rounded residuals
    }
  };
  Config const twos = test::unshuffled[0];
  compare(twos, 8, 8, {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7});
  compare(twos, 5, 6, {0, 1, 2, 3, 4, 3, 2, 1}, {0, 1, 2, 3, 4, 5, 4, 3});
  compare(twos, 3, 9, {0, 1, 2, 2, 2, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1});
  compare(twos, 1, 1, std::vector<Index>(8, 0), std::vector<Index>(8, 0));
  Config const fours{.features = 8, .groups = 1, .blocks = 1, .streams = 2, .channels = 1, .unshuffle = 4};
  compare(fours, 5, 7, {0, 1, 2, 3, 4, 3, 2, 1}, {0, 1, 2, 3, 4, 5, 6, 5});
}

TEST_CASE("cells of pixels cost no memory but that of the network on as many pixels") {
  Config const config{.features = 32, .groups = 1, .blocks = 1, .unshuffle = 2};
  Config plain = config;
  plain.unshuffle = 1;
  auto const model = make_model<float>(config), of_cells = make_model<float>(plain);
  for (auto const* kernels : test::kernel_tables()) {
    INFO(kernels->isa);
    Context<float> context(*kernels);
    auto const plan = model.plan(context, 400, 600).value(), other = of_cells.plan(context, 200, 300).value();
    CHECK(plan.bytes == other.bytes);
    // Of the first and of the last convolution, 9 more channels each.
    CHECK(plan.macs == other.macs + 200 * 300 * 2 * std::uint64_t{9 * 9 * 32});
  }
}

TEST_CASE("results are the same bits for any number of threads, and on every run") {
  test::Cases cases(3);
  auto const check = [&](auto const& config, Index height, Index width) {
    auto const image = make_image<float>({height, width, config.channels});
    auto const model = make_model<float>(config);
    for (auto const* kernels : test::kernel_tables()) {
      Context<float> serial(*kernels);
      auto const expected = run(model, serial, image.view());
      for (Index const threads : {1, 2, 3, 7}) {
        if (cases.next_is_left_out()) continue;
        mirnet::ThreadPool pool(threads);
        Context<float> context(*kernels, pool);
        for (int repeat = 0; repeat < 3; ++repeat) {
          INFO(kernels->isa << ", " << test::describe(config) << ", " << threads << " threads, run " << repeat);
          auto const output = run(model, context, image.view());
          CHECK(same_bits(output.view(), expected.view()));
        }
      }
    }
  };
  Index const height = test::slow ? 21 : 53, width = test::slow ? 30 : 70;
  check(small, height, width);
  check(test::unshuffled[0], height, width);
  check(test::version_2, test::slow ? 13 : 33, test::slow ? 18 : 54);
}

TEST_CASE("the direct algorithm gives nearly what the automatic choice does, in other bits where there is a choice") {
  auto const check = [](auto const& config) {
    auto const model = make_model<float>(config);
    Index const height = test::slow ? 24 : 40, width = test::slow ? 32 : 64;
    auto const image = make_image<float>({height, width, config.channels});
    for (auto const* kernels : test::kernel_tables()) {
      INFO(kernels->isa << ", " << test::describe(config));
      Context<float> automatic(*kernels), direct(*kernels);
      direct.algorithm = mirnet::Algorithm::direct;
      auto const fast = run(model, automatic, image.view());
      auto const exact = run(model, direct, image.view());
      double const scale = test::scale(image.view(), std::as_const(exact).view());
      CHECK(scale > 0.1);
      CHECK(test::largest_difference(fast.view(), exact.view()) <= 1e-4 * scale);
      std::string const isa = kernels->isa;
      CHECK(same_bits(fast.view(), exact.view()) == (isa == "scalar" || isa == "eigen"));
      CHECK(automatic.macs == direct.macs);
    }
  };
  test::each_config(check, small, test::version_2);
}

TEST_CASE("every algorithm agrees with double") {
  auto const check = [](auto const& config) {
    auto const model = make_model<float>(config);
    auto const oracle = make_model<double>(config);
    for (auto const algorithm : {mirnet::Algorithm::automatic, mirnet::Algorithm::precise, mirnet::Algorithm::direct}) {
      agree(model, oracle, 24, 28, algorithm);
    }
  };
  test::each_config(check, small, test::two_views);
  if (!test::slow) check(MirnetV2Config{.features = 32, .blocks = 1});
}

TEST_CASE("one model serves several threads, each with a context of its own") {
  auto const model = make_model<float>(small);
  auto const image = make_image<float>({20, 24, 3});
  auto const& kernels = fastest();
  Context<float> context(kernels);
  auto const expected = run(model, context, image.view());
  std::vector<char> same(4);
  {
    std::vector<std::jthread> threads;
    for (auto& flag : same) {
      threads.emplace_back([&] {
        Context<float> own(kernels);
        auto const output = run(model, own, image.view());
        flag = same_bits(output.view(), expected.view());
      });
    }
  }
  for (char const flag : same) CHECK(flag);
}

TEST_CASE("a plan is exact, and a run stays inside of it and allocates nothing") {
  test::Cases cases(4);
  auto const check = [&](auto const& model, mirnet::KernelTable<float> const& kernels, Index workers, Shape size) {
    if (cases.next_is_left_out()) return;
    auto const& config = model.config();
    INFO(kernels.isa << ", " << workers << " workers, " << size.width << "x" << size.height << ", "
                     << test::describe(config));
    mirnet::ThreadPool pool(workers);
    Context<float> context(kernels, pool);
    auto const plan = model.plan(context, size.height, size.width).value();
    auto const image = make_image<float>({size.height, size.width, config.channels});
    auto output = Tensor<float>::create({size.height, size.width, 3}).value();
    // Bytes behind the plan's keep their value; one byte less than the plan's is refused.
    auto const memory = Memory::allocate(plan.bytes + 4096).value();
    std::memset(memory.bytes().data(), 0x5A, memory.bytes().size());
    auto const exact = memory.bytes().first(static_cast<std::size_t>(plan.bytes));

    long const before = test::allocations();
    auto const done = model.run(context, plan, exact, image.view(), output.view());
    CHECK(test::allocations() == before);
    CHECK(done.ok());

    // A trace costs the library no memory either: names are put together on the stack.
    long calls = 0, names = 0;
    struct Counts {
      long &calls, &names;
    } counts{calls, names};
    context.trace = {[](void* self, mirnet::Node const& node, Index worker) noexcept {
                       if (worker != mirnet::Trace::whole) return;
                       auto const& counted = *static_cast<Counts*>(self);
                       ++counted.calls;
                       counted.names += !node.name().view().empty();
                     },
                     [](void*, mirnet::Node const&, Index) noexcept {}, &counts};
    long const before_traced = test::allocations();
    CHECK(model.run(context, plan, exact, image.view(), output.view()).ok());
    CHECK(test::allocations() == before_traced);
    context.trace = {};
    CHECK(calls > 50);
    CHECK(names == calls);
    bool untouched = true;
    for (auto const byte : memory.bytes().subspan(exact.size())) untouched &= byte == std::byte{0x5A};
    CHECK(untouched);

    auto const refused = model.run(context, plan, exact.first(exact.size() - 1), image.view(), output.view());
    REQUIRE(!refused.ok());
    CHECK(refused.error().code() == mirnet::ErrorCode::memory);
  };
  auto const model = make_model<float>(small), of_cells = make_model<float>(test::unshuffled[0]);
  auto const of_two_views = make_model<float>(test::two_views);
  for (auto const* kernels : test::kernel_tables()) {
    if (std::string(kernels->isa) == "eigen") continue;  // Eigen takes memory: no promise for it
    for (Index const workers : {1, 3}) {
      Shape const sizes[] = {{1, 1, 3}, {40, 64, 3}, {17, 9, 3}};
      for (auto const& size : sizes) check(model, *kernels, workers, size);
      for (auto const& size : sizes) check(of_cells, *kernels, workers, size);
      for (auto const& size : sizes) check(of_two_views, *kernels, workers, size);
    }
  }
}

TEST_CASE("the counting allocator counts") {
  long const before = test::allocations();
  int* volatile number = new int;  // volatile: a compiler may leave out a pair of new and delete
  delete number;
  CHECK(test::allocations() > before);
}

TEST_CASE("arithmetic and parameters of the published network") {
  Config const published;
  Index parameters = 0;
  mirnet::Mirnet<float>::schema(published,
                                [&](auto& layer, mirnet::Name const&) { parameters += layer.shape().elements(); });
  CHECK(parameters == 31'787'419);
  // 7.32 million multiply-accumulates a pixel, from a network without weights.
  auto const structure = Memory::allocate(mirnet::Mirnet<float>::structure_bytes(published)).value();
  mirnet::Mirnet<float> const network(published, structure.bytes().data());
  CHECK(published.unshuffle == 1);
  CHECK(published.pad_multiple() == 4);
  auto context = Context<float>::for_rehearsal(fastest());
  Shape const shape{256, 256, 3};
  network.forward(context, View<float const>(nullptr, shape), View<float>(nullptr, shape));
  CHECK(static_cast<double>(context.macs) / static_cast<double>(shape.pixels()) ==
        doctest::Approx(7.32e6).epsilon(0.001));
}

TEST_CASE("arithmetic and parameters of the published MIRNet-v2") {
  MirnetV2Config const published;
  auto const parameters = [](MirnetV2Config const& config) {
    Index sum = 0, tensors = 0;
    MirnetV2<float>::schema(config, [&](auto& layer, mirnet::Name const& name) {
      mirnet::each_parameter(layer, name, [&](auto& parameter, mirnet::Name const&) {
        sum += parameter.shape().elements();
        ++tensors;
      });
    });
    return std::pair(sum, tensors);
  };
  CHECK(parameters(published) == std::pair<Index, Index>(5'858'560, 238));
  CHECK(published.pad_multiple() == 4);
  auto const structure = Memory::allocate(MirnetV2<float>::structure_bytes(published)).value();
  MirnetV2<float> const network(published, structure.bytes().data());
  auto context = Context<float>::for_rehearsal(fastest());
  Shape const shape{256, 256, 3};
  network.run(context, published, View<float const>(nullptr, shape), View<float>(nullptr, shape));
  CHECK(static_cast<double>(context.macs) / static_cast<double>(shape.pixels()) ==
        doctest::Approx(2.129e6).epsilon(0.001));
}

TEST_CASE("a run holds no more maps than plans leave room for, whatever the network") {
  auto const check = []<class NetConfig>(NetConfig const& config, Index maps) {
    for (auto const* kernels : test::kernel_tables()) {
      INFO(kernels->isa << ", " << test::describe(config));
      Shape const shape{1024, 1024, config.features};
      CHECK(test::ModelOf<float, NetConfig>::bytes_needed(config, shape.height, shape.width, *kernels).value().run <=
            maps * *mirnet::map_bytes<float>(shape));
    }
  };
  for (Index streams = 1; streams <= 4; ++streams) {
    for (Index columns = 1; columns <= 4; ++columns) {
      check(Config{.features = 16, .groups = 2, .blocks = 1, .streams = streams, .columns = columns}, 6);
    }
  }
  for (Index const features : {16, 32, 80, 512}) {
    check(MirnetV2Config{.features = features}, 6);
    // The first features wait for the last.
    check(MirnetV2Config{.features = features, .channels = 6, .bias = true, .adds_image = false}, 7);
  }
}

TEST_CASE("a rehearsal asks for what a run does, though it leaves out most of a tall map") {
  test::Cases cases(6);
  auto const check = [&]<class NetConfig>(NetConfig const& config) {
    using Net = typename test::NetworkOf<float, NetConfig>::Type;
    // A stopped run goes the whole way, with memory, and touches none.
    auto const structure = Memory::allocate(Net::structure_bytes(config)).value();
    Net const network(config, structure.bytes().data());
    std::atomic<bool> const stop = true;
    for (auto const* kernels : test::kernel_tables()) {
      // 25 of the 28 bands of 1024x224 pixels.
      for (Shape const size : {Shape{70000, 8, 3}, Shape{33080, 8, 3}, Shape{1016, 104, 3}, Shape{104, 1016, 3},
                               Shape{224, 1024, 3}, Shape{96, 4096, 3}}) {
        if (cases.next_is_left_out()) continue;
        INFO(kernels->isa << ", " << size.width << "x" << size.height << ", " << test::describe(config));
        Shape const shape{size.height, size.width, config.channels};
        auto const go = [&](Context<float>& context) {
          network.run(context, config, View<float const>(nullptr, shape), View<float>(nullptr, size));
        };
        auto rehearsal = Context<float>::for_rehearsal(*kernels);
        Context<float> run(*kernels);
        rehearsal.parallel.workers = run.parallel.workers = 3;
        go(rehearsal);
        auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
        run.arena = mirnet::Arena(memory.bytes());
        run.stop = &stop;
        go(run);
        CHECK(rehearsal.arena.peak() == run.arena.peak());
        CHECK(rehearsal.macs == run.macs);
      }
    }
  };
  test::each_config(check, Config{.features = 16, .groups = 1, .blocks = 1, .streams = 4, .columns = 2},
                    test::version_2, test::two_views);
}

TEST_CASE("the largest size that can be planned is planned right, and a larger one refused") {
  auto const check = [](auto const& config) {
    INFO(test::describe(config));
    auto const model = make_model<float>(config);
    Context<float> context(fastest());
    Index const pixel = *mirnet::map_bytes<float>({1, 1, config.features});
    Index const most = std::numeric_limits<Index>::max() >> (sizeof(Index) > 4 ? 17 : 4);
    Index const rows = most / pixel / 4096;
    auto const largest = model.plan(context, rows / 4 * 4, 4096);
    REQUIRE(largest.ok());
    CHECK(largest->bytes > rows / 4 * 4 * 4096 * pixel);
    CHECK(static_cast<double>(largest->macs) / static_cast<double>(rows / 4) ==
          doctest::Approx(static_cast<double>(model.plan(context, 4, 4096)->macs)).epsilon(0.001));
    auto const larger = model.plan(context, (rows / 4 + 1) * 4, 4096);
    REQUIRE(!larger.ok());
    CHECK(larger.error().code() == mirnet::ErrorCode::memory);
  };
  test::each_config(check, small, test::version_2, test::two_views);
}

TEST_CASE("images whose pixels lie further apart than they need to") {
  auto const check = [](auto const& config, mirnet::KernelTable<float> const& kernels, Index height, Index width) {
    INFO(kernels.isa << ", " << width << "x" << height << ", " << test::describe(config));
    auto const model = make_model<float>(config);
    Context<float> context(kernels);
    auto const plan = model.plan(context, height, width).value();
    auto const memory = Memory::allocate(plan.bytes).value();
    Shape const shape{height, width, config.channels}, result{height, width, 3}, wide{height, width, 33};
    auto const image = make_image<float>(shape);
    auto expected = make_image<float>(result);
    CHECK(model.run(context, plan, memory.bytes(), image.view(), expected.view()).ok());
    auto in = make_image<float>(wide), out = make_image<float>(wide);
    View<float> const wide_in(in.view().data(), shape, 48), wide_out(out.view().data(), result, 48);
    Index different = 0;
    for (Index i = 0; i < shape.pixels(); ++i) {
      std::copy_n(image.view().data() + i * 16, 16, wide_in.data() + i * 48);
      std::fill_n(wide_out.data() + i * 48, 48, 7.0f);
    }
    CHECK(model.run(context, plan, memory.bytes(), wide_in, wide_out).ok());
    for (Index i = 0; i < shape.pixels(); ++i) {
      for (Index c = 0; c < 3; ++c) {
        different += wide_out.data()[i * 48 + c] != expected.view().data()[i * 16 + c];
      }
      for (Index c = 16; c < 48; ++c) different += wide_out.data()[i * 48 + c] != 7.0f;
    }
    CHECK(different == 0);
  };
  for (auto const* kernels : test::kernel_tables()) {
    // Run as they are, and padded.
    check(small, *kernels, 16, 24), check(small, *kernels, 15, 21);
    check(test::version_2, *kernels, 16, 24), check(test::two_views, *kernels, 15, 21);
  }
}

TEST_CASE("sizes and arguments that cannot be run are refused with a sentence") {
  auto const model = make_model<float>(small);
  Context<float> context(fastest());
  auto const code = [](auto const& result) {
    return result.ok() ? mirnet::ErrorCode::internal : result.error().code();
  };
  Index const huge = std::numeric_limits<Index>::max();
  CHECK(code(model.plan(context, 0, 5)) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.plan(context, 5, -1)) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.plan(context, huge, huge)) == mirnet::ErrorCode::memory);
  CHECK(code(model.plan(context, huge, 1)) == mirnet::ErrorCode::memory);
  CHECK(code(model.plan(context, huge / 1024, 1)) == mirnet::ErrorCode::memory);
  CHECK(code(Memory::allocate(huge)) == mirnet::ErrorCode::memory);
  for (auto const& config : test::unshuffled) {
    auto const of_cells = make_model<float>(config);
    CHECK(code(of_cells.plan(context, 0, 5)) == mirnet::ErrorCode::invalid_argument);
    // Where an Index has 32 bits, cells of a narrow image of huge / 1024 rows fit its range.
    for (Index const height : {huge, huge - config.pad_multiple(), huge / 64}) {
      CHECK(code(of_cells.plan(context, height, 1)) == mirnet::ErrorCode::memory);
      CHECK(code(of_cells.plan(context, 1, height)) == mirnet::ErrorCode::memory);
    }
  }
  auto const of_two_views = make_model<float>(test::two_views);
  CHECK(code(of_two_views.plan(context, 0, 5)) == mirnet::ErrorCode::invalid_argument);
  for (Index const height : {huge, huge - 4, huge / 64}) {
    CHECK(code(of_two_views.plan(context, height, 1)) == mirnet::ErrorCode::memory);
    CHECK(code(of_two_views.plan(context, 1, height)) == mirnet::ErrorCode::memory);
  }
  CHECK(code(Model<Mirnet<float>>::bytes_needed({.unshuffle = 0})) == mirnet::ErrorCode::model);
  CHECK(code(Model<Mirnet<float>>::bytes_needed({.unshuffle = 3})) == mirnet::ErrorCode::model);
  CHECK(code(Model<Mirnet<float>>::bytes_needed({.unshuffle = 8})) == mirnet::ErrorCode::model);

  auto const plan = model.plan(context, 8, 8).value();
  auto const memory = Memory::allocate(plan.bytes + 64).value();
  auto image = make_image<float>({8, 8, 3}), other = make_image<float>({8, 4, 3});
  View<float const> const in = std::as_const(image).view();
  CHECK(code(model.run(context, plan, memory.bytes(), in, other.view())) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.run(context, plan, memory.bytes().subspan(4), in, image.view())) ==
        mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.run(context, plan, memory.bytes(), {in.data(), in.shape(), 3}, image.view())) ==
        mirnet::ErrorCode::invalid_argument);
  auto wide = make_image<float>({8, 8, 32});
  View<float> const wide_output(wide.view().data(), {8, 8, 3}, 32), shifted(wide.view().data() + 4, {8, 8, 3}, 16);
  CHECK(code(model.run(context, plan, memory.bytes(), in, wide_output)) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.run(context, plan, memory.bytes(), in, shifted)) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.run(context, plan, memory.bytes(), shifted, image.view())) == mirnet::ErrorCode::invalid_argument);
  auto tall = make_image<float>({10, 10, 3});
  View<float> const cropped = crop(tall.view(), 1, 1, 8, 8);
  auto const of_input = model.run(context, plan, memory.bytes(), cropped, image.view());
  REQUIRE(code(of_input) == mirnet::ErrorCode::invalid_argument);
  CHECK(std::string(of_input.error().message()) ==
        "the image has a row pitch of 160 elements, expected 128: rows without gaps, as in a copy");
  auto const of_output = model.run(context, plan, memory.bytes(), in, cropped);
  REQUIRE(code(of_output) == mirnet::ErrorCode::invalid_argument);
  CHECK(std::string(of_output.error().message()) ==
        "the output has a row pitch of 160 elements, expected 128: rows without gaps, as in a copy");
  mirnet::ThreadPool pool(2);
  Context<float> threaded(*context.kernels, pool);
  CHECK(code(model.run(threaded, plan, memory.bytes(), in, image.view())) == mirnet::ErrorCode::invalid_argument);
  Context<float> eigen(test::eigen_kernels<float>());
  CHECK(code(model.run(eigen, plan, memory.bytes(), in, image.view())) == mirnet::ErrorCode::invalid_argument);
  Context<float> direct(*context.kernels);
  direct.algorithm = mirnet::Algorithm::direct;
  auto const direct_plan = model.plan(direct, 8, 8).value();
  auto const direct_memory = Memory::allocate(direct_plan.bytes).value();
  auto output = make_image<float>({8, 8, 3});
  CHECK(code(model.run(direct, plan, memory.bytes(), in, output.view())) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(model.run(context, direct_plan, direct_memory.bytes(), in, output.view())) ==
        mirnet::ErrorCode::invalid_argument);
  CHECK(model.run(direct, direct_plan, direct_memory.bytes(), in, output.view()).ok());
  auto const larger = make_model<float>({.features = 24, .groups = 1, .blocks = 1});
  CHECK(code(larger.run(context, plan, memory.bytes(), in, image.view())) == mirnet::ErrorCode::invalid_argument);
  // One view is no input, and two are no output.
  auto const views_plan = of_two_views.plan(context, 8, 8).value();
  auto const views_memory = Memory::allocate(views_plan.bytes).value();
  auto views = make_image<float>({8, 8, 6});
  auto const of_one = of_two_views.run(context, views_plan, views_memory.bytes(), in, output.view());
  REQUIRE(code(of_one) == mirnet::ErrorCode::invalid_argument);
  CHECK(std::string(of_one.error().message()) ==
        "the image has 8x8 pixels of 3 channels, expected 8x8 of 6 as the plan has");
  CHECK(code(of_two_views.run(context, views_plan, views_memory.bytes(), std::as_const(views).view(), views.view())) ==
        mirnet::ErrorCode::invalid_argument);
  CHECK(of_two_views.run(context, views_plan, views_memory.bytes(), std::as_const(views).view(), output.view()).ok());
}

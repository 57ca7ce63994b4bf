// The library where the heap has nothing left, or fails once: whatever it was doing, it says so, and goes on when there
// is memory again. (Image files: tests/io/image_file_test.cpp.)
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include <mirnet/image/restore.hpp>
#include <mirnet/io/model_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/allocations.hpp"
#include "support/failing_heap.hpp"
#include "support/folder.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;
using test::tiny;

namespace {

auto const both_done = [](auto const&, auto const&) { return true; };
auto const same_image = [](auto const& a, auto const& b) { return equal(*a, *b); };
auto const same_bytes = [](auto const& a, auto const& b) { return std::ranges::equal(a->bytes(), b->bytes()); };

/// By what they make of a picture.
auto const same_model = [](auto const& a, auto const& b) {
  auto const image = test::make_image<float>({4, 6, a->config().channels});
  Context<float> context(*test::kernel_tables().front());
  return test::same_bits(test::run(*a, context, image.view()).view(), test::run(*b, context, image.view()).view());
};

}  // namespace

TEST_CASE("no memory: weights load, from memory and from a file") {
  test::each_config(
      []<class Config>(Config const& config) {
        using Net = typename test::NetworkOf<float, Config>::Type;
        auto const file = test::make_weight_file(config);
        test::fail_each_request(
            "load", [&] { return Model<Net>::load(file); }, same_model);
        test::Folder const folder;
        auto const path = folder / "weights.mirw";
        REQUIRE(write_file(path.c_str(), file, false).ok());
        test::fail_each_request(
            "load_model", [&] { return load_model<Net>(path.c_str()); }, same_model);
      },
      tiny, test::two_views);
}

TEST_CASE("no memory: files are read and written") {
  test::Folder const folder;
  auto const path = folder / "a.bin", other = folder / "b.bin";
  std::vector<std::byte> const content(5000, std::byte{7});
  test::fail_each_request(
      "write_file", [&] { return write_file(path.c_str(), content, true); }, both_done);
  test::fail_each_request(
      "read_file", [&] { return read_file(path.c_str()); }, same_bytes);
  CHECK(std::ranges::equal(read_file(path.c_str()).value().bytes(), content));
  test::fail_each_request(
      "check_writable", [&] { return check_writable(other.c_str(), false); }, both_done);
  CHECK(folder.files() == 1);  // and nothing for a moment
}

TEST_CASE("no memory: images are restored, whole and in tiles, with threads") {
  auto const model = test::make_model<float>(tiny);
  ThreadPool pool(2);
  Context<float> context(*test::kernel_tables().front(), pool);
  auto const image = draw(300, test::slow ? 8 : 20, 4);
  for (Index const longest : {Index{300}, shortest_tile}) {
    auto const tiling = plan_tiles(model, context, image, longest).value();
    CHECK(tiling.tiles() == (longest == 300 ? 1 : 2));
    test::fail_each_request(
        "restore", [&] { return restore(model, image, context, tiling); }, same_image);
  }
  // The second network in a small picture.
  auto const second = test::make_model<float>(test::version_2);
  auto const little = draw(20, 12, 4);
  test::fail_each_request(
      "restore by MIRNet-v2", [&] { return restore(second, little, context); }, same_image);
  auto const small = draw(20, 10, 3, SampleType::f32);
  test::fail_each_request(
      "plan and restore", [&] { return restore(model, small, context); }, same_image);
}

TEST_CASE("no memory: planning and running take none") {
  test::each_config(
      [](auto const& config) {
        auto const model = test::make_model<float>(config);
        auto const image = test::make_image<float>({9, 7, config.channels});
        auto output = Tensor<float>::create({9, 7, 3}).value();
        Context<float> context(*test::kernel_tables().front());
        auto const needed = model.plan(context, 9, 7).value();
        auto const memory = Memory::allocate(needed.bytes).value();
        test::FailingHeap heap(1, false);
        auto const plan = model.plan(context, 9, 7);
        bool const done = plan.ok() && model.run(context, *plan, memory.bytes(), image.view(), output.view()).ok();
        heap.end();
        CHECK(done);
        CHECK_FALSE(heap.failed());
      },
      tiny, test::two_views);
}

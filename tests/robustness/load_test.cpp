// Ten thousand runs in one process take no more memory and no more files than a thousand.
#include <doctest/doctest.h>

#if defined(__linux__)

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <mirnet/image/restore.hpp>
#include <mirnet/io/image_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "machine.hpp"
#include "support/allocations.hpp"
#include "support/folder.hpp"
#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

using namespace mirnet;

namespace {

struct State {
  long live;        ///< allocations that were not given back
  double resident;  ///< bytes
  std::ptrdiff_t files;
};

State state() {
  std::filesystem::directory_iterator const open("/proc/self/fd");
  return {test::live_allocations(), cli::used_memory().value(), std::distance(begin(open), end(open))};
}

}  // namespace

TEST_CASE("many runs take the memory and the files of few") {
  bool const all = std::getenv("MIRNET_LONG_TESTS") != nullptr;
  int const runs = all ? 10000 : test::slow ? 50 : 300;
  auto const weights = test::make_weight_file(test::tiny);
  test::Folder const folder;
  auto const path = folder / "a.png", result = folder / "b.png";
  auto const image = pictures::draw(16, 12, 3);
  REQUIRE(write_image(path.c_str(), image).ok());
  auto const model = Model<Mirnet<float>>::load(weights).value();
  Context<float> serial(*test::kernel_tables().front());
  auto const expected = restore(model, image, serial).value();
  int wrong = 0;
  std::optional<State> before;
  for (int i = 0; i < runs; ++i) {
    // Everything that an application does, from the start.
    ThreadPool pool(2);
    Context<float> context(*test::kernel_tables()[static_cast<std::size_t>(i) % test::kernel_tables().size()], pool);
    auto const own = Model<Mirnet<float>>::load(weights).value();
    auto const read = read_image(path.c_str()).value();
    auto const restored = restore(own, read, context).value();
    wrong += context.kernels == serial.kernels && !pictures::equal(restored, expected);
    if (i % 10 == 0) REQUIRE(write_image(result.c_str(), restored, {.overwrite = true}).ok());
    CHECK_FALSE(read_image("/nowhere/a.png").ok());
    if (i == runs / 10) before = state();
  }
  CHECK(wrong == 0);
  auto const after = state();
  if (all) {
    MESSAGE("resident after " << runs / 10 << " runs: " << before->resident / 1024 << " KiB, after " << runs << ": "
                              << after.resident / 1024 << " KiB");
  }
  CHECK(after.live <= before->live + 10);
  CHECK(after.files == before->files);
#if !defined(MIRNET_SANITIZED) && !defined(MIRNET_EMULATED)  // which keep what was freed, and what was translated
  CHECK(after.resident < before->resident + (512 << 10));
#endif
}

#endif

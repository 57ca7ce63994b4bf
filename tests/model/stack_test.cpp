// How deep the stack gets, which firmware has to know: on a stack of its own that was painted before, for loading,
// planning and running, and for a file that is refused.
#include <doctest/doctest.h>

// As it is released; and on big-endian machines weights can only be copied.
#if defined(__linux__) && defined(__OPTIMIZE__) && defined(NDEBUG) && !defined(MIRNET_SANITIZED) && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <ucontext.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

namespace {

using mirnet::Algorithm;
using Config = mirnet::MirnetConfig;
using mirnet::Context;
using mirnet::Index;
using mirnet::Memory;
using mirnet::Model;
using mirnet::Shape;
using mirnet::Tensor;
using mirnet::View;

constexpr std::size_t most = 32 * 1024;

/// Bytes of the stack that body() uses.
std::size_t stack_used(std::function<void()> const& body) {
  constexpr std::size_t size = 512 * 1024;
  constexpr auto paint = std::byte{0xA5};
  static std::function<void()> const* what = nullptr;
  what = &body;
  std::vector<std::byte> stack(size, paint);
  ucontext_t before, inside;
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack.data();
  inside.uc_stack.ss_size = size;
  inside.uc_link = &before;
  makecontext(
      &inside, [] { (*what)(); }, 0);
  swapcontext(&before, &inside);
  auto const unused = std::find_if(stack.begin(), stack.end(), [](std::byte b) { return b != paint; });
  REQUIRE(unused != stack.begin());
  return static_cast<std::size_t>(stack.end() - unused);
}

template <class T, class NetConfig>
void measure(NetConfig const& config, mirnet::KernelTable<T> const& kernels, Shape shape, std::size_t& deepest) {
  using Net = typename test::NetworkOf<T, NetConfig>::Type;
  auto const packed = std::is_same_v<T, float> ? test::Storage::f32_packed : test::Storage::bf16_packed;
  auto const file = test::make_weight_file(config, 1, packed);
  auto const placed = Memory::allocate(static_cast<Index>(file.size())).value();
  std::copy(file.begin(), file.end(), placed.bytes().begin());
  auto const image = Tensor<float>::create(shape).value();
  auto output = Tensor<float>::create(Net::output_shape(config, shape)).value();
  auto const memory = Memory::allocate(Model<Net>::bytes_needed(config).value()).value();
  auto const needed = Model<Net>::bytes_needed(config, shape.height, shape.width, kernels).value().run;
  auto const direct =
      Model<Net>::bytes_needed(config, shape.height, shape.width, kernels, 1, Algorithm::direct).value().run;
  auto const working = Memory::allocate(std::max(needed, direct)).value();
  auto const check = [&](char const* what, std::function<void()> const& body) {
    std::size_t const used = stack_used(body);
    INFO(std::string(kernels.isa) << ", " << test::describe(config) << ", " << std::string(what) << ": " << used);
    CHECK(used <= most);
    deepest = std::max(deepest, used);
  };

  check("copied", [&] {
    mirnet::MemorySource source(file);
    CHECK(Model<Net>::load(source, memory.bytes()).ok());
  });
  check("in place", [&] { CHECK(Model<Net>::load_in_place(placed.bytes(), memory.bytes()).ok()); });
  check("refused", [&] {
    auto const size = placed.bytes().size();
    CHECK_FALSE(Model<Net>::load_in_place(placed.bytes().first(size - 1), memory.bytes()).ok());
    auto& last = placed.bytes()[size - 1];
    last ^= std::byte{1};
    CHECK_FALSE(Model<Net>::load_in_place(placed.bytes(), memory.bytes()).ok());
    last ^= std::byte{1};
  });
  check("sizes",
        [&] { CHECK(Model<Net>::bytes_needed(config, shape.height, shape.width, kernels).value().run == needed); });
  auto const model = Model<Net>::load_in_place(placed.bytes(), memory.bytes()).value();
  for (auto const algorithm : {Algorithm::automatic, Algorithm::direct}) {
    check(algorithm == Algorithm::direct ? "direct" : "automatic", [&] {
      Context<T> context(kernels);
      context.algorithm = algorithm;
      auto const plan = model.plan(context, shape.height, shape.width);
      CHECK(model.run(context, *plan, working.bytes(), image.view(), output.view()).ok());
    });
  }
}

}  // namespace

TEST_CASE("the stack is at most 32 KB deep") {
  std::size_t deepest = 0;
  test::Cases cases(3);
  auto const check = [&](auto const& config, Index height, Index width) {
    if (cases.next_is_left_out()) return;
    Shape const large{height, width, config.channels}, little{9, 10, config.channels};
    for (auto const* kernels : test::kernel_tables()) {
      std::string const isa = kernels->isa;
      if (isa == "eigen") continue;  // for oracles
      // Fast convolutions in all streams; the plain kernels have none.
      measure<float>(config, *kernels, isa == "scalar" || test::slow ? little : large, deepest);
    }
    for (auto const& set : test::bfloat16_tables()) {
      measure<mirnet::bfloat16>(config, *set.halves, test::slow ? little : large, deepest);
    }
  };
  // Kinds of blocks: those of the network that ships, and of the published ones. How many there are changes no depth.
  check(Config{.features = 16, .groups = 1, .blocks = 2, .streams = 3, .columns = 2}, 65, 70);
  check(Config{.features = 64, .groups = 1, .blocks = 2, .streams = 3, .columns = 2}, 65, 70);
  check(Config{.features = 8, .groups = 1, .blocks = 1, .streams = 4, .columns = 4}, 65, 70);
  check(test::two_views, 65, 70);
  check(mirnet::MirnetV2Config{.blocks = 1}, 41, 46);
  check(Config{.features = 16, .groups = 1, .blocks = 1, .unshuffle = 2}, 65, 70);
  MESSAGE("the deepest stack: " << deepest << " bytes");
}

#endif

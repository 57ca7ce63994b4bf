// Many threads at once: one model that all of them run, and models, plans, kernel tables and thread pools that are made
// and destroyed meanwhile. Each result is the same bits as alone. Built with ThreadSanitizer (the preset tsan), these
// tests look for accesses that nothing orders.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include <mirnet/image/restore.hpp>
#include <mirnet/io/image_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using test::make_image;
using test::make_model;
using test::run;
using test::same_bits;
using test::tiny;

namespace {

/// body(number) in so many threads at a time; true where each returned true. doctest's macros are not for other
/// threads.
template <class Body>
bool in_threads(int count, Body const& body) {
  std::atomic<int> right = 0, ready = 0;
  {
    std::vector<std::jthread> threads;
    for (int number = 0; number < count; ++number) {
      threads.emplace_back([&, number] {
        ++ready;
        while (ready < count) std::this_thread::yield();  // all of them begin together
        right += body(number);
      });
    }
  }
  return right == count;
}

}  // namespace

TEST_CASE("eight threads run one model, with contexts of their own") {
  auto const check = [](auto const& config, int repeats) {
    auto const model = make_model<float>(config);
    auto const halves = make_model<bfloat16>(config);
    auto const image = make_image<float>({13, 18, config.channels});
    for (auto const* kernels : test::kernel_tables()) {
      CAPTURE(kernels->isa);
      Context<float> alone(*kernels);
      auto const expected = run(model, alone, image.view());
      CHECK(in_threads(8, [&](int number) {
        ThreadPool pool(number % 3 + 1);
        Context<float> context(*kernels, pool);
        bool right = true;
        for (int i = 0; i < repeats; ++i) right &= same_bits(run(model, context, image.view()).view(), expected.view());
        return right;
      }));
    }
    for (auto const& set : test::bfloat16_tables()) {
      CAPTURE(set.halves->isa);
      Context<bfloat16> alone(*set.halves);
      auto const expected = run(halves, alone, image.view());
      CHECK(in_threads(8, [&](int) {
        Context<bfloat16> context(*set.halves);
        return same_bits(run(halves, context, image.view()).view(), expected.view());
      }));
    }
  };
  check(tiny, test::slow ? 2 : 10);
  check(test::version_2, test::slow ? 1 : 3);
}

TEST_CASE("one pool serves contexts of several threads in turn") {
  auto const model = make_model<float>(tiny);
  auto const image = make_image<float>({13, 18, 3});
  auto const& kernels = *test::kernel_tables().front();
  Context<float> alone(kernels);
  auto const expected = run(model, alone, image.view());
  ThreadPool pool(3);
  CHECK(in_threads(4, [&](int) {
    Context<float> context(kernels, pool);
    bool right = true;
    for (int i = 0; i < 3; ++i) right &= same_bits(run(model, context, image.view()).view(), expected.view());
    return right;
  }));
}

TEST_CASE("everything is set up and taken down while others run") {
  auto const file = test::make_weight_file(tiny), second_file = test::make_weight_file(test::version_2);
  auto const model = Model<Mirnet<float>>::load(file).value();
  auto const second = Model<MirnetV2<float>>::load(second_file).value();
  auto const image = make_image<float>({13, 18, 3});
  auto const picture = pictures::draw(30, 20, 3);
  auto const encoded = pictures::file_of(encode_image(picture, OutputFormat::png, "test"));
  Context<float> alone(*test::kernel_tables().front());
  auto const expected = run(model, alone, image.view()), expected_of_second = run(second, alone, image.view());
  auto const expected_picture = restore(model, picture, alone).value();
  CHECK(in_threads(8, [&](int number) {
    bool right = true;
    for (int i = 0; i < (test::slow ? 3 : 20); ++i) {
      // The tables of all sets, as an application that chooses asks for them.
      KernelTable<float> const* fastest = nullptr;
      for (auto const& set : mirnet::kernel_sets()) {
        if (set.available() && set.has_own_float_kernels() && fastest == nullptr) fastest = set.kernels();
      }
      if (fastest == nullptr) fastest = &test::plain_kernels<float>();
      ThreadPool pool(number % 4 + 1);
      Context<float> context(*fastest, pool);
      auto const own = Model<Mirnet<float>>::load(file).value();
      auto const& one = number % 2 == 0 ? model : own;
      right &= same_bits(run(one, context, image.view()).view(), expected.view());
      if (number == i % 8) {  // which takes longer
        auto const own_second = Model<MirnetV2<float>>::load(second_file).value();
        right &= same_bits(run(own_second, context, image.view()).view(), expected_of_second.view());
      }
      auto const decoded = decode_image(encoded, "test");
      right &= decoded.ok() && pictures::equal(restore(one, *decoded, context).value(), expected_picture);
    }
    return right;
  }));
}

TEST_CASE("runs of several threads are stopped, and others not") {
  auto const check = [](auto const& config) {
    auto const model = make_model<float>(config);
    auto const image = make_image<float>({40, 40, config.channels});
    std::atomic<bool> stop = false;
    auto const& kernels = *test::kernel_tables().front();
    Context<float> alone(kernels);
    auto const plan = model.plan(alone, 40, 40).value();
    auto const expected = run(model, alone, image.view());
    CHECK(in_threads(6, [&](int number) {
      Context<float> context(kernels);
      if (number % 2 == 0) return same_bits(run(model, context, image.view()).view(), expected.view());
      context.stop = &stop;
      auto const memory = Memory::allocate(plan.bytes).value();
      auto output = Tensor<float>::create({40, 40, 3}).value();
      for (;;) {
        auto const done = model.run(context, plan, memory.bytes(), image.view(), output.view());
        stop = true;
        if (!done.ok()) return done.error().code() == ErrorCode::cancelled;
      }
    }));
  };
  test::each_config(check, tiny, test::two_views);
}

TEST_CASE("a pool of more threads than the machine has, made and destroyed many times") {
  for (int i = 0; i < (test::slow ? 20 : 200); ++i) {
    ThreadPool pool(16);
    std::atomic<Index> sum = 0;
    ParallelFor const parallel = pool;
    if (i % 3 != 0) parallel(100, [&](Index item, Index) { sum += item; });
    CHECK(sum == (i % 3 != 0 ? 4950 : 0));
  }
}

// What a run tells its trace: every layer under the name that it has in a checkpoint, in the order of the run, with all
// of the arithmetic, from the right threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"

using namespace mirnet;

namespace {

struct Event {
  bool begins;
  Index number, worker;
  bool operator==(Event const&) const = default;
};

/// Takes down what a trace is told, without a lock: each worker has a line of its own.
struct Recorder {
  static constexpr std::size_t most_workers = 3;

  std::vector<Event> pieces;  // Trace::whole
  std::map<Index, std::string> names;
  std::map<Index, Node> nodes;       // as told last
  std::map<Index, Index> stood_for;  // pieces of a run, by node
  std::thread::id caller = std::this_thread::get_id();
  bool from_the_caller = true;
  std::array<std::vector<Event>, most_workers> items;  // by worker
  std::atomic<bool> nested{false}, outside{false};

  Trace trace() { return {begin, end, this}; }

 private:
  static void begin(void* self, Node const& node, Index worker) noexcept { tell(self, node, worker, true); }
  static void end(void* self, Node const& node, Index worker) noexcept { tell(self, node, worker, false); }
  static void tell(void* self, Node const& node, Index worker, bool begins) noexcept {
    auto& recorder = *static_cast<Recorder*>(self);
    Event const event{begins, node.number, worker};
    auto& list = worker == Trace::whole ? recorder.pieces : recorder.items[static_cast<std::size_t>(worker)];
    if (begins && !list.empty() && list.back().begins) recorder.nested = true;
    if (!begins && (list.empty() || list.back() != Event{true, node.number, worker})) recorder.nested = true;
    list.push_back(event);
    if (worker == Trace::whole) {
      recorder.names[node.number] = node.name().view();
      recorder.nodes[node.number] = node;
      if (begins) recorder.stood_for[node.number] += node.pieces;
      recorder.from_the_caller &= std::this_thread::get_id() == recorder.caller;
    } else if (recorder.pieces.empty() || recorder.pieces.back() != Event{true, node.number, Trace::whole}) {
      recorder.outside = true;
    }
  }
};

template <class Config>
struct Fixture {
  using Net = typename test::NetworkOf<float, Config>::Type;

  explicit Fixture(Config const& config, Index height, Index width)
      : model(test::make_model<float>(config)),
        input(Tensor<float>::create({height, width, config.channels}).value()),
        output(Tensor<float>::create(Net::output_shape(config, input.shape())).value()) {
    std::fill_n(input.view().data(), input.view().pixels() * input.view().pitch(), 0.5f);
  }

  Plan<Config> plan(Context<float>& context) const {
    return model.plan(context, input.view().height(), input.view().width()).value();
  }
  void run(Context<float>& context, Plan<Config> const& plan) {
    auto const memory = Memory::allocate(plan.bytes).value();
    model.run(context, plan, memory.bytes(), std::as_const(input).view(), output.view()).value();
  }

  Model<Net> model;
  Tensor<float> input, output;
};

/// The node of a name, which is the first of those that have it.
Node node_of(Recorder const& recorder, std::string const& name) {
  for (auto const& [number, found] : recorder.names) {
    if (found == name) return recorder.nodes.at(number);
  }
  FAIL("there is no node ", name);
  return Node{};
}

MirnetConfig const configs[] = {{.features = 16, .groups = 1, .blocks = 2},
                                {.features = 8, .groups = 2, .blocks = 1, .streams = 4},
                                {.features = 8, .groups = 1, .blocks = 1, .streams = 2, .columns = 3},
                                {.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1},
                                test::unshuffled[0]};

constexpr Shape larger = test::slow ? Shape{16, 24, 3} : Shape{40, 64, 3};

}  // namespace

TEST_CASE("nodes have the names of the checkpoint's layers, and all of the plan's arithmetic") {
  auto const check = []<class Config>(Config const& config) {
    INFO(test::describe(config));
    Fixture fixture(config, 16, 24);
    Recorder recorder;
    Context<float> context(*test::kernel_tables().front());
    context.trace = recorder.trace();
    auto const plan = fixture.plan(context);

    std::set<std::string> told;
    std::uint64_t macs = 0;
    for (auto const& [number, name] : recorder.names) {
      // "a.b+c": b and c are computed as one.
      auto const plus = name.find('+');
      if (plus != std::string::npos) {
        // Both names lie in the block before "top".
        auto const block = name.rfind("top.");
        REQUIRE(block != std::string::npos);
        told.insert(name.substr(0, block) + name.substr(plus + 1));
      }
      told.insert(name.substr(0, plus));
      macs += recorder.nodes.at(number).macs;
    }
    CHECK(macs == plan.macs);
    test::NetworkOf<float, Config>::Type::schema(config, [&](auto& layer, Name const& name) {
      if (layer.shape().rank != 4) return;  // activations are a part of the layer before
      CHECK_MESSAGE(told.count(std::string(name.view())) == 1, std::string(name.view()));
    });
  };
  for (auto const& config : configs) check(config);
  test::each_config(check, test::version_2, test::two_views);
}

TEST_CASE("a rehearsal tells the nodes of the run, in its order and with its fields") {
  test::Cases some(2);
  auto const check = [&](auto const& config, char const* first, char const* third, char const* last) {
    for (auto const* kernels : test::kernel_tables()) {
      if (some.next_is_left_out()) continue;
      INFO(kernels->isa << ", " << test::describe(config));
      Fixture fixture(config, 17, 21);  // with a border to pad and to crop
      Recorder rehearsed, ran;
      Context<float> context(*kernels);
      context.trace = rehearsed.trace();
      auto const plan = fixture.plan(context);
      context.trace = ran.trace();
      fixture.run(context, plan);

      CHECK(rehearsed.pieces == ran.pieces);
      CHECK(rehearsed.names == ran.names);
      for (auto const& items : rehearsed.items) CHECK(items.empty());
      REQUIRE(!ran.names.empty());
      CHECK(ran.names.begin()->first == 0);
      CHECK(ran.names.rbegin()->first + 1 == static_cast<Index>(ran.names.size()));
      CHECK(ran.names.at(0) == first);
      CHECK(ran.names.at(1) == "conv_in");
      CHECK(ran.names.at(2) == third);
      CHECK(ran.names.rbegin()->second == last);
      Index live = 0;
      for (auto const& told : ran.nodes) {
        Index const number = told.first;
        Node const& node = told.second;
        INFO(ran.names.at(number));
        auto const& other = rehearsed.nodes.at(number);
        CHECK(node.input == other.input);
        CHECK(node.output == other.output);
        CHECK(node.macs == other.macs);
        CHECK(node.bytes == other.bytes);
        CHECK(node.live_bytes == other.live_bytes);
        CHECK(node.activation == other.activation);
        CHECK(node.residual == other.residual);
        CHECK(node.statistics == other.statistics);
        CHECK(std::string(node.operation) == other.operation);
        CHECK(std::string(node.kernel) == other.kernel);
        CHECK(std::string(node.operation) != "");
        CHECK(std::string(node.kernel) != "");
        live = std::max(live, node.live_bytes);
      }
      CHECK(live <= plan.bytes);
      CHECK(live >= plan.bytes / 2);
    }
  };
  check(configs[0], "pad", "body.0.body.0.blocks.0.0.body.0", "crop");
  check(test::unshuffled[0], "unshuffle", "body.0.body.0.blocks.0.0.body.0", "shuffle");
  check(test::version_2, "pad", "body.0.body.0.down2.body.0.bot.0", "crop");
  check(test::two_views, "pad", "body.0.body.0.down2.body.0.bot.0", "crop");
}

TEST_CASE("what is fused with a convolution is told") {
  Fixture fixture(configs[0], 16, 16);
  Recorder recorder;
  Context<float> context(*test::kernel_tables().front());
  context.trace = recorder.trace();
  fixture.plan(context);
  auto const node = [&](char const* name) { return node_of(recorder, name); };
  auto const first = node("body.0.body.0.blocks.0.0.body.0");
  CHECK(first.activation);
  CHECK(!first.residual);
  CHECK(!first.statistics);
  auto const second = node("body.0.body.0.blocks.0.0.body.2");
  CHECK(!second.activation);
  CHECK(second.statistics);
  auto const last = node("conv_out");
  CHECK(last.residual);
  // 16x16 pixels of 16 floats each: input, output, what is added; 3x3 weights of 16 channels for 16 outputs, 3 of which
  // are used.
  CHECK(last.bytes == 4 * (3 * 16 * 16 * 16 + 9 * 16 * 16));
  CHECK(last.macs == 16 * 16 * 9 * 16 * 3);
  CHECK(node("body.0.body.0.down.16_2.body.0.top.5+bot.1").output == Shape{8, 8, 32});
}

TEST_CASE("what is fused in MIRNet-v2 is told") {
  Fixture fixture(test::version_2, 16, 16);
  Recorder recorder;
  Context<float> context(*test::kernel_tables().front());
  context.trace = recorder.trace();
  fixture.plan(context);
  auto const node = [&](char const* name) { return node_of(recorder, name); };
  // In the groups, each of which sees some of the 16, 24 or 36 channels.
  auto const macs = [&](std::string const& group, char const* stream) {
    return node(("body." + group + ".body.0.dau_" + stream + ".body.0").c_str()).macs;
  };
  CHECK(macs("0", "top") == 16 * 16 * 9 * 16 * 16);
  CHECK(macs("1", "mid") == 8 * 8 * 9 * 24 * 24 / 2);
  CHECK(macs("2", "bot") == 4 * 4 * 9 * 36 * 36 / 4);
  CHECK(macs("3", "bot") == 4 * 4 * 9 * 36 * 36 / 4);
  auto const first = node("body.0.body.0.dau_top.body.0");
  CHECK(first.activation);
  CHECK(!first.residual);
  CHECK(!node("body.0.body.0.dau_top.body.2").activation);
  auto const pool = node("body.0.body.0.dau_mid.gcnet.conv_mask");
  CHECK(pool.input == Shape{8, 8, 24});
  CHECK(pool.output == Shape{1, 1, 24});
  CHECK(pool.macs == 8 * 8 * 24);
  auto const sum = node("body.0.body.0.dau_top.sum");
  CHECK(sum.activation);
  CHECK(sum.residual);
  CHECK(sum.statistics);                                 // of which the fusion's mean is made
  CHECK(!node("body.0.body.0.dau_bot.sum").statistics);  // which is in no fusion
  CHECK(node("body.0.body.0.up21_2.body.0.bot.0").statistics);
  CHECK(node("body.0.body.0.skff_mid").output == Shape{8, 8, 24});
  CHECK(node("body.0.body.0.skff_mid.conv_du.0").activation);
  CHECK(node("body.0.body.0.conv_out").residual);
  CHECK(node("body.3.body.1").residual);
  CHECK(node("conv_out").residual);
}

TEST_CASE("what takes cells of pixels apart and puts them together is told") {
  Fixture fixture(test::unshuffled[0], 17, 21);
  Recorder recorder;
  Context<float> context(*test::kernel_tables().front());
  context.trace = recorder.trace();
  fixture.plan(context);
  auto const& first = recorder.nodes.at(0);
  CHECK(first.input == Shape{17, 21, 3});
  CHECK(first.output == Shape{12, 12, 12});
  CHECK(first.bytes == 4 * 16 * (17 * 21 + 12 * 12));
  auto const& last = recorder.nodes.rbegin()->second;
  CHECK(last.input == Shape{12, 12, 12});
  CHECK(last.output == Shape{17, 21, 3});
  CHECK(last.residual);
  CHECK(last.bytes == 4 * 16 * (2 * 17 * 21 + 12 * 12));  // the image, too
}

TEST_CASE("workers tell of their items inside of the piece that these belong to") {
  auto const check = [](auto const& config) {
    Fixture fixture(config, larger.height, larger.width);
    for (Index const threads : {1, 3}) {
      INFO(threads << " threads, " << test::describe(config));
      ThreadPool pool(threads);
      Recorder recorder;
      Context<float> context(*test::kernel_tables().front(), pool);
      auto const plan = fixture.plan(context);
      context.trace = recorder.trace();
      fixture.run(context, plan);
      CHECK(recorder.from_the_caller);
      CHECK(!recorder.nested);
      CHECK(!recorder.outside);
      CHECK(recorder.pieces.size() % 2 == 0);
      CHECK(!recorder.items[0].empty());
      for (std::size_t worker = static_cast<std::size_t>(threads); worker < Recorder::most_workers; ++worker) {
        CHECK(recorder.items[worker].empty());
      }
    }
  };
  test::each_config(check, configs[0], test::version_2);
}

TEST_CASE("a trace changes no bit") {
  auto const check = [](auto const& config) {
    INFO(test::describe(config));
    Fixture fixture(config, larger.height, larger.width);
    Recorder recorder;
    Context<float> context(*test::kernel_tables().front());
    auto const plan = fixture.plan(context);
    fixture.run(context, plan);
    auto const size = static_cast<std::size_t>(fixture.output.view().pixels() * fixture.output.view().pitch());
    std::vector<float> const before(fixture.output.view().data(), fixture.output.view().data() + size);
    context.trace = recorder.trace();
    fixture.run(context, plan);
    CHECK(std::equal(before.begin(), before.end(), fixture.output.view().data()));
    CHECK(recorder.names.size() > 100);
    // Without a trace nobody is called.
    auto const told = recorder.pieces.size();
    context.trace = {};
    fixture.run(context, plan);
    CHECK(recorder.pieces.size() == told);
    CHECK(context.node == nullptr);
    CHECK(context.scope == nullptr);
  };
  test::each_config(check, configs[0], test::two_views);
}

TEST_CASE("scopes join to names") {
  Context<float> context(test::plain_kernels<float>());
  auto const outer = context.at("body", 3);
  auto const inner = outer.at("down", 64, 4);
  CHECK(context.scope->name().view() == "body.3.down.64_4");
  {
    auto const innermost = inner.at("top.0");
    CHECK(context.scope->name().view() == "body.3.down.64_4.top.0");
    CHECK(context.new_node("conv", {}, {}).name().view() == "body.3.down.64_4.top.0");
  }
  CHECK(context.scope->name().view() == "body.3.down.64_4");
}

TEST_CASE("a rehearsal tells how many pieces of work a run has") {
  auto const check = []<class Config>(Config const& config) {
    INFO(test::describe(config));
    // Of 8 bands and a part of one, of which a rehearsal goes through three.
    Fixture fixture(config, 68, 1024);
    Recorder rehearsed, ran;
    Context<float> context(*test::kernel_tables().front());
    context.trace = rehearsed.trace();
    auto const plan = fixture.plan(context);
    context.trace = ran.trace();
    std::atomic<bool> const stop = true;  // a stopped run goes the whole way, and computes nothing
    context.stop = &stop;
    auto const memory = Memory::allocate(plan.bytes).value();
    CHECK_FALSE(
        fixture.model.run(context, plan, memory.bytes(), std::as_const(fixture.input).view(), fixture.output.view())
            .ok());
    CHECK(rehearsed.pieces.size() < ran.pieces.size());
    std::map<Index, Index> pieces;
    for (auto const& event : ran.pieces) pieces[event.number] += event.begins;
    CHECK(pieces == rehearsed.stood_for);
  };
  check(test::tiny);
  check(test::version_2);
}

// What a run of the C interface writes: the bits of mirnet::restore, whatever the format, the strides, the threads and
// the memory; and what it tells meanwhile.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/allocations.hpp"
#include "support/buffer.hpp"

#include "handles.hpp"

using namespace c;

namespace {

/// As options of both interfaces: what the model computes with, and what a run changes.
struct Setting {
  mirnet_format format{};
  std::string instruction_set = instruction_sets()[0];
  bool in_bfloat16 = false;
  bool direct = false;
  int32_t tile = 0;
  float strength = 1, keep_grain = 0;
};

mirnet_model_options model_options(Setting const& setting) {
  auto options = defaults<mirnet_model_options>();
  options.instruction_set = setting.instruction_set.c_str();
  options.precision = setting.in_bfloat16 ? MIRNET_BF16 : MIRNET_FP32;
  options.algorithm = setting.direct ? MIRNET_DIRECT : MIRNET_ALGORITHM_AUTO;
  return options;
}

Model tiny_model(Setting const& setting = {}) {
  auto const options = model_options(setting);
  return load(reference::tiny_weights(), &options);
}

Bytes expected(Setting const& setting, Bytes const& input, Bytes const& right = {}) {
  return reference::restored(right.empty() ? reference::tiny_weights() : reference::two_view_weights(),
                             {.format = setting.format,
                              .input = input,
                              .right = right,
                              .instruction_set = setting.instruction_set,
                              .in_bfloat16 = setting.in_bfloat16,
                              .direct = setting.direct,
                              .tile = setting.tile,
                              .brightness = setting.strength * (1.0f - setting.keep_grain),
                              .colour = setting.strength});
}

Bytes found(Setting const& setting, Bytes const& input, int32_t thread_count = 1) {
  auto const model = tiny_model(setting);
  auto const options = threads(thread_count, setting.tile);
  auto const made = plan(model, setting.format, &options);
  auto run_options = defaults<mirnet_run_options>();
  run_options.strength = setting.strength;
  run_options.keep_grain = setting.keep_grain;
  return run(made, input, &run_options);
}

constexpr mirnet_format rgb{37, 21, 3, MIRNET_U8};

/// An image of several tiles of 256 pixels: three columns and two rows.
constexpr mirnet_format in_tiles{620, 300, 3, MIRNET_U8};

/// What `finished` tells: how often each pixel was in a rectangle, and the samples at that moment.
struct Finished {
  mirnet_format format{};
  std::byte const* output;
  std::vector<int> times = std::vector<int>(static_cast<size_t>(format.width * format.height));
  Bytes when_told = Bytes(image_bytes(format));
  bool inside = true, same_thread = true;
  std::thread::id thread = std::this_thread::get_id();

  static void call(void* self, int64_t x, int64_t y, int64_t width, int64_t height) {
    auto& to = *static_cast<Finished*>(self);
    to.same_thread &= std::this_thread::get_id() == to.thread;
    if (x < 0 || y < 0 || width < 1 || height < 1 || x + width > to.format.width || y + height > to.format.height) {
      to.inside = false;
      return;
    }
    size_t const pixel = row_bytes(to.format) / static_cast<size_t>(to.format.width);
    for (int64_t row = y; row < y + height; ++row) {
      for (int64_t column = x; column < x + width; ++column) {
        ++to.times[static_cast<size_t>(row * to.format.width + column)];
      }
      size_t const at = static_cast<size_t>(row) * row_bytes(to.format) + static_cast<size_t>(x) * pixel;
      std::memcpy(to.when_told.data() + at, to.output + at, static_cast<size_t>(width) * pixel);
    }
  }
};

/// Counts the calls of `progress`, and ends the run in one of them. How many there are depends on the time, too.
struct Watch {
  double cancel_from = 2;  ///< the share of the work; more than 1: never
  int calls = 0, calls_after_the_end = 0;
  bool ended = false;
  double last = 0;
  bool rises = true, in_range = true;
  std::atomic<int> inside{0};
  bool alone = true;

  static int call(void* self, double done) {
    auto& to = *static_cast<Watch*>(self);
    to.alone &= to.inside.fetch_add(1) == 0;
    to.rises &= done >= to.last;
    to.in_range &= done >= 0 && done <= 1;
    to.last = done;
    ++to.calls;
    to.calls_after_the_end += to.ended;
    to.ended |= done >= to.cancel_from;
    to.inside.fetch_sub(1);
    return to.ended ? -5 : 0;
  }
  mirnet_run_options options() {
    auto made = defaults<mirnet_run_options>();
    made.progress = call;
    made.self = this;
    return made;
  }
};

}  // namespace

TEST_CASE("each format has the bits of mirnet::restore") {
  for (int32_t const type : {MIRNET_U8, MIRNET_U16, MIRNET_F32}) {
    for (int32_t const channels : {1, 2, 3, 4}) {
      for (auto const& size : {std::pair(1, 1), std::pair(5, 3), std::pair(37, 21), std::pair(1, 70)}) {
        Setting const setting{.format = {size.first, size.second, channels, type}};
        CAPTURE(type);
        CAPTURE(channels);
        CAPTURE(size.first);
        auto const input = noisy(setting.format);
        auto const output = found(setting, input);
        CHECK(output == expected(setting, input));
        if (size.first == 37) CHECK(output != input);
      }
    }
  }
}

TEST_CASE("each instruction set, precision and algorithm has the bits of mirnet::restore") {
  auto const input = noisy(rgb);
  for (auto const& set : instruction_sets()) {
    for (bool const in_bfloat16 : {false, true}) {
      for (bool const direct : {false, true}) {
        CAPTURE(set);
        CAPTURE(in_bfloat16);
        CAPTURE(direct);
        if (set == "scalar" && in_bfloat16) continue;  // it has no kernels of bf16
        Setting const setting{.format = rgb, .instruction_set = set, .in_bfloat16 = in_bfloat16, .direct = direct};
        CHECK(found(setting, input) == expected(setting, input));
      }
    }
  }
}

TEST_CASE("strength and grain") {
  auto const input = noisy(rgb);
  for (auto const& shares :
       {std::pair(0.0f, 0.0f), std::pair(0.6f, 0.0f), std::pair(1.0f, 1.0f), std::pair(0.8f, 0.3f)}) {
    auto const strength = shares.first, grain = shares.second;
    CAPTURE(strength);
    CAPTURE(grain);
    Setting const setting{.format = rgb, .strength = strength, .keep_grain = grain};
    auto const output = found(setting, input);
    CHECK(output == expected(setting, input));
    CHECK((output == input) == (strength == 0));
  }
  for (int32_t const channels : {1, 3}) {
    Setting const setting{.format = {37, 21, channels, MIRNET_F32}, .strength = 0};
    auto const floats = noisy(setting.format);
    CHECK(found(setting, floats) == floats);
  }
}

TEST_CASE("alpha is copied, and hidden colours stay as they are and are not seen") {
  for (int32_t const channels : {2, 4}) {
    for (int32_t const type : {MIRNET_U8, MIRNET_U16, MIRNET_F32}) {
      CAPTURE(channels);
      CAPTURE(type);
      Setting const setting{.format = {41, 23, channels, type}};
      size_t const sample = sample_bytes(setting.format), pixel = sample * static_cast<size_t>(channels);
      auto const input = noisy(setting.format);
      auto other = input;  // in its hidden colours alone
      auto const output = found(setting, input);
      size_t hidden = 0;
      for (size_t at = 0; at < input.size(); at += pixel) {
        size_t const alpha = at + pixel - sample;
        bool const same_alpha = std::equal(&input[alpha], &input[alpha] + sample, &output[alpha]);
        REQUIRE(same_alpha);
        static constexpr std::byte zeros[4] = {};
        if (!std::equal(zeros, zeros + sample, &input[alpha])) continue;
        ++hidden;
        bool const same_colours = std::equal(&input[at], &input[alpha], &output[at]);
        REQUIRE(same_colours);
        std::fill(&other[at], &other[alpha], std::byte{0x3D});
      }
      CHECK(hidden > 50);
      auto const of_other = found(setting, other);
      bool same_seen = true;
      for (size_t at = 0; at < input.size(); at += pixel) {
        if (!std::equal(&input[at], &input[at] + pixel, &other[at])) continue;
        same_seen &= std::equal(&output[at], &output[at] + pixel, &of_other[at]);
      }
      CHECK(same_seen);
    }
  }
}

TEST_CASE("rows with gaps, from bottom to top, and side by side in one image") {
  for (int32_t const type : {MIRNET_U8, MIRNET_U16, MIRNET_F32}) {
    for (int32_t const channels : {1, 3, 4}) {
      CAPTURE(type);
      CAPTURE(channels);
      mirnet_format const format{19, 14, channels, type};
      auto const model = tiny_model();
      auto const options = threads(1);
      auto const made = plan(model, format, &options);
      auto const input = noisy(format);
      auto const straight = run(made, input);
      auto const row = static_cast<ptrdiff_t>(row_bytes(format));
      auto const gap = static_cast<ptrdiff_t>(sample_bytes(format)) * 5, stride = row + gap;
      constexpr std::byte unused{0xC3};

      for (bool const input_down : {true, false}) {
        for (bool const output_down : {true, false}) {
          CAPTURE(input_down);
          CAPTURE(output_down);
          // Exactly as large as the rows and what is between them, so that a sanitizer sees any step beyond.
          Bytes from(static_cast<size_t>(13 * stride + row), unused), to(from);
          auto const begin = [&](Bytes& bytes, bool down) { return bytes.data() + (down ? 0 : 13 * stride); };
          auto const step = [&](bool down) { return down ? stride : -stride; };
          for (ptrdiff_t y = 0; y < 14; ++y) {
            std::copy_n(&input[static_cast<size_t>(y * row)], row, begin(from, input_down) + y * step(input_down));
          }
          auto const before = from;
          REQUIRE(mirnet_run(made.get(), begin(from, input_down), step(input_down), begin(to, output_down),
                             step(output_down), nullptr, nullptr) == MIRNET_OK);
          CHECK(from == before);
          bool same = true, gaps_kept = true;
          for (ptrdiff_t y = 0; y < 14; ++y) {
            auto const* const at = begin(to, output_down) + y * step(output_down);
            same &= std::equal(at, at + row, &straight[static_cast<size_t>(y * row)]);
            auto const* const end = to.data() + to.size();
            for (auto const* gap_at = at + row; gap_at < (std::min)(at + stride, end); ++gap_at) {
              gaps_kept &= *gap_at == unused;
            }
          }
          CHECK(same);
          CHECK(gaps_kept);
        }
      }

      // The left half of an image is restored into its right half.
      Bytes both(static_cast<size_t>(2 * row * 14));
      for (ptrdiff_t y = 0; y < 14; ++y)
        std::copy_n(&input[static_cast<size_t>(y * row)], row, &both[static_cast<size_t>(2 * y * row)]);
      REQUIRE(mirnet_run(made.get(), both.data(), 2 * row, both.data() + row, 2 * row, nullptr, nullptr) == MIRNET_OK);
      bool left_kept = true, right_restored = true;
      for (ptrdiff_t y = 0; y < 14; ++y) {
        auto const* const at = &both[static_cast<size_t>(2 * y * row)];
        left_kept &= std::equal(at, at + row, &input[static_cast<size_t>(y * row)]);
        right_restored &= std::equal(at + row, at + 2 * row, &straight[static_cast<size_t>(y * row)]);
      }
      CHECK(left_kept);
      CHECK(right_restored);
    }
  }
}

TEST_CASE("tiles: the same bits for any number of threads, and for the caller's") {
  auto const input = noisy(in_tiles);
  for (int32_t const tile : {256, MIRNET_WHOLE}) {
    CAPTURE(tile);
    Setting const setting{.format = in_tiles, .tile = tile};
    auto const one = found(setting, input, 1);
    CHECK(one == expected(setting, input));
    for (int32_t const count : {2, 3}) {
      CAPTURE(count);
      CHECK(found(setting, input, count) == one);
    }
    // A scheduler that has workers, and does the last item first in the caller's thread; only the structure is copied.
    auto const model = tiny_model(setting);
    struct Calls {
      int64_t calls = 0, items = 0;
    } calls;
    auto made = [&] {
      mirnet_scheduler const scheduler{[](void* self, int64_t count, mirnet_task task, void* arguments) {
                                         auto& counted = *static_cast<Calls*>(self);
                                         ++counted.calls;
                                         counted.items += count;
                                         for (int64_t item = count; item-- > 0;) task(arguments, item, item % 3);
                                       },
                                       &calls, 3};
      auto options = threads(999, tile);  // of no account then
      options.scheduler = &scheduler;
      return plan(model, in_tiles, &options);
    }();
    auto info = mirnet_plan_info MIRNET_PLAN_INFO_INIT;
    REQUIRE(mirnet_plan_get_info(made.get(), &info, nullptr) == MIRNET_OK);
    CHECK(info.threads == 3);
    CHECK(run(made, input) == one);
    CHECK(calls.calls > 1);
    CHECK(calls.items > calls.calls);
  }
}

TEST_CASE("the most memory that a plan may take") {
  auto const model = tiny_model();
  mirnet_format const format{900, 700, 3, MIRNET_U8};
  auto options = threads(1, MIRNET_WHOLE);
  auto const needed = static_cast<int64_t>(mirnet_plan_memory(plan(model, format, &options).get()));

  options.most_memory = needed;  // just enough
  CHECK(static_cast<int64_t>(mirnet_plan_memory(plan(model, format, &options).get())) == needed);
  // Too little: the sentence names a tile that works.
  for (int64_t const most : {needed - 1, needed / 2, needed / 4}) {
    CAPTURE(most);
    options.tile = MIRNET_WHOLE;
    options.most_memory = most;
    auto const sentence = said([&](mirnet_error* error) {
      mirnet_plan* none = nullptr;
      return mirnet_plan_create(model.get(), &format, &options, &none, error);
    });
    CAPTURE(sentence);
    auto const start = "5: a run needs " + std::to_string(needed) + " bytes, most_memory is " + std::to_string(most) +
                       "; expected a tile of at most ";
    REQUIRE(sentence.substr(0, start.size()) == start);
    options.tile = std::stoi(sentence.substr(start.size()));
    CHECK(options.tile >= 256);
    auto const fits = plan(model, format, &options);
    CHECK(static_cast<int64_t>(mirnet_plan_memory(fits.get())) <= most);
  }
  options.most_memory = 1000;
  CHECK(said([&](mirnet_error* error) {
          mirnet_plan* none = nullptr;
          return mirnet_plan_create(model.get(), &format, &options, &none, error);
        }).find("no tile is small enough") != std::string::npos);

  // Threads share their tiles where they may not have one each, and the bits are the same.
  auto const input = noisy(in_tiles);
  auto several = threads(3, 256);
  auto const roomy = plan(model, in_tiles, &several);
  auto alone = threads(1, 256);
  several.most_memory = static_cast<int64_t>(
      (mirnet_plan_memory(plan(model, in_tiles, &alone).get()) + mirnet_plan_memory(roomy.get())) / 2);
  auto const tight = plan(model, in_tiles, &several);
  auto info = mirnet_plan_info MIRNET_PLAN_INFO_INIT;
  REQUIRE(mirnet_plan_get_info(tight.get(), &info, nullptr) == MIRNET_OK);
  CHECK(info.at_once == 1);
  CHECK(info.memory <= several.most_memory);
  CHECK(mirnet_plan_memory(roomy.get()) > mirnet_plan_memory(tight.get()));
  CHECK(run(roomy, input) == run(tight, input));
}

TEST_CASE("the caller's memory: exactly what the plan says, and nothing from the heap") {
  for (auto const& format :
       {rgb, mirnet_format{37, 21, 4, MIRNET_U16}, in_tiles, mirnet_format{300, 280, 2, MIRNET_F32}}) {
    for (int32_t const count : {1, 3}) {
      CAPTURE(format.width);
      CAPTURE(format.channels);
      CAPTURE(count);
      auto const model = tiny_model();
      auto const plan_options = threads(count, 256);
      auto const made = plan(model, format, &plan_options);
      auto const input = noisy(format);
      auto const usual = run(made, input);

      size_t const size = mirnet_plan_memory(made.get());
      test::Buffer<unsigned char> memory(static_cast<ptrdiff_t>(size), 0xFF);  // a sanitizer knows its end
      auto options = defaults<mirnet_run_options>();
      options.memory = memory.data();
      options.memory_size = size;
      Bytes output(input.size());
      long const before = test::allocations();
      auto const status = mirnet_run(made.get(), input.data(), 0, output.data(), 0, &options, nullptr);
      long const taken = test::allocations() - before;
      CHECK(status == MIRNET_OK);
      CHECK(output == usual);
      if (count == 1) CHECK(taken == 0);  // a pool of threads takes some

      // Nothing is written behind the end, where no sanitizer looks.
      test::Buffer<unsigned char> larger(static_cast<ptrdiff_t>(size) + 4096, 0x5A);
      options.memory = larger.data();
      CHECK(run(made, input, &options) == usual);
      CHECK(std::all_of(larger.begin() + static_cast<ptrdiff_t>(size), larger.end(),
                        [](auto byte) { return byte == 0x5A; }));
      options.memory_size = size + 4096;
      CHECK(run(made, input, &options) == usual);

      options.memory_size = size - 1;
      auto const says = [&] {
        return said([&](mirnet_error* error) {
          return mirnet_run(made.get(), input.data(), 0, output.data(), 0, &options, error);
        });
      };
      CHECK(says() ==
            "5: " + std::to_string(size) + " bytes of memory are needed, " + std::to_string(size - 1) + " are there");
      options.memory_size = 0;
      CHECK(says().substr(0, 3) == "5: ");
      options.memory = larger.data() + 32;
      options.memory_size = size + 4000;
      CHECK(says() == "2: the memory does not start at a multiple of 64");
    }
  }
}

TEST_CASE("finished rectangles cover each pixel once, with its final samples") {
  for (int32_t const count : {1, 3}) {
    for (int32_t const tile : {256, MIRNET_WHOLE}) {
      CAPTURE(count);
      CAPTURE(tile);
      mirnet_format const format{in_tiles.width, in_tiles.height, 4, MIRNET_U8};
      auto const model = tiny_model();
      auto const plan_options = threads(count, tile);
      auto const made = plan(model, format, &plan_options);
      auto const input = noisy(format);
      Bytes output(input.size(), std::byte{0x77});
      Finished finished{.format = format, .output = output.data()};
      auto options = defaults<mirnet_run_options>();
      options.finished = Finished::call;
      options.self = &finished;
      REQUIRE(mirnet_run(made.get(), input.data(), 0, output.data(), 0, &options, nullptr) == MIRNET_OK);
      CHECK(finished.inside);
      CHECK(finished.same_thread);
      CHECK(std::all_of(finished.times.begin(), finished.times.end(), [](int times) { return times == 1; }));
      CHECK(finished.when_told == output);
    }
  }
}

TEST_CASE("progress, and runs that are cancelled") {
  auto const model = tiny_model();
  auto const input = noisy(in_tiles);
  for (int32_t const count : {1, 3}) {
    CAPTURE(count);
    auto const plan_options = threads(count, 256);
    auto const made = plan(model, in_tiles, &plan_options);
    Watch watch;
    auto options = watch.options();
    auto const usual = run(made, input, &options);
    CHECK(watch.calls > 20);
    CHECK(watch.rises);
    CHECK(watch.in_range);
    CHECK(watch.alone);
    CHECK(watch.last == doctest::Approx(1.0).epsilon(1e-6));
    for (double const from : {0.0, 0.01, 0.5, 1.0 - 1e-6}) {
      CAPTURE(from);
      Watch cancelling{.cancel_from = from};
      options = cancelling.options();
      Bytes output(input.size());
      mirnet_error error;
      CHECK(mirnet_run(made.get(), input.data(), 0, output.data(), 0, &options, &error) == MIRNET_CANCELLED);
      CHECK(std::string(error.message) == "stopped before the image was done");
      CHECK(cancelling.ended);
      CHECK(cancelling.calls_after_the_end == 0);
    }
    CHECK(run(made, input) == usual);
  }
}

TEST_CASE("threads share one model and one plan") {
  auto const model = tiny_model();
  mirnet_format const format{300, 270, 3, MIRNET_U8};
  auto const plan_options = threads(2, 256);
  auto const made = plan(model, format, &plan_options);
  constexpr int count = 4;
  std::vector<Bytes> inputs, expected_outputs, outputs(count);
  for (int i = 0; i < count; ++i) {
    inputs.push_back(noisy(format, static_cast<std::uint64_t>(i) + 10));
    expected_outputs.push_back(run(made, inputs.back()));
    outputs[static_cast<size_t>(i)].resize(inputs.back().size());
  }
  std::atomic<int> failures{0};
  std::vector<std::thread> started;
  for (size_t i = 0; i < count; ++i) {
    started.emplace_back([&, i] {
      for (int repeated = 0; repeated < 2; ++repeated) {
        if (mirnet_run(made.get(), inputs[i].data(), 0, outputs[i].data(), 0, nullptr, nullptr) != MIRNET_OK)
          ++failures;
        // Others plan meanwhile, and ask.
        mirnet_plan* other = nullptr;
        auto info = mirnet_plan_info MIRNET_PLAN_INFO_INIT;
        if (mirnet_plan_create(model.get(), &rgb, nullptr, &other, nullptr) != MIRNET_OK) ++failures;
        if (mirnet_plan_get_info(other, &info, nullptr) != MIRNET_OK) ++failures;
        mirnet_plan_free(other);
      }
    });
  }
  for (auto& thread : started) thread.join();
  CHECK(failures == 0);
  CHECK(outputs == expected_outputs);
}

TEST_CASE("a profile has the nodes of one tile") {
  struct Node {
    std::string name, operation, kernel;
    uint64_t macs;
    int64_t bytes;
    double seconds;
  };
  for (int32_t const count : {1, 2}) {
    for (bool const in_bfloat16 : {false, true}) {
      if (in_bfloat16 && instruction_sets()[0] == "scalar") continue;
      auto const model = tiny_model({.in_bfloat16 = in_bfloat16});
      auto const plan_options = threads(count, 256);
      auto const made = plan(model, in_tiles, &plan_options);
      auto info = mirnet_plan_info MIRNET_PLAN_INFO_INIT;
      REQUIRE(mirnet_plan_get_info(made.get(), &info, nullptr) == MIRNET_OK);
      std::vector<Node> nodes;
      REQUIRE(mirnet_profile(
                  made.get(), 3,
                  [](void* self, mirnet_node const* node) {
                    CHECK(node->struct_size == sizeof(mirnet_node));
                    CHECK((node->input_height > 0 && node->input_width > 0 && node->input_channels > 0));
                    CHECK((node->output_height > 0 && node->output_width > 0 && node->output_channels > 0));
                    static_cast<std::vector<Node>*>(self)->push_back(
                        {node->name, node->operation, node->kernel, node->macs, node->bytes, node->seconds});
                  },
                  nullptr, &nodes, nullptr) == MIRNET_OK);
      REQUIRE(nodes.size() > 5);
      uint64_t macs = 0;
      double seconds = 0;
      std::vector<std::string> names;
      for (auto const& node : nodes) {
        CHECK(node.name != "");
        CHECK(node.operation != "");
        CHECK(node.bytes > 0);
        CHECK(node.seconds >= 0);
        names.push_back(node.name);
        macs += node.macs;
        seconds += node.seconds;
      }
      CHECK(macs * static_cast<uint64_t>(info.columns * info.rows) == info.macs);
      CHECK(seconds > 0);
      CHECK(seconds < 60);
      for (char const* const name : {"conv_in", "conv_out"}) {
        CHECK(std::find(names.begin(), names.end(), name) != names.end());
      }
      std::sort(names.begin(), names.end());
      CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
    }
  }
}

TEST_CASE("the progress of a profile, and profiles that are cancelled") {
  auto const model = tiny_model();
  auto const plan_options = threads(1);
  auto const made = plan(model, rgb, &plan_options);
  struct Both {
    Watch watch;
    int nodes = 0;
  };
  auto const profile = [&](Both& both, mirnet_error* error) {
    return mirnet_profile(
        made.get(), 3, [](void* self, mirnet_node const*) { ++static_cast<Both*>(self)->nodes; },
        [](void* self, double done) { return Watch::call(&static_cast<Both*>(self)->watch, done); }, &both, error);
  };
  Both whole;
  REQUIRE(profile(whole, nullptr) == MIRNET_OK);
  CHECK(whole.nodes > 5);
  CHECK(whole.watch.calls > 20);
  CHECK(whole.watch.rises);
  CHECK(whole.watch.in_range);
  CHECK(whole.watch.last == doctest::Approx(1.0).epsilon(1e-6));
  for (double const from : {0.0, 0.5, 1.0 - 1e-6}) {
    CAPTURE(from);
    Both cancelled{.watch = {.cancel_from = from}};
    mirnet_error error;
    CHECK(profile(cancelled, &error) == MIRNET_CANCELLED);
    CHECK(cancelled.nodes == 0);
    CHECK(cancelled.watch.ended);
    CHECK(cancelled.watch.calls_after_the_end == 0);
  }
}

TEST_CASE("two views") {
  for (int32_t const type : {MIRNET_U8, MIRNET_F32}) {
    for (int32_t const channels : {3, 4}) {
      CAPTURE(type);
      CAPTURE(channels);
      Setting const setting{.format = {33, 20, channels, type}, .strength = 0.7f};
      auto const options = model_options(setting);
      auto const model = load(reference::two_view_weights(), &options);
      auto const plan_options = threads(1);
      auto const made = plan(model, setting.format, &plan_options);
      auto const left = noisy(setting.format, 1), right = noisy(setting.format, 2);
      auto run_options = defaults<mirnet_run_options>();
      run_options.strength = setting.strength;
      run_options.right_view = right.data();
      auto const result = run(made, left, &run_options);
      CHECK(result == expected(setting, left, right));
      run_options.right_view = left.data();
      CHECK(run(made, left, &run_options) != result);

      // From bottom to top, in memory of the plan's size.
      Bytes turned;
      size_t const row = row_bytes(setting.format);
      for (size_t y = 20; y-- > 0;) turned.insert(turned.end(), &right[y * row], &right[y * row] + row);
      run_options.right_view = turned.data() + 19 * row;
      run_options.right_stride = -static_cast<ptrdiff_t>(row);
      size_t const size = mirnet_plan_memory(made.get());
      test::Buffer<unsigned char> memory(static_cast<ptrdiff_t>(size), 0xFF);
      run_options.memory = memory.data();
      run_options.memory_size = size;
      CHECK(run(made, left, &run_options) == result);
    }
  }
}

// Each request for memory fails, alone and with all that follow: the status says so, and nothing is kept.
TEST_CASE("no memory is an error, and no exception leaves") {
  auto const& weights = reference::tiny_weights();
  auto const model = tiny_model();
  auto const plan_options = threads(1);
  auto const made = plan(model, rgb, &plan_options);
  auto const input = noisy(rgb);
  Bytes output(input.size());
  auto const each = [](char const* what, auto&& operation) {
    CAPTURE(what);
    REQUIRE(operation() == MIRNET_OK);
    for (bool const once : {true, false}) {
      CAPTURE(once);
      long number = 0;
      for (bool failed = true; failed;) {
        ++number;
        CAPTURE(number);
        long const before = test::live_allocations();
        test::FailingHeap heap(number, once);
        mirnet_status const status = operation();
        heap.end();
        failed = heap.failed();
        CHECK((status == MIRNET_OK || (failed && status == MIRNET_MEMORY)));
        if (!failed) CHECK(status == MIRNET_OK);
        CHECK(test::live_allocations() == before);
        REQUIRE(number < 100'000);
      }
      CHECK(number > 1);
    }
  };
  each("load", [&] {
    mirnet_model* loaded = nullptr;
    auto const status = mirnet_model_load_memory(weights.data(), weights.size(), nullptr, &loaded, nullptr);
    if ((status == MIRNET_OK) != (loaded != nullptr)) return MIRNET_INTERNAL;
    mirnet_model_free(loaded);
    return status;
  });
  each("plan", [&] {
    mirnet_plan* planned = nullptr;
    auto const status = mirnet_plan_create(model.get(), &rgb, &plan_options, &planned, nullptr);
    if ((status == MIRNET_OK) != (planned != nullptr)) return MIRNET_INTERNAL;
    mirnet_plan_free(planned);
    return status;
  });
  each("run", [&] { return mirnet_run(made.get(), input.data(), 0, output.data(), 0, nullptr, nullptr); });
  each("profile", [&] {
    return mirnet_profile(
        made.get(), 2, [](void*, mirnet_node const*) {}, nullptr, nullptr, nullptr);
  });
}

// Each function of mirnet.h with arguments that it refuses: the status, and the sentence.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/version.hpp>

#include "support/folder.hpp"

#include "handles.hpp"

using namespace c;

namespace {

// A program that was built with this header tells a later library how many members it knows by the size alone, so a
// later member must not lie where this header has padding.
template <class Options, class Last>
constexpr bool ends_with(std::size_t offset) {
  return offset + sizeof(Last) == sizeof(Options);
}
#if SIZE_MAX > 0xFFFFFFFFu
static_assert(ends_with<mirnet_model_options, int32_t>(offsetof(mirnet_model_options, algorithm)));
static_assert(ends_with<mirnet_plan_options, int64_t>(offsetof(mirnet_plan_options, most_memory)));
static_assert(ends_with<mirnet_model_info, int32_t>(offsetof(mirnet_model_info, reserved)));
static_assert(ends_with<mirnet_run_options, void*>(offsetof(mirnet_run_options, self)));
// What a program that was built with version 1 of the interface has in its memory.
static_assert(sizeof(mirnet_error) == 516 && sizeof(mirnet_format) == 24 && sizeof(mirnet_scheduler) == 24);
static_assert(sizeof(mirnet_model_options) == 24 && sizeof(mirnet_plan_options) == 32 &&
              sizeof(mirnet_run_options) == 72);
static_assert(sizeof(mirnet_model_info) == 64 && sizeof(mirnet_plan_info) == 64 && sizeof(mirnet_node) == 104);
#endif
static_assert(offsetof(mirnet_model_options, struct_size) == 0 && offsetof(mirnet_plan_options, struct_size) == 0 &&
              offsetof(mirnet_run_options, struct_size) == 0 && offsetof(mirnet_model_info, struct_size) == 0 &&
              offsetof(mirnet_plan_info, struct_size) == 0);

constexpr mirnet_format small{16, 12, 3, MIRNET_U8};

std::string load_says(Bytes const& weights, mirnet_model_options const* options = nullptr) {
  return said([&](mirnet_error* error) {
    auto* model = reinterpret_cast<mirnet_model*>(&error);  // anything but NULL
    auto const status = mirnet_model_load_memory(weights.data(), weights.size(), options, &model, error);
    CHECK((status == MIRNET_OK) == (model != nullptr));
    mirnet_model_free(model);
    return status;
  });
}

std::string load_file_says(char const* path, mirnet_model_options const* options = nullptr) {
  return said([&](mirnet_error* error) {
    auto* model = reinterpret_cast<mirnet_model*>(&error);
    auto const status = mirnet_model_load_file(path, options, &model, error);
    CHECK((status == MIRNET_OK) == (model != nullptr));
    mirnet_model_free(model);
    return status;
  });
}

std::string plan_says(Model const& model, mirnet_format const& format, mirnet_plan_options const* options = nullptr) {
  return said([&](mirnet_error* error) {
    auto* made = reinterpret_cast<mirnet_plan*>(&error);
    auto const status = mirnet_plan_create(model.get(), &format, options, &made, error);
    CHECK((status == MIRNET_OK) == (made != nullptr));
    mirnet_plan_free(made);
    return status;
  });
}

template <class Change>
mirnet_plan_options plan_options(Change&& change) {
  auto options = threads(1);
  change(options);
  return options;
}

void write(std::string const& path, Bytes const& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
}

}  // namespace

TEST_CASE("the version, and the instruction sets") {
  CHECK(std::string(mirnet_version()) == MIRNET_VERSION);
  auto const sets = instruction_sets();
  REQUIRE(!sets.empty());
  auto const count = static_cast<int32_t>(sets.size());
  for (int32_t const index :
       {-1, count, count + 1, (std::numeric_limits<int32_t>::max)(), (std::numeric_limits<int32_t>::min)()}) {
    CHECK(mirnet_instruction_set(index) == nullptr);
  }
  for (auto const& set : sets) {
    CAPTURE(set);
    auto options = defaults<mirnet_model_options>();
    options.instruction_set = set.c_str();
    for (auto const& [precision, name] : {std::pair(MIRNET_FP32, "fp32"), std::pair(MIRNET_BF16, "bf16")}) {
      options.precision = precision;
      mirnet_model* made = nullptr;
      mirnet_error error;
      auto const status = mirnet_model_load_memory(reference::tiny_weights().data(), reference::tiny_weights().size(),
                                                   &options, &made, &error);
      if (set == "scalar" && precision == MIRNET_BF16) {
        CHECK(status == MIRNET_INVALID_ARGUMENT);
        continue;
      }
      REQUIRE(status == MIRNET_OK);
      Model const model(made);
      auto info = mirnet_model_info MIRNET_MODEL_INFO_INIT;
      REQUIRE(mirnet_model_get_info(made, &info, nullptr) == MIRNET_OK);
      CHECK(std::string(info.precision) == name);
      // The one set whose kernels of fp32 are those of another.
      bool const borrowed = set == "avx512bf16" && precision == MIRNET_FP32;
      CHECK(std::string(info.instruction_set) == (borrowed ? "avx512" : set));
    }
    // What auto stands for.
    options.precision = MIRNET_PRECISION_AUTO;
    auto const model = load(reference::tiny_weights(), &options);
    auto info = mirnet_model_info MIRNET_MODEL_INFO_INIT;
    REQUIRE(mirnet_model_get_info(model.get(), &info, nullptr) == MIRNET_OK);
    CHECK(std::string(info.precision) == (set == "avx512bf16" ? "bf16" : "fp32"));
  }
}

TEST_CASE("models: what cannot be loaded") {
  auto const& weights = reference::tiny_weights();
  CHECK(load_says(weights) == "OK");
  CHECK(said([&](mirnet_error* error) {
          return mirnet_model_load_memory(weights.data(), weights.size(), nullptr, nullptr, error);
        }) == "2: model is NULL");
  CHECK(said([&](mirnet_error* error) { return mirnet_model_load_file("x", nullptr, nullptr, error); }) ==
        "2: model is NULL");
  CHECK(said([&](mirnet_error* error) {
          mirnet_model* model = nullptr;
          return mirnet_model_load_memory(nullptr, weights.size(), nullptr, &model, error);
        }) == "2: bytes is NULL");
  CHECK(load_file_says(nullptr) == "2: path is NULL");

  for (std::size_t const size : {std::size_t{1}, std::size_t{127}, weights.size() / 2, weights.size() - 1}) {
    CAPTURE(size);
    auto const begin = weights.begin();
    CHECK(load_says(Bytes(begin, begin + static_cast<std::ptrdiff_t>(size))).substr(0, 3) == "4: ");
  }
  auto damaged = weights;
  damaged[weights.size() - 100] ^= std::byte{1};
  CHECK(load_says(damaged).substr(0, 3) == "4: ");
  CHECK(said([&](mirnet_error* error) {
          mirnet_model* model = nullptr;
          return mirnet_model_load_memory(weights.data(), 0, nullptr, &model, error);
        }).substr(0, 3) == "4: ");

  test::Folder const folder;
  std::string const path = folder / "r\xC3\xA9seau \xE2\x82\xAC.mirw";
  write(path, weights);
  CHECK(load_file_says(path.c_str()) == "OK");
  write(path, damaged);
  auto const sentence = load_file_says(path.c_str());
  CAPTURE(sentence);
  CHECK(sentence.substr(0, 3 + path.size() + 2) == "4: " + path + ": ");
  std::string const missing = folder / "missing.mirw";
  CHECK(load_file_says(missing.c_str()).substr(0, 3 + missing.size()) == "4: " + missing);
  CHECK(load_file_says(folder.path.string().c_str()).substr(0, 3) == "4: ");
  CHECK(load_file_says("").substr(0, 3) == "4: ");
  // A name that is longer than a message, which is cut between two characters.
  for (std::string const character : {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x93\xB7"}) {
    for (std::string name : {"", "a", "ab", "abc"}) {
      auto const start = "4: " + name + character;
      for (int i = 0; i < 600; ++i) name += character;
      auto const cut = load_file_says(name.c_str());
      CAPTURE(cut);
      CHECK(cut.substr(0, start.size()) == start);
      CHECK(cut.size() > 3 + 511 - character.size());
      CHECK(cut.substr(3) == name.substr(0, cut.size() - 3));
      CHECK((cut.size() - start.size()) % character.size() == 0);
    }
  }
}

TEST_CASE("models: options that are refused") {
  auto const& weights = reference::tiny_weights();
  auto const says = [&](auto&& change) {
    auto options = defaults<mirnet_model_options>();
    change(options);
    auto const sentence = load_says(weights, &options);
    CHECK(load_file_says("missing", &options) != "OK");
    return sentence;
  };
  CHECK(says([](auto&) {}) == "OK");
  CHECK(says([](auto& options) { options.struct_size = 0; }) ==
        "2: options: struct_size is 0; expected the size of the structure");
  CHECK(says([](auto& options) { options.struct_size = sizeof(size_t) - 1; }).substr(0, 3) == "2: ");
  CHECK(says([](auto& options) { options.struct_size = static_cast<size_t>(-1); }).substr(0, 3) == "2: ");
  CHECK(says([](auto& options) { options.precision = -1; }) == "2: precision is -1; expected 0 to 2");
  CHECK(says([](auto& options) { options.precision = 3; }) == "2: precision is 3; expected 0 to 2");
  CHECK(says([](auto& options) { options.algorithm = -1; }) == "2: algorithm is -1; expected 0 or 1");
  CHECK(says([](auto& options) { options.algorithm = 2; }) == "2: algorithm is 2; expected 0 or 1");
  for (char const* name : {"mmx", "", "AVX2 "}) {
    auto const sentence = says([&](auto& options) { options.instruction_set = name; });
    CAPTURE(sentence);
    CHECK(sentence.substr(0, 3) == "2: ");
    for (auto const& set : instruction_sets()) CHECK(sentence.find(set) != std::string::npos);  // says what there is
  }
}

TEST_CASE("structures of programs that know fewer members, or more") {
  auto const& weights = reference::tiny_weights();
  // Fewer: what lies behind struct_size is somebody else's.
  {
    struct {
      size_t struct_size = sizeof(size_t);
      unsigned char others[64];
    } old;
    std::memset(old.others, 0xEE, sizeof old.others);
    CHECK(load_says(weights, reinterpret_cast<mirnet_model_options const*>(&old)) == "OK");
    auto const model = load(weights);
    CHECK(plan_says(model, small, reinterpret_cast<mirnet_plan_options const*>(&old)) == "OK");
    auto const made = plan(model, small);
    auto const input = noisy(small);
    CHECK(run(made, input, reinterpret_cast<mirnet_run_options const*>(&old)) == run(made, input));
  }
  // Up to a member in the middle: `strength` counts, `keep_grain` is the default.
  auto const model = load(weights);
  auto const made = plan(model, small);
  auto const input = noisy(small);
  auto options = defaults<mirnet_run_options>();
  options.strength = 0;
  options.keep_grain = 7;
  options.struct_size = offsetof(mirnet_run_options, keep_grain);
  CHECK(run(made, input, &options) == input);
  // More: what this version does not know has to be zero.
  struct {
    mirnet_run_options known = MIRNET_RUN_OPTIONS_INIT;
    unsigned char later[200];
  } later;
  std::memset(later.later, 0, sizeof later.later);
  later.known.struct_size = sizeof later;
  later.known.strength = 0;
  CHECK(run(made, input, &later.known) == input);
  later.later[7] = 1;
  auto const unknown = said([&](mirnet_error* error) {
    Bytes output(input.size());
    return mirnet_run(made.get(), input.data(), 0, output.data(), 0, &later.known, error);
  });
  CHECK(unknown == "2: options: a member at byte " + std::to_string(sizeof(mirnet_run_options) + 7) +
                       " is set, which version " + mirnet_version() + " does not know; expected zero");

  // The same for what is filled.
  auto const fills = [](auto get, auto info, auto member) {
    using Info = decltype(info);
    struct {
      Info info;
      unsigned char after[64];
    } given;
    auto whole = info;
    REQUIRE(get(&whole) == MIRNET_OK);
    for (size_t const size : {sizeof(size_t), size_t{24}, sizeof(Info), sizeof given}) {
      CAPTURE(size);
      std::memset(&given, 0xEE, sizeof given);
      given.info.struct_size = size;
      REQUIRE(get(&given.info) == MIRNET_OK);
      CHECK(given.info.struct_size == size);
      auto const* const bytes = reinterpret_cast<unsigned char const*>(&given);
      size_t const filled = size < sizeof(Info) ? size : sizeof(Info);
      bool untouched = true;
      for (size_t i = filled; i < sizeof given; ++i) untouched &= bytes[i] == 0xEE;
      CHECK(untouched);
      if (size >= sizeof(Info)) CHECK(given.info.*member == whole.*member);
    }
    for (size_t const size : {size_t{0}, sizeof(size_t) - 1, size_t{5000}}) {
      given.info.struct_size = size;
      CHECK(get(&given.info) == MIRNET_INVALID_ARGUMENT);
    }
    CHECK(get(nullptr) == MIRNET_INVALID_ARGUMENT);
  };
  fills([&](mirnet_model_info* to) { return mirnet_model_get_info(model.get(), to, nullptr); },
        mirnet_model_info MIRNET_MODEL_INFO_INIT, &mirnet_model_info::views);
  fills([&](mirnet_plan_info* to) { return mirnet_plan_get_info(made.get(), to, nullptr); },
        mirnet_plan_info MIRNET_PLAN_INFO_INIT, &mirnet_plan_info::at_once);
}

TEST_CASE("facts about models and plans") {
  auto const model = load(reference::tiny_weights());
  auto info = mirnet_model_info MIRNET_MODEL_INFO_INIT;
  REQUIRE(mirnet_model_get_info(model.get(), &info, nullptr) == MIRNET_OK);
  CHECK(std::string(info.network) == "MIRNet");
  CHECK(std::string(info.task) == "unspecified");  // test weights are for none
  CHECK(info.views == 1);
  CHECK(info.parameters > 1000);
  CHECK(info.bytes >= 2 * info.parameters);
  auto const two = load(reference::two_view_weights());
  REQUIRE(mirnet_model_get_info(two.get(), &info, nullptr) == MIRNET_OK);
  CHECK(std::string(info.network) == "MIRNet-v2");
  CHECK(info.views == 2);

  auto options = threads(3, 256);
  auto const tiles = plan(model, {600, 300, 3, MIRNET_U8}, &options);
  auto facts = mirnet_plan_info MIRNET_PLAN_INFO_INIT;
  REQUIRE(mirnet_plan_get_info(tiles.get(), &facts, nullptr) == MIRNET_OK);
  CHECK(facts.columns == 3);
  CHECK(facts.rows == 2);
  CHECK((facts.tile_width <= 256 && facts.columns * facts.tile_width >= 600));
  CHECK((facts.tile_height <= 256 && facts.rows * facts.tile_height >= 300));
  CHECK(facts.threads == 3);
  CHECK(facts.at_once == 3);
  CHECK(facts.memory == static_cast<int64_t>(mirnet_plan_memory(tiles.get())));
  CHECK(facts.macs % 6 == 0);
  auto const whole_options = threads(1, MIRNET_WHOLE);
  auto const whole = plan(model, {600, 300, 3, MIRNET_U8}, &whole_options);
  auto const all_macs = facts.macs;
  REQUIRE(mirnet_plan_get_info(whole.get(), &facts, nullptr) == MIRNET_OK);
  CHECK((facts.columns == 1 && facts.rows == 1 && facts.tile_width == 600 && facts.tile_height == 300));
  CHECK((facts.macs > 0 && facts.macs < all_macs));  // tiles overlap
  CHECK(facts.at_once == 1);

  CHECK(said([&](mirnet_error* error) { return mirnet_model_get_info(nullptr, &info, error); }) == "2: model is NULL");
  CHECK(said([&](mirnet_error* error) { return mirnet_model_get_info(model.get(), nullptr, error); }) ==
        "2: info is NULL");
  CHECK(said([&](mirnet_error* error) { return mirnet_plan_get_info(nullptr, &facts, error); }) == "2: plan is NULL");
  CHECK(said([&](mirnet_error* error) { return mirnet_plan_get_info(whole.get(), nullptr, error); }) ==
        "2: info is NULL");
  CHECK(mirnet_plan_memory(nullptr) == 0);
  mirnet_model_free(nullptr);
  mirnet_plan_free(nullptr);
}

TEST_CASE("plans: what is refused") {
  auto const model = load(reference::tiny_weights());
  CHECK(said([&](mirnet_error* error) { return mirnet_plan_create(model.get(), &small, nullptr, nullptr, error); }) ==
        "2: plan is NULL");
  CHECK(said([&](mirnet_error* error) {
          mirnet_plan* made = nullptr;
          return mirnet_plan_create(nullptr, &small, nullptr, &made, error);
        }) == "2: model is NULL");
  CHECK(said([&](mirnet_error* error) {
          mirnet_plan* made = nullptr;
          return mirnet_plan_create(model.get(), nullptr, nullptr, &made, error);
        }) == "2: format is NULL");

  constexpr auto largest = (std::numeric_limits<int64_t>::max)(), least = (std::numeric_limits<int64_t>::min)();
  for (int64_t const side : {int64_t{0}, int64_t{-1}, int64_t{1} << 31, largest, least}) {
    auto const found = std::to_string(side) + "; expected 1 to 2147483647";
    CHECK(plan_says(model, {side, 4, 3, MIRNET_U8}) == "2: width is " + found);
    CHECK(plan_says(model, {4, side, 3, MIRNET_U8}) == "2: height is " + found);
  }
  for (int32_t const channels : {0, -1, 5, (std::numeric_limits<int32_t>::min)()}) {
    CHECK(plan_says(model, {4, 4, channels, MIRNET_U8}) ==
          "2: channels is " + std::to_string(channels) + "; expected 1 to 4");
  }
  for (int32_t const type : {-1, 3}) {
    CHECK(plan_says(model, {4, 4, 3, type}) == "2: type is " + std::to_string(type) + "; expected 0 to 2");
  }

  auto const says = [&](auto&& change) {
    auto const options = plan_options(change);
    return plan_says(model, small, &options);
  };
  CHECK(says([](auto&) {}) == "OK");
  CHECK(says([](auto& options) { options.struct_size = 3; }) ==
        "2: options: struct_size is 3; expected the size of the structure");
  for (int32_t const tile : {1, 255, -2, (std::numeric_limits<int32_t>::min)()}) {
    CHECK(says([&](auto& options) { options.tile = tile; }) ==
          "2: tile is " + std::to_string(tile) + "; expected 256 or more, 0 or MIRNET_WHOLE");
  }
  for (int32_t const count : {-1, 1025, (std::numeric_limits<int32_t>::max)()}) {
    CHECK(says([&](auto& options) { options.threads = count; }) ==
          "2: threads is " + std::to_string(count) + "; expected 0 to 1024");
  }
  CHECK(says([](auto& options) { options.most_memory = -1; }) == "2: most_memory is -1; expected 0 or more");
  mirnet_scheduler scheduler{nullptr, nullptr, 1};
  CHECK(says([&](auto& options) { options.scheduler = &scheduler; }) == "2: the scheduler's run is NULL");
  scheduler.run = [](void*, int64_t, mirnet_task, void*) {};
  for (int32_t const workers : {0, -1, 1025}) {
    scheduler.workers = workers;
    CHECK(says([&](auto& options) { options.scheduler = &scheduler; }) ==
          "2: the scheduler has " + std::to_string(workers) + " workers; expected 1 to 1024");
  }
}

// Sizes whose bytes no number or no memory holds end in an error, and soon.
TEST_CASE("plans: what no memory holds") {
  auto const model = load(reference::tiny_weights());
  auto const began = std::chrono::steady_clock::now();
  constexpr int64_t longest = (std::numeric_limits<int32_t>::max)();
  struct Size {
    int64_t width, height;
  };
  for (auto const size : {Size{longest, longest}, Size{longest, 1 << 30}, Size{1 << 30, longest}}) {
    for (int32_t const type : {MIRNET_U8, MIRNET_U16, MIRNET_F32}) {
      for (int32_t const tile : {0, MIRNET_WHOLE, 256, (std::numeric_limits<int32_t>::max)()}) {
        auto const options = threads(2, tile);
        CAPTURE(size.width);
        CAPTURE(size.height);
        CAPTURE(tile);
        for (int32_t const channels : {3, 4}) {
          auto const sentence = plan_says(model, {size.width, size.height, channels, type}, &options);
          bool const says_memory = sentence.substr(0, 3) == "5: " || sentence == "OK";
          CHECK_MESSAGE(says_memory, sentence);
          if (type == MIRNET_F32) CHECK(sentence != "OK");
        }
      }
    }
  }
  // A tile may be as long as it likes; what fits is looked for among those that differ.
  for (auto const size : {Size{300, 200}, Size{longest, 1}, Size{1, longest}, Size{20000, 20000}}) {
    auto options = threads(1, (std::numeric_limits<int32_t>::max)());
    options.most_memory = 1;
    CAPTURE(size.width);
    auto const sentence = plan_says(model, {size.width, size.height, 3, MIRNET_U8}, &options);
    CAPTURE(sentence);
    CHECK(sentence.substr(0, 14) == "5: a run needs");
    CHECK(sentence.find("no tile is small enough") != std::string::npos);
  }
  std::chrono::duration<double> const took = std::chrono::steady_clock::now() - began;
  CHECK(took.count() < 30);
}

TEST_CASE("runs: what is refused") {
  auto const model = load(reference::tiny_weights());
  constexpr mirnet_format format{16, 12, 3, MIRNET_U16};
  auto const options = threads(1);
  auto const made = plan(model, format, &options);
  constexpr ptrdiff_t row = 16 * 3 * 2;
  Bytes memory(60 * row);
  auto* const input = memory.data();
  auto* const output = input + 20 * row;
  auto const says = [&](void const* from, ptrdiff_t from_stride, void* to, ptrdiff_t to_stride,
                        mirnet_run_options const* given = nullptr) {
    return said(
        [&](mirnet_error* error) { return mirnet_run(made.get(), from, from_stride, to, to_stride, given, error); });
  };
  CHECK(says(input, 0, output, 0) == "OK");
  CHECK(said([&](mirnet_error* error) { return mirnet_run(nullptr, input, 0, output, 0, nullptr, error); }) ==
        "2: plan is NULL");
  CHECK(says(nullptr, 0, output, 0) == "2: input is NULL");
  CHECK(says(input, 0, nullptr, 0) == "2: output is NULL");

  auto const misaligned = std::string(": rows do not start at a multiple of 2 bytes, a sample's size");
  CHECK(says(input + 1, 0, output, 0) == "2: input" + misaligned);
  CHECK(says(input, 0, output + 1, 0) == "2: output" + misaligned);
  CHECK(says(input, row + 1, output, 0) == "2: input" + misaligned);
  CHECK(says(input, 0, output, -row - 1) == "2: output" + misaligned);
  for (ptrdiff_t const stride : {ptrdiff_t{2}, row - 2, 2 - row, ptrdiff_t{-2}}) {
    auto const found = ": the stride is " + std::to_string(stride) + "; expected at least the 96 bytes of a row";
    CHECK(says(input, stride, output, 0) == "2: input" + found);
    CHECK(says(input, 0, output, stride) == "2: output" + found);
  }
  constexpr auto largest = (std::numeric_limits<ptrdiff_t>::max)() - 1, least = (std::numeric_limits<ptrdiff_t>::min)();
  for (ptrdiff_t const stride : {largest, least, largest / 12 + 2 - largest / 12 % 2, least / 2}) {
    auto const found = ": the stride is " + std::to_string(stride) + ", which the 12 rows of an image cannot have";
    CHECK(says(input, stride, output, 0) == "2: input" + found);
    CHECK(says(input, 0, output, stride) == "2: output" + found);
  }

  // In place, by one row, and by one sample of the last row; upside down, too.
  auto const overlaps = std::string("2: output and input overlap");
  CHECK(says(input, 0, input, 0) == overlaps);
  CHECK(says(input, 0, input + row, 0) == overlaps);
  CHECK(says(input, 0, input + 12 * row - 2, 0) == overlaps);
  CHECK(says(input, 0, input + 12 * row, 0) == "OK");
  CHECK(says(input + 12 * row, 0, input, 0) == "OK");
  CHECK(says(input + 12 * row - 2, 0, input, 0) == overlaps);
  CHECK(says(input + 11 * row, -row, input, 0) == overlaps);
  CHECK(says(input + 11 * row, -row, input + 12 * row, 0) == "OK");
  CHECK(says(input + 11 * row, -row, input + 23 * row, -row) == "OK");
  CHECK(says(input + 11 * row, -row, input + 22 * row, -row) == overlaps);
  // Side by side, and not quite.
  CHECK(says(input, 2 * row, input + row, 2 * row) == "OK");
  CHECK(says(input, 2 * row, input + row - 2, 2 * row) == overlaps);
  CHECK(says(input, 2 * row, input + row + 2, 2 * row) == overlaps);
  CHECK(says(input + 22 * row, -2 * row, input + row, 2 * row) == "OK");
  CHECK(says(input + 22 * row, -2 * row, input + 2 + row, 2 * row) == overlaps);
  CHECK(says(input, 2 * row, input + row, 4 * row) == "OK");
  CHECK(says(input, 2 * row, input + 2 * row, 4 * row) == overlaps);

  auto const refused = [&](auto&& change) {
    auto given = defaults<mirnet_run_options>();
    change(given);
    return says(input, 0, output, 0, &given);
  };
  CHECK(refused([](auto&) {}) == "OK");
  CHECK(refused([](auto& given) { given.struct_size = 7; }) ==
        "2: options: struct_size is 7; expected the size of the structure");
  CHECK(refused([](auto& given) { given.strength = 1.5f; }) == "2: strength is 1.5; expected 0 to 1");
  CHECK(refused([](auto& given) { given.strength = -0.5f; }) == "2: strength is -0.5; expected 0 to 1");
  CHECK(refused([](auto& given) { given.keep_grain = 2; }) == "2: keep_grain is 2; expected 0 to 1");
  auto const no_number = std::numeric_limits<float>::quiet_NaN();
  CHECK(refused([&](auto& given) { given.strength = no_number; }).substr(0, 14) == "2: strength is");
  CHECK(refused([&](auto& given) { given.keep_grain = no_number; }).substr(0, 16) == "2: keep_grain is");

  // Views that the model does not take, or that are missing, are the caller's mistake.
  CHECK(refused([&](auto& given) { given.right_view = input; }).substr(0, 3) == "2: ");
  auto const two = load(reference::two_view_weights());
  auto const two_views = plan(two, format, &options);
  CHECK(said([&](mirnet_error* error) {
          return mirnet_run(two_views.get(), input, 0, output, 0, nullptr, error);
        }).substr(0, 3) == "2: ");
  auto const two_says = [&](void const* right, ptrdiff_t stride) {
    auto given = defaults<mirnet_run_options>();
    given.right_view = right;
    given.right_stride = stride;
    return said([&](mirnet_error* error) { return mirnet_run(two_views.get(), input, 0, output, 0, &given, error); });
  };
  CHECK(two_says(input, 0) == "OK");  // the same twice
  CHECK(two_says(output + 1, 0) == "2: right_view" + misaligned);
  CHECK(two_says(output, 0) == "2: output and right_view overlap");
  CHECK(two_says(input, 2) == "2: right_view: the stride is 2; expected at least the 96 bytes of a row");
}

// A stride that no row follows may be anything.
TEST_CASE("runs: one row and any stride") {
  auto const model = load(reference::tiny_weights());
  constexpr mirnet_format format{9, 1, 3, MIRNET_U8};
  auto const options = threads(1);
  auto const made = plan(model, format, &options);
  auto const input = noisy(format);
  auto const expected = run(made, input);
  for (ptrdiff_t const stride : {ptrdiff_t{1}, ptrdiff_t{-1}, (std::numeric_limits<ptrdiff_t>::min)(),
                                 (std::numeric_limits<ptrdiff_t>::max)()}) {
    Bytes output(input.size());
    CHECK(mirnet_run(made.get(), input.data(), stride, output.data(), stride, nullptr, nullptr) == MIRNET_OK);
    CHECK(output == expected);
  }
}

TEST_CASE("profiles: what is refused") {
  auto const model = load(reference::tiny_weights());
  auto const options = threads(1);
  auto const made = plan(model, small, &options);
  auto const report = [](void*, mirnet_node const*) {};
  CHECK(said([&](mirnet_error* error) { return mirnet_profile(nullptr, 1, report, nullptr, nullptr, error); }) ==
        "2: plan is NULL");
  CHECK(said([&](mirnet_error* error) { return mirnet_profile(made.get(), 1, nullptr, nullptr, nullptr, error); }) ==
        "2: report is NULL");
  for (int32_t const runs : {0, -1, 1'000'001}) {
    CHECK(said([&](mirnet_error* error) {
            return mirnet_profile(made.get(), runs, report, nullptr, nullptr, error);
          }) == "2: runs is " + std::to_string(runs) + "; expected 1 to 1000000");
  }
}

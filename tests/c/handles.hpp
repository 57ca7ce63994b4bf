// What the tests of the C interface share: handles that free themselves, images in memory, and errors with their
// sentences.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <mirnet.h>

#include "support/random.hpp"

#include "reference.hpp"

namespace c {

using reference::Bytes;

struct Free {
  void operator()(mirnet_model* model) const noexcept { mirnet_model_free(model); }
  void operator()(mirnet_plan* plan) const noexcept { mirnet_plan_free(plan); }
};
using Model = std::unique_ptr<mirnet_model, Free>;
using Plan = std::unique_ptr<mirnet_plan, Free>;

template <class Options>
Options defaults();
template <>
inline mirnet_model_options defaults() {
  return MIRNET_MODEL_OPTIONS_INIT;
}
template <>
inline mirnet_plan_options defaults() {
  return MIRNET_PLAN_OPTIONS_INIT;
}
template <>
inline mirnet_run_options defaults() {
  return MIRNET_RUN_OPTIONS_INIT;
}

/// The status and the sentence of a call: "OK", or "2: width is 0; expected 1 to 2147483647". call(error) returns the
/// status.
template <class Call>
std::string said(Call&& call) {
  constexpr int untouched = 77;
  mirnet_error error;
  error.status = static_cast<mirnet_status>(untouched);
  std::memset(error.message, '?', sizeof error.message);
  mirnet_status const status = call(&error);
  if (status == MIRNET_OK) {
    CHECK(static_cast<int>(error.status) == untouched);
    CHECK(error.message[0] == '?');
    return "OK";
  }
  CHECK(error.status == status);
  CHECK(std::memchr(error.message, '\0', sizeof error.message) != nullptr);
  CHECK(call(nullptr) == status);  // an error need not be asked for
  return std::to_string(static_cast<int>(status)) + ": " + error.message;
}

inline Model load(Bytes const& weights, mirnet_model_options const* options = nullptr) {
  mirnet_model* model = nullptr;
  mirnet_error error;
  auto const status = mirnet_model_load_memory(weights.data(), weights.size(), options, &model, &error);
  if (status != MIRNET_OK) FAIL(error.message);
  return Model(model);
}

inline Plan plan(Model const& model, mirnet_format const& format, mirnet_plan_options const* options = nullptr) {
  mirnet_plan* made = nullptr;
  mirnet_error error;
  auto const status = mirnet_plan_create(model.get(), &format, options, &made, &error);
  if (status != MIRNET_OK) FAIL(error.message);
  return Plan(made);
}

/// Options of few threads, as most tests need one thread and no more.
inline mirnet_plan_options threads(int32_t count, int32_t tile = 0) {
  auto options = defaults<mirnet_plan_options>();
  options.threads = count;
  options.tile = tile;
  return options;
}

inline size_t sample_bytes(mirnet_format const& format) {
  return format.type == MIRNET_U8 ? 1 : format.type == MIRNET_U16 ? 2 : 4;
}
inline size_t row_bytes(mirnet_format const& format) {
  return static_cast<size_t>(format.width) * static_cast<size_t>(format.channels) * sample_bytes(format);
}
inline size_t image_bytes(mirnet_format const& format) {
  return row_bytes(format) * static_cast<size_t>(format.height);
}

/// Rows without gaps: a gradient with noise. A quarter of the pixels are fully transparent where there is alpha; floats
/// reach beyond black and white.
inline Bytes noisy(mirnet_format const& format, std::uint64_t seed = 3) {
  test::Random random(seed);
  Bytes bytes(image_bytes(format));
  std::byte* to = bytes.data();
  bool const has_alpha = format.channels % 2 == 0;
  for (int64_t y = 0; y < format.height; ++y) {
    for (int64_t x = 0; x < format.width; ++x) {
      bool const hidden = random.between(0, 3) == 0;
      for (int32_t channel = 0; channel < format.channels; ++channel) {
        float level = 0.5f * static_cast<float>(x + y) / static_cast<float>(format.width + format.height) +
                      0.1f * static_cast<float>(channel) + random.uniform(-0.3f, 0.5f);
        if (has_alpha && channel + 1 == format.channels) level = hidden ? 0.0f : random.uniform(0.1f, 1.0f);
        float const clipped = level < 0 ? 0 : level > 1 ? 1 : level;
        auto const eight = static_cast<std::uint8_t>(clipped * 255);
        auto const sixteen = static_cast<std::uint16_t>(clipped * 65535);
        void const* from = format.type == MIRNET_U8    ? static_cast<void const*>(&eight)
                           : format.type == MIRNET_U16 ? static_cast<void const*>(&sixteen)
                                                       : static_cast<void const*>(&level);
        std::memcpy(to, from, sample_bytes(format));
        to += sample_bytes(format);
      }
    }
  }
  return bytes;
}

/// The result of a run that has to succeed.
inline Bytes run(Plan const& plan, Bytes const& input, mirnet_run_options const* options = nullptr) {
  Bytes output(input.size(), std::byte{0xA5});
  mirnet_error error;
  auto const status = mirnet_run(plan.get(), input.data(), 0, output.data(), 0, options, &error);
  if (status != MIRNET_OK) FAIL(error.message);
  return output;
}

/// The instruction sets of this machine.
inline std::vector<std::string> instruction_sets() {
  std::vector<std::string> sets;
  while (char const* name = mirnet_instruction_set(static_cast<int32_t>(sets.size()))) sets.emplace_back(name);
  return sets;
}

}  // namespace c

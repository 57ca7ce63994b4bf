#include "denoiser.hpp"

#include <algorithm>
#include <span>

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/transparency.hpp>
#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/view.hpp>

extern "C" char const mirnet_gegl_weights[], mirnet_gegl_weights_end[];

namespace mirnet_gegl {

namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Image;
using mirnet::ImageView;
using mirnet::Index;
using mirnet::Result;

Error error_of(mirnet_error const& error) noexcept {
  return Error(static_cast<ErrorCode>(error.status), "%s", error.message);
}

bool same(Image const& a, Image const& b) noexcept {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels() && a.type() == b.type() &&
         std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

ImageView cropped(ImageView image, Rectangle part) noexcept {
  Index const pixel = image.channels() * mirnet::sample_bytes(image.type());
  return {image.samples() + part.y * image.stride() + part.x * pixel,
          part.width,
          part.height,
          image.channels(),
          image.type(),
          image.stride()};
}

}  // namespace

Result<void> Denoiser::load(std::string const& path) {
  if (path == path_ && (model_ || !loaded_)) return loaded_;
  path_ = path;
  model_.reset();
  restored_ = Image();
  mirnet_error error{};
  mirnet_model* model = nullptr;
  std::span const weights(mirnet_gegl_weights, mirnet_gegl_weights_end);
  auto const status = path.empty() ? mirnet_model_load_memory(weights.data(), weights.size(), nullptr, &model, &error)
                                   : mirnet_model_load_file(path.c_str(), nullptr, &model, &error);
  if (status != MIRNET_OK) return loaded_ = error_of(error);
  model_.reset(model);
  mirnet_model_info info = MIRNET_MODEL_INFO_INIT;
  if (mirnet_model_get_info(model, &info, &error) != MIRNET_OK) return loaded_ = error_of(error);
  if (info.views != 1) {
    model_.reset();
    return loaded_ = Error(ErrorCode::model, "%s: the network takes %d views of a scene; expected 1", path.c_str(),
                           static_cast<int>(info.views));
  }
  return loaded_ = {};
}

Result<void> Denoiser::restore(Image picture, int threads, int (*report)(void* self, double done), void* self) {
  if (restored_.pixels() > 0 && same(picture, before_)) return {};
  restored_ = Image();  // before memory is taken for the next one
  before_ = std::move(picture);
  Index const width = before_.width(), height = before_.height();
  // As floats, which keep what an 8-bit result would round away: a strength of 0.5 has the program's bits, too.
  auto input = Image::create(width, height, 3, mirnet::SampleType::f32);
  if (!input) return input.error();
  auto output = Image::create(width, height, 3, mirnet::SampleType::f32);
  if (!output) return output.error();
  mirnet::View<float> const seen(input->samples<float>().data(), {height, width, 3}, 3);
  if (before_.has_alpha()) {
    auto const filled = mirnet::with_hidden_filled(before_);
    if (!filled) return filled.error();
    mirnet::to_map(*filled, seen);
  } else {
    mirnet::to_map(before_, seen);
  }

  mirnet_format const format{width, height, 3, MIRNET_F32};
  mirnet_plan_options options = MIRNET_PLAN_OPTIONS_INIT;
  options.threads = threads;
  mirnet_error error{};
  mirnet_plan* made = nullptr;
  auto const planned = mirnet_plan_create(model_.get(), &format, &options, &made, &error);
  std::unique_ptr<mirnet_plan, Free> const plan(made);
  if (planned != MIRNET_OK) return error_of(error);
  mirnet_run_options run = MIRNET_RUN_OPTIONS_INIT;
  run.progress = report;
  run.self = self;
  if (mirnet_run(plan.get(), input->bytes().data(), 0, output->bytes().data(), 0, &run, &error) != MIRNET_OK) {
    return error_of(error);
  }
  restored_ = *std::move(output);
  return {};
}

Result<void> Denoiser::blend(mirnet::Strength strength, Rectangle part, mirnet::MutableImageView to, Index first,
                             Index last) const {
  auto const before = cropped(before_, part);
  auto const restored = cropped(restored_, part).rows<float>();
  auto const memory = mirnet::Memory::allocate(part.width * 3 * static_cast<Index>(sizeof(float)));
  if (!memory) return memory.error();
  mirnet::View<float> const row(reinterpret_cast<float*>(memory->bytes().data()), {1, part.width, 3}, 3);
  for (Index y = first; y < last; ++y) {
    std::copy_n(restored(y), part.width * 3, row.data());
    mirnet::detail::soften(before, y, 0, strength, row);
    mirnet::detail::put_hidden(before, y, 0, row);
    mirnet::detail::copy_alpha(before, to, y, 0, part.width);
    mirnet::put_rows(row, to, y);
  }
  return {};
}

}  // namespace mirnet_gegl

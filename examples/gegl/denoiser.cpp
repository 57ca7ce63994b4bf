#include "denoiser.hpp"

#include <algorithm>
#include <span>
#include <utility>

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

struct FreePlan {
  void operator()(mirnet_plan* plan) const noexcept { mirnet_plan_free(plan); }
};

}  // namespace

Result<Model> Denoiser::load(std::string const& path) {
  std::lock_guard const lock(mutex_);
  if (path == path_ && model_) return model_;
  path_ = path;
  model_.reset();
  restored_.reset();
  mirnet_error error{};
  mirnet_model* loaded = nullptr;
  std::span const weights(mirnet_gegl_weights, mirnet_gegl_weights_end);
  auto const status = path.empty() ? mirnet_model_load_memory(weights.data(), weights.size(), nullptr, &loaded, &error)
                                   : mirnet_model_load_file(path.c_str(), nullptr, &loaded, &error);
  if (status != MIRNET_OK) return error_of(error);
  Model model(loaded, mirnet_model_free);
  mirnet_model_info info = MIRNET_MODEL_INFO_INIT;
  if (mirnet_model_get_info(model.get(), &info, &error) != MIRNET_OK) return error_of(error);
  if (info.views != 1) {
    return Error(ErrorCode::model, "%s: the network takes %d views of a scene; expected 1", path.c_str(),
                 static_cast<int>(info.views));
  }
  return model_ = std::move(model);
}

Result<std::shared_ptr<Restored const>> Denoiser::restore(Model const& model, Image picture, int threads,
                                                          int (*report)(void* self, double done), void* self) {
  {
    std::unique_lock lock(mutex_);
    auto kept = restored_;
    lock.unlock();
    if (kept && kept->model == model && same(picture, kept->before)) return kept;
    lock.lock();
    if (restored_ == kept) restored_.reset();  // before memory is taken for the next one
  }
  auto const made = std::make_shared<Restored>(Restored{model, std::move(picture), Image()});
  auto const& before = made->before;
  Index const width = before.width(), height = before.height();
  // As floats, which keep what an 8-bit result would round away: a strength of 0.5 has the program's bits, too.
  auto input = Image::create(width, height, 3, mirnet::SampleType::f32);
  if (!input) return input.error();
  auto output = Image::create(width, height, 3, mirnet::SampleType::f32);
  if (!output) return output.error();
  mirnet::View<float> const seen(input->samples<float>().data(), {height, width, 3}, 3);
  if (before.has_alpha()) {
    auto const filled = mirnet::with_hidden_filled(before);
    if (!filled) return filled.error();
    mirnet::to_map(*filled, seen);
  } else {
    mirnet::to_map(before, seen);
  }

  mirnet_format const format{width, height, 3, MIRNET_F32};
  mirnet_plan_options options = MIRNET_PLAN_OPTIONS_INIT;
  options.threads = threads;
  mirnet_error error{};
  mirnet_plan* planned = nullptr;
  auto const status = mirnet_plan_create(model.get(), &format, &options, &planned, &error);
  std::unique_ptr<mirnet_plan, FreePlan> const plan(planned);
  if (status != MIRNET_OK) return error_of(error);
  mirnet_run_options run = MIRNET_RUN_OPTIONS_INIT;
  run.progress = report;
  run.self = self;
  if (mirnet_run(plan.get(), input->bytes().data(), 0, output->bytes().data(), 0, &run, &error) != MIRNET_OK) {
    return error_of(error);
  }
  made->after = *std::move(output);
  std::shared_ptr<Restored const> const restored = made;
  std::lock_guard const lock(mutex_);
  if (model == model_) restored_ = restored;  // other weights may have been loaded meanwhile
  return restored;
}

Result<void> Restored::blend(mirnet::Strength strength, Rectangle part, mirnet::MutableImageView to, Index first,
                             Index last) const {
  auto const shown = cropped(before, part);
  auto const restored = cropped(after, part).rows<float>();
  auto const memory = mirnet::Memory::allocate(part.width * 3 * static_cast<Index>(sizeof(float)));
  if (!memory) return memory.error();
  mirnet::View<float> const row(reinterpret_cast<float*>(memory->bytes().data()), {1, part.width, 3}, 3);
  for (Index y = first; y < last; ++y) {
    std::copy_n(restored(y), part.width * 3, row.data());
    mirnet::detail::soften(shown, y, 0, strength, row);
    mirnet::detail::put_hidden(shown, y, 0, row);
    mirnet::detail::copy_alpha(shown, to, y, 0, part.width);
    mirnet::put_rows(row, to, y);
  }
  return {};
}

}  // namespace mirnet_gegl

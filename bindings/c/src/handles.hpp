// What the handles of mirnet.h point to. Both are immutable once they are made.
#pragma once

#include <cstdint>
#include <memory>

#include <mirnet/base/result.hpp>
#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/restore.hpp>
#include <mirnet/kernels/table.hpp>
#include <mirnet/model/byte_source.hpp>

#include <mirnet.h>

namespace mirnet_c {

/// How a model computes.
struct Computing {
  mirnet::KernelSet const* set;
  bool in_bfloat16;
  mirnet::Algorithm algorithm;
};

/// Options of a plan, checked.
struct PlanRequest {
  mirnet::ImageView format;  // without samples
  mirnet::Index tile = 0;    // 0: the whole image
  mirnet::Index most_memory = 0;
  int32_t threads = 0;  // 0 if there is a scheduler
  mirnet_scheduler scheduler{};
};

/// Arguments of a run, checked but for what the model takes.
struct RunRequest {
  mirnet::Views views;
  mirnet::MutableImageView output;
  mirnet::Strength strength;
  void* memory;
  size_t memory_size;
  int (*progress)(void* self, double done);
  void (*finished)(void* self, int64_t x, int64_t y, int64_t width, int64_t height);
  void* self;
};

/// The model of a weight file, with whichever of the library's networks the file is for. Errors: model; memory.
mirnet::Result<std::unique_ptr<mirnet_model>> load_model(mirnet::ByteSource& source,
                                                         Computing const& computing) noexcept;

}  // namespace mirnet_c

struct mirnet_model {
  virtual ~mirnet_model() = default;

  /// Errors: as mirnet_plan_create.
  virtual mirnet::Result<std::unique_ptr<mirnet_plan>> plan(mirnet_c::PlanRequest const& request) const noexcept = 0;

  mirnet_model_info info = MIRNET_MODEL_INFO_INIT;
};

struct mirnet_plan {
  virtual ~mirnet_plan() = default;

  /// Errors: as mirnet_run.
  virtual mirnet::Result<void> run(mirnet_c::RunRequest const& request) const noexcept = 0;
  /// Errors: as mirnet_profile.
  virtual mirnet::Result<void> profile(int32_t runs, void (*report)(void* self, mirnet_node const* node),
                                       int (*progress)(void* self, double done), void* self) const = 0;

  mirnet_plan_info info = MIRNET_PLAN_INFO_INIT;
  mirnet::ImageView format;  // without samples
};

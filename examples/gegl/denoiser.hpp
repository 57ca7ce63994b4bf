// A picture as the network restores it, kept so that another strength or more grain is a matter of blending: the
// network runs once for a picture. Knows nothing of GEGL.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <mirnet.h>
#include <mirnet/base/result.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/strength.hpp>

namespace mirnet_gegl {

/// A part of a picture, in pixels from its first one on.
struct Rectangle {
  mirnet::Index x, y, width, height;
};

/// Calls of one object must not overlap: hold mutex() from restore() to the last blend().
class Denoiser {
 public:
  std::mutex& mutex() noexcept { return mutex_; }

  /// Loads a weight file, or the weights that are compiled in where the path is empty. Does nothing where it is loaded.
  /// Errors: model, also for a network of two views; memory. They stay until the path is another.
  mirnet::Result<void> load(std::string const& path);

  /// Restores a picture in sRGB, unless it is the one that was restored last, with the tiles of the program.
  /// report(self, done) is called with the share of the work that is done, by any thread. Needs weights that are
  /// loaded. Errors: memory.
  mirnet::Result<void> restore(mirnet::Image picture, int threads, int (*report)(void* self, double done), void* self);

  /// The columns and rows of the restored picture that `part` names, with so much of the network's change, to rows
  /// [first, last) of a view of that part. Any number of threads may do so at the same time. Errors: memory.
  mirnet::Result<void> blend(mirnet::Strength strength, Rectangle part, mirnet::MutableImageView to,
                             mirnet::Index first, mirnet::Index last) const;

 private:
  struct Free {
    void operator()(mirnet_model* model) const noexcept { mirnet_model_free(model); }
    void operator()(mirnet_plan* plan) const noexcept { mirnet_plan_free(plan); }
  };

  std::mutex mutex_;
  std::string path_;
  mirnet::Result<void> loaded_;
  std::unique_ptr<mirnet_model, Free> model_;
  mirnet::Image before_;    // as it came
  mirnet::Image restored_;  // three floats a pixel, also for gray; without a pixel where there is none
};

}  // namespace mirnet_gegl

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

using Model = std::shared_ptr<mirnet_model>;

/// A picture and what a network makes of it.
struct Restored {
  Model model;
  mirnet::Image before;  // as it came
  mirnet::Image after;   // three floats a pixel, also for gray

  /// The columns and rows that `part` names, with so much of the network's change, to rows [first, last) of a view of
  /// that part. Any number of threads may do so at the same time. Errors: memory.
  mirnet::Result<void> blend(mirnet::Strength strength, Rectangle part, mirnet::MutableImageView to,
                             mirnet::Index first, mirnet::Index last) const;
};

/// Keeps the model that was loaded last and the picture that was restored last. Any thread may call any function at any
/// time, also from within `report`: nothing is locked while the network runs.
class Denoiser {
 public:
  /// Loads a weight file, or the weights that are compiled in where the path is empty, unless it is loaded. After a
  /// failure the next call tries again. Errors: model, also for a network of two views; memory.
  mirnet::Result<Model> load(std::string const& path);

  /// Restores a picture in sRGB, unless it is kept, with the tiles of the program. report(self, done) is called with
  /// the share of the work that is done, by any thread. Errors: memory.
  mirnet::Result<std::shared_ptr<Restored const>> restore(Model const& model, mirnet::Image picture, int threads,
                                                          int (*report)(void* self, double done), void* self);

 private:
  std::mutex mutex_;
  std::string path_;
  Model model_;
  std::shared_ptr<Restored const> restored_;
};

}  // namespace mirnet_gegl

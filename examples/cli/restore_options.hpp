// The options of the commands that restore photographs.
#pragma once

#include <optional>
#include <string>

#include <mirnet/base/result.hpp>

#include "computing.hpp"
#include "files.hpp"
#include "picture.hpp"
#include "preview.hpp"
#include "progress.hpp"
#include "task.hpp"
#include "weights.hpp"

namespace cli {

struct RestoreOptions {
  FileOptions files;
  Reading reading;
  WeightsOptions weights;
  Computing computing;
  std::optional<std::string> right, reference, max_memory, page, crop_text;
  std::optional<Rectangle> crop;
  bool preview = false;
  std::optional<double> min_psnr;
  mirnet::Index threads = 0;
  std::string tile = "auto", progress = "auto";
  mirnet::Index tile_side = 0;  ///< 0: the usual one
  std::string strength_text = "1";
  std::optional<float> strength;  ///< none: chosen for each photograph by its noise
  float keep_grain = 0.0f, sharpen = 0.0f;
  bool colour_only = false, hot_pixels = false;
  std::optional<std::string> quality;  ///< a number; or, as in version 0.2, the model
  PictureOptions stored;
  bool lossless = false, lossy = false;
  bool skip_existing = false, estimate = false, json = false, quiet = false, verbose = false;
  bool reports = true;  ///< for people, on the standard output: not where that is closed

  ProgressStyle style() const;
};

/// Adds all of them to a command.
void add_restore_options(CLI::App& command, Task const& task, RestoreOptions& options);

/// Computes what follows from the options, and refuses what does not go together. Errors: invalid_argument, output.
mirnet::Result<void> settle(RestoreOptions& options);

}  // namespace cli

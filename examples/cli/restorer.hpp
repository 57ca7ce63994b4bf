// Restores any number of pictures with one network.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include <mirnet/runtime/thread_pool.hpp>

#include "batch_clock.hpp"
#include "comparison_page.hpp"
#include "engine.hpp"
#include "job.hpp"
#include "restore_options.hpp"

namespace cli {

class Restorer {
 public:
  /// `mark` goes to the metadata of results (result_mark.hpp), and what --compare and --preview show to the page. All
  /// references must outlive this.
  Restorer(RestoreOptions const& options, Engine& engine, mirnet::ThreadPool& pool, std::string mark,
           ComparisonPage& page);

  /// Everything from the input file to the output file, or to the estimate of what it takes. `report` knows afterwards
  /// how far it came; `clock` tells the place in a batch.
  mirnet::Result<void> restore(Work const& work, BatchClock& clock, Report& report);

 private:
  mirnet::Result<void> measure(Job const& job, Report& report);
  mirnet::Result<Tiling> plan(mirnet::Image const& image, Job const& job) const;
  mirnet::Result<void> estimate(Job const& job, Report& report);
  mirnet::Result<PictureWriter> run(std::string const& name, mirnet::Image const& image, mirnet::Image const* right,
                                    Job const& job, Tiling const& tiling, Metadata const& metadata, float strength,
                                    BatchClock const& clock);
  mirnet::Result<void> preview(Work const& work, Job const& job, BatchClock const& clock, Report& report);
  mirnet::Result<void> add_to_page(Work const& work, Job const& job, mirnet::Image const& restored, bool whole,
                                   Report const& report);
  mirnet::Result<void> compare(Work const& work, mirnet::Image const& restored, Reference const& reference,
                               Report& report) const;

  mirnet::Index longest_tile() const { return options_.tile_side > 0 ? options_.tile_side : mirnet::usual_tile; }

  RestoreOptions const& options_;
  Engine& engine_;
  mirnet::ParallelFor parallel_;
  std::string mark_;
  ComparisonPage& page_;
  double seconds_a_mac_ = 0;
};

}  // namespace cli

// One network on one machine, which restores any number of pictures.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/image/restore.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "batch_clock.hpp"
#include "comparison_page.hpp"
#include "job.hpp"
#include "restore_options.hpp"

namespace cli {

template <class T>
class Restorer {
 public:
  /// `mark` goes to the metadata of results (result_mark.hpp), and what --compare and --preview show to the page. All
  /// references must outlive this.
  Restorer(RestoreOptions const& options, mirnet::KernelSet const& set, mirnet::Model<mirnet::Mirnet<T>> const& model,
           mirnet::ThreadPool& pool, std::string mark, ComparisonPage& page);

  char const* isa() const { return context_.kernels->isa; }
  mirnet::Index threads() const { return context_.parallel.workers; }

  /// Everything from the input file to the output file, or to the estimate of what it takes. `report` knows afterwards
  /// how far it came; `clock` tells the place in a batch.
  mirnet::Result<void> restore(Work const& work, BatchClock& clock, Report& report);

 private:
  using Tiling = mirnet::Tiling<mirnet::MirnetConfig>;

  mirnet::Result<void> measure(Job const& job, Report& report);
  mirnet::Result<Tiling> plan(mirnet::Image const& image, Job const& job) const;
  mirnet::Result<void> estimate(Job const& job, Report& report);
  mirnet::Result<PictureWriter> run(std::string const& name, mirnet::Image const& image, Job const& job,
                                    Tiling const& tiling, Metadata const& metadata, float strength,
                                    BatchClock const& clock);
  mirnet::Result<void> preview(Work const& work, Job const& job, BatchClock const& clock, Report& report);
  mirnet::Result<void> add_to_page(Work const& work, Job const& job, mirnet::Image const& restored, bool whole,
                                   Report const& report);
  mirnet::Result<void> compare(Work const& work, mirnet::Image const& restored, Reference const& reference,
                               Report& report) const;

  mirnet::Index longest_tile() const { return options_.tile_side > 0 ? options_.tile_side : mirnet::usual_tile; }

  RestoreOptions const& options_;
  mirnet::Model<mirnet::Mirnet<T>> const& model_;
  mirnet::Context<T> context_;
  std::string mark_;
  ComparisonPage& page_;
  double seconds_a_mac_ = 0;
};

extern template class Restorer<float>;
extern template class Restorer<mirnet::bfloat16>;

}  // namespace cli

// Stands for the scheduler that an application has: jobs are told to it, and its cores take them.
#pragma once

#include <mirnet/runtime/parallel.hpp>

namespace tile {

/// Two cores, both of which are played by the calling thread here. The library sees nothing of them but parallel().
class Scheduler {
 public:
  static constexpr mirnet::Index cores = 2;

  mirnet::ParallelFor parallel() noexcept { return {.run = run, .self = this, .workers = cores}; }
  long jobs() const noexcept { return jobs_; }

 private:
  /// Items in any order, each once; two that run at the same time have different workers, which is the core here.
  static void run(void* self, mirnet::Index items, mirnet::ParallelFor::Task task, void* arguments) noexcept {
    ++static_cast<Scheduler*>(self)->jobs_;
    for (mirnet::Index core = 0; core < cores; ++core) {
      for (mirnet::Index item = core; item < items; item += cores) task(arguments, item, core);
    }
  }

  long jobs_ = 0;
};

}  // namespace tile

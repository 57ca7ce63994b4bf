// Schedulers as an application's might be.
#pragma once

#include <mirnet/runtime/parallel.hpp>

namespace test {

/// Runs the items in the calling thread, the last one first, as one of so many workers.
inline mirnet::ParallelFor backwards(mirnet::Index workers) {
  return {[](void*, mirnet::Index count, mirnet::ParallelFor::Task task, void* arguments) noexcept {
            for (mirnet::Index item = count; item-- > 0;) task(arguments, item, 0);
          },
          nullptr, workers};
}

}  // namespace test

// How the library asks for parallel work: one function pointer that an application may point at its own scheduler.
#pragma once

#include <type_traits>

#include <mirnet/base/integer.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Calls task(arguments, item, worker) once for every item in [0, count), in any order, and returns when all are
/// done. Two calls that run at the same time have different workers, from [0, workers): a worker owns scratch memory.
/// What a kernel computes for an item does not depend on the worker, so results are the same bits for any scheduler.
/// The default runs everything in the calling thread.
struct ParallelFor {
  using Task = void (*)(void* arguments, Index item, Index worker) noexcept;

  void (*run)(void* self, Index count, Task task, void* arguments) noexcept = nullptr;
  void* self = nullptr;
  Index workers = 1;

  /// body(item, worker) for every item.
  template <class Body>
  void operator()(Index count, Body&& body) const noexcept {
    if (run == nullptr || count == 1) {
      for (Index item = 0; item < count; ++item) body(item, Index{0});
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    run(
        self, count,
        [](void* arguments, Index item, Index worker) noexcept { (*static_cast<Plain*>(arguments))(item, worker); },
        const_cast<void*>(static_cast<void const*>(&body)));
  }
};

}  // namespace mirnet::inline MIRNET_ABI

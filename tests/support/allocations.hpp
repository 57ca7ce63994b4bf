// The heap of the test program, under the tests' eyes: what is taken from it is counted, and can be made to fail.
#pragma once

namespace test {

/// Taken from the heap so far, by any thread and in any way.
long allocations() noexcept;

/// Of these, what has not been given back.
long live_allocations() noexcept;

/// While this object lives, the heap has nothing for this thread from its `number`-th request on (1: the first), or
/// `once` for that request alone.
class FailingHeap {
 public:
  explicit FailingHeap(long number, bool once) noexcept;
  FailingHeap(FailingHeap const&) = delete;
  FailingHeap& operator=(FailingHeap const&) = delete;
  ~FailingHeap() { end(); }

  /// The heap works again.
  void end() noexcept;
  /// Whether a request has failed.
  bool failed() const noexcept;
};

}  // namespace test

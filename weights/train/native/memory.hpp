// Memory for the training engine, and threads that share a piece of work.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mirnet_train {

class Buffer {
 public:
  explicit Buffer(std::size_t floats) : size_(floats) {
    const std::size_t bytes = floats * sizeof(float) + 64;
    const std::size_t alignment = bytes < huge_page ? 64 : huge_page,
                      rounded = (bytes + alignment - 1) / alignment * alignment;
    data_ = static_cast<float*>(std::aligned_alloc(alignment, rounded));
    if (!data_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    // Maps of many rows are far apart in memory; small pages would miss in the TLB. Only a hint, it may fail.
    if (alignment == huge_page) madvise(data_, rounded, MADV_HUGEPAGE);
#endif
    clear();
  }
  Buffer(Buffer&& other) noexcept : size_(other.size_), data_(std::exchange(other.data_, nullptr)) {}
  ~Buffer() { std::free(data_); }
  float* data() const { return data_; }
  void clear() { std::fill(data_, data_ + size_, 0.0f); }

 private:
  static constexpr std::size_t huge_page = std::size_t(2) << 20;

  std::size_t size_;
  float* data_;
};

/// work(thread) for each thread of a number of them; returns when all are done.
template <class Work>
void in_threads(int threads, Work&& work) {
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back([&work, thread] { work(thread); });
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace mirnet_train

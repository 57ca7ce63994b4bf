#include "encoding_thread.hpp"

#include <utility>

namespace cli {

EncodingThread::EncodingThread(std::unique_ptr<RowEncoder> encoder) : encoder_(std::move(encoder)) {
  try {
    thread_ = std::thread([this] { serve(); });
  } catch (...) {  // no more threads, or no memory for one
  }
}

EncodingThread::~EncodingThread() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard const lock(mutex_);
    waiting_.reset();
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

mirnet::Result<void> EncodingThread::append(mirnet::Image band) {
  if (!thread_.joinable()) return encoder_->append(band.bytes());
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !waiting_ || !state_; });
  if (!state_) return state_;
  waiting_ = std::move(band);
  changed_.notify_all();
  return {};
}

mirnet::Result<mirnet::ByteBuffer> EncodingThread::finish() {
  if (thread_.joinable()) {
    {
      std::lock_guard const lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  if (!state_) return state_.error();
  return encoder_->finish();
}

void EncodingThread::serve() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return waiting_ || ended_; });
    if (!waiting_ || !state_) return;
    {
      mirnet::Image const band = *std::exchange(waiting_, std::nullopt);
      lock.unlock();
      changed_.notify_all();
      auto const done = encoder_->append(band.bytes());
      lock.lock();
      state_ = done;
    }
    changed_.notify_all();
  }
}

}  // namespace cli

// Encodes a picture in a thread of its own while the rest of it is computed.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <mirnet/image/image.hpp>

#include "codecs/codec.hpp"

namespace cli {

/// Takes the picture in bands of rows, from the first to the last. Where the system gives no thread, it encodes in that
/// of the caller.
class EncodingThread {
 public:
  explicit EncodingThread(std::unique_ptr<RowEncoder> encoder);
  EncodingThread(EncodingThread const&) = delete;
  EncodingThread& operator=(EncodingThread const&) = delete;
  ~EncodingThread();

  /// Waits only while a band is being encoded and another one waits for it. Errors: those of RowEncoder::append, for
  /// this band or one before.
  mirnet::Result<void> append(mirnet::Image band);

  /// The file, when all bands are encoded. Errors: as append.
  mirnet::Result<mirnet::ByteBuffer> finish();

 private:
  void serve() noexcept;

  std::unique_ptr<RowEncoder> encoder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<mirnet::Image> waiting_;
  mirnet::Result<void> state_;  // the first error
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace cli

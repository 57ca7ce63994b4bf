// What encoders share that compress row by row with a library in C. The errors of such libraries come as jumps past
// everything: nothing with a destructor may live in the functions that call them, so file and sentence are here.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <utility>

#include "codec.hpp"

namespace cli {

struct EncodingTarget {
  ImageLayout layout;
  mirnet::ByteBuffer file;
  bool memory_is_left = true;
  char message[256] = "";

  bool append(void const* data, std::size_t size) noexcept {
    if (file.append({static_cast<std::byte const*>(data), size})) return true;
    memory_is_left = false;
    return false;
  }
  void say(char const* text) noexcept { std::snprintf(message, sizeof message, "%s", text); }

  mirnet::Error error() const {
    if (!memory_is_left) return {mirnet::ErrorCode::memory, "no memory is left for the compressed picture"};
    return {mirnet::ErrorCode::output, "%lld x %lld pixels cannot be encoded: %s", static_cast<long long>(layout.width),
            static_cast<long long>(layout.height), message};
  }
};

/// `Format` has a `target`, prepare(metadata), which may throw std::bad_alloc, begin(metadata), write(rows, count,
/// bytes of a row) and end(). The last three return false where the library has failed, and the target says why.
template <class Format>
class EncoderOf final : public RowEncoder {
 public:
  template <class... Arguments>
  explicit EncoderOf(ImageLayout const& layout, Arguments... arguments) : format_(arguments...) {
    format_.target.layout = layout;
  }

  mirnet::Result<void> begin(Metadata const& metadata) {
    format_.prepare(metadata);
    if (format_.begin(metadata)) return {};
    return format_.target.error();
  }
  mirnet::Result<void> append(std::span<std::byte const> rows) override {
    auto const row = static_cast<std::size_t>(format_.target.layout.row_bytes());
    MIRNET_ASSERT(rows.size() % row == 0);
    if (format_.write(rows.data(), rows.size() / row, row)) return {};
    return format_.target.error();
  }
  mirnet::Result<mirnet::ByteBuffer> finish() override {
    if (format_.end()) return std::move(format_.target.file);
    return format_.target.error();
  }

 private:
  Format format_;
};

template <class Format, class... Arguments>
mirnet::Result<std::unique_ptr<RowEncoder>> start_rows(ImageLayout const& layout, Metadata const& metadata,
                                                       Arguments... arguments) {
  auto encoder = std::make_unique<EncoderOf<Format>>(layout, arguments...);
  auto const begun = encoder->begin(metadata);
  if (!begun) return begun.error();
  return std::unique_ptr<RowEncoder>(std::move(encoder));
}

}  // namespace cli

// A weight file that behaves until it is read behind some byte, as one that becomes shorter meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <mirnet/model/byte_source.hpp>

namespace test {

class ShrinkingSource final : public mirnet::ByteSource {
 public:
  ShrinkingSource(std::span<std::byte const> file, std::uint64_t readable) : file_(file), readable_(readable) {}
  std::uint64_t size() const noexcept override { return file_.size(); }
  bool read(std::uint64_t offset, std::span<std::byte> to) noexcept override {
    return offset <= readable_ && to.size() <= readable_ - offset && mirnet::MemorySource(file_).read(offset, to);
  }
  bool concurrent() const noexcept override { return true; }

 private:
  std::span<std::byte const> file_;
  std::uint64_t readable_;
};

}  // namespace test

// A feature map that owns its memory.
#pragma once

#include <memory>
#include <type_traits>

#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Move-only; made with zeros everywhere, padding included.
template <class T>
class Tensor {
  static_assert(std::is_trivially_copyable_v<T>, "a tensor holds plain numbers");

 public:
  Tensor() = default;

  /// Errors: memory, where the shape is negative, too large to count or too large for the machine.
  static Result<Tensor> create(Shape shape) noexcept {
    auto const bytes = map_bytes<T>(shape);
    if (!bytes) {
      return Error(ErrorCode::memory, "a map of %lld x %lld pixels with %lld channels has no size that can be counted",
                   static_cast<long long>(shape.width), static_cast<long long>(shape.height),
                   static_cast<long long>(shape.channels));
    }
    auto memory = Memory::zeros(*bytes);
    if (!memory) return memory.error();
    return Tensor(*std::move(memory), shape);
  }

  View<T> view() noexcept { return {data(), shape_}; }
  View<T const> view() const noexcept { return {data(), shape_}; }
  Shape shape() const noexcept { return shape_; }

 private:
  Tensor(Memory memory, Shape shape) noexcept : memory_(std::move(memory)), shape_(shape) {}
  T* data() const noexcept { return reinterpret_cast<T*>(memory_.bytes().data()); }

  Memory memory_;
  Shape shape_{};
};

}  // namespace mirnet::inline MIRNET_ABI

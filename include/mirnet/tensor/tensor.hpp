// A map that owns its memory. view.hpp explains vectors, matrices and batches; ops/ops.hpp has the operations on maps.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/base/half.hpp>
#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Move-only. The padding is zero however the tensor is made: kernels read it, and keep it so.
template <class T>
class Tensor {
  static_assert(std::is_trivially_copyable_v<T>, "a tensor holds plain numbers");

 public:
  Tensor() = default;

  /// Zeros. Errors: memory, where the shape is negative, too large to count or too large for the machine.
  static Result<Tensor> create(Shape shape) noexcept {
    auto const bytes = countable_bytes(shape);
    if (!bytes) return bytes.error();
    auto memory = Memory::zeros(*bytes);
    if (!memory) return memory.error();
    return Tensor(*std::move(memory), shape);
  }

  /// Zeros in the shape of another map, whose elements may be of another type. Errors: memory.
  template <class U>
  static Result<Tensor> like(View<U> map) noexcept {
    return create(map.shape());
  }

  /// For callers that write every element next: only the padding is set. Errors: as create.
  static Result<Tensor> uninitialised(Shape shape) noexcept {
    auto const bytes = countable_bytes(shape);
    if (!bytes) return bytes.error();
    auto memory = Memory::allocate(*bytes);
    if (!memory) return memory.error();
    Tensor tensor(*std::move(memory), shape);
    Index const pitch = pixel_pitch<T>(shape.channels), padding = pitch - shape.channels;
    for (Index i = 0; padding > 0 && i < shape.pixels(); ++i) {
      std::fill_n(tensor.data() + i * pitch + shape.channels, padding, T());
    }
    return tensor;
  }

  /// These numbers, row by row, pixel by pixel: Tensor<float>::of({1, 2, 3}, {1, 2, 3, 4, 5, 6}) has two pixels of
  /// three channels. Errors: invalid_argument, where their number is not that of the shape; as create.
  static Result<Tensor> of(Shape shape, std::initializer_list<Accumulator<T>> numbers) noexcept {
    return filled(shape, numbers.begin(), static_cast<Index>(numbers.size()));
  }
  static Result<Tensor> of(Shape shape, std::span<T const> numbers) noexcept {
    return filled(shape, numbers.data(), static_cast<Index>(numbers.size()));
  }

  View<T> view() noexcept { return {data(), shape_}; }
  View<T const> view() const noexcept { return {data(), shape_}; }
  operator View<T>() noexcept { return view(); }
  operator View<T const>() const noexcept { return view(); }
  Shape shape() const noexcept { return shape_; }

  T& operator()(Index y, Index x, Index c) noexcept { return view()(y, x, c); }
  T const& operator()(Index y, Index x, Index c) const noexcept { return view()(y, x, c); }

 private:
  Tensor(Memory memory, Shape shape) noexcept : memory_(std::move(memory)), shape_(shape) {}
  T* data() const noexcept { return reinterpret_cast<T*>(memory_.bytes().data()); }

  static Result<Index> countable_bytes(Shape shape) noexcept {
    if (auto const bytes = map_bytes<T>(shape)) return *bytes;
    return Error(ErrorCode::memory, "a map of %lld x %lld pixels with %lld channels has no size that can be counted",
                 static_cast<long long>(shape.width), static_cast<long long>(shape.height),
                 static_cast<long long>(shape.channels));
  }

  template <class Number>
  static Result<Tensor> filled(Shape shape, Number const* numbers, Index count) noexcept {
    auto const bytes = countable_bytes(shape);
    if (!bytes) return bytes.error();
    if (Index const expected = shape.pixels() * shape.channels; count != expected) {
      return Error(ErrorCode::invalid_argument, "%lld numbers for %lldx%lld pixels of %lld channels, expected %lld",
                   static_cast<long long>(count), static_cast<long long>(shape.width),
                   static_cast<long long>(shape.height), static_cast<long long>(shape.channels),
                   static_cast<long long>(expected));
    }
    auto tensor = create(shape);
    for (Index i = 0; tensor && i < shape.pixels(); ++i) {
      T* const pixel = tensor->data() + i * pixel_pitch<T>(shape.channels);
      for (Index c = 0; c < shape.channels; ++c) pixel[c] = static_cast<T>(*numbers++);
    }
    return tensor;
  }

  Memory memory_;
  Shape shape_{};
};

}  // namespace mirnet::inline MIRNET_ABI

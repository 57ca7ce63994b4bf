// Runs layers and models in two lines: rehearses them, takes the memory that they need, and computes.
#pragma once

#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/kernels/native.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/tensor.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Kernels, threads and working memory for whatever is computed with T, one thing at a time. Its memory grows to the
/// most that has been needed, and is kept.
///
///     Runner<float> runner(native_kernels(), pool);
///     auto const clean = runner(model, noisy.view()).value();
///     runner([&](auto& context) { layer.forward(context, input, output); }).value();
template <class T>
class Runner {
 public:
  using Pixel = Accumulator<T>;

  explicit Runner(KernelTable<T> const& kernels, ParallelFor threads = {}) noexcept : context_(kernels, threads) {}

  /// With the caller's memory, which starts at a multiple of 64 and is all that is taken.
  Runner(KernelTable<T> const& kernels, ParallelFor threads, std::span<std::byte> memory) noexcept
      : context_(kernels, threads), memory_(memory), owns_(false) {}

  /// What runs use: to set an algorithm, a trace, a progress or a flag that stops them.
  Context<T>& context() noexcept { return context_; }
  /// Of working memory: what is held, or was given.
  Index bytes() const noexcept { return static_cast<Index>(memory_.size()); }

  /// Computes forward(context), in which layers run. It is called twice, first to measure. Errors: invalid_argument,
  /// where a layer does not take a map; memory; cancelled.
  template <class Forward>
    requires std::is_invocable_v < Forward&, Context<T>
  & > Result<void> operator()(Forward&& forward) noexcept {
    auto rehearsal = Context<T>::for_rehearsal(*context_.kernels, context_.parallel);
    rehearsal.algorithm = context_.algorithm;
    forward(rehearsal);
    if (auto const measured = rehearsal.status(); !measured) return measured;
    if (auto const there = provide(rehearsal.arena.peak()); !there) return there;
    return context_.compute_in(memory_, [&] { forward(context_); });
  }

  /// The network's output for an image, as Model::run computes it, in a map of the caller's. Errors: as Model::plan and
  /// Model::run.
  template <Network Net>
    requires std::is_same_v<typename Net::Scalar, T> Result<void>
  operator()(Model<Net> const& model, std::type_identity_t<View<Pixel const>> image,
             std::type_identity_t<View<Pixel>> output) noexcept {
    auto const plan = model.plan(context_, image.height(), image.width());
    if (!plan) return plan.error();
    if (auto const there = provide(plan->bytes); !there) return there;
    return model.run(context_, *plan, memory_, image, output);
  }

  /// The same in a new map.
  template <Network Net>
    requires std::is_same_v<typename Net::Scalar, T> Result<Tensor<Pixel>>
  operator()(Model<Net> const& model, std::type_identity_t<View<Pixel const>> image) noexcept {
    auto output = Tensor<Pixel>::create(Net::output_shape(model.config(), image.shape()));
    if (!output) return output;
    if (auto const done = (*this)(model, image, output->view()); !done) return done.error();
    return output;
  }

 private:
  Result<void> provide(Index bytes) noexcept {
    if (!owns_) return detail::check_memory(memory_, bytes);
    if (bytes <= this->bytes()) return {};
    memory_ = {};
    own_ = {};  // before there is more: both together may be too much
    auto more = Memory::allocate(bytes);
    if (!more) return more.error();
    own_ = *std::move(more);
    memory_ = own_.bytes();
    return {};
  }

  Context<T> context_;
  Memory own_;
  std::span<std::byte> memory_;
  bool owns_ = true;
};

}  // namespace mirnet::inline MIRNET_ABI

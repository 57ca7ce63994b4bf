// An image through the network in one call.
#pragma once

#include <mirnet/io/image.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/tensor.hpp>

namespace mirnet::inline v0 {

namespace detail {

/// Errors: model, where the network is not one for three channels; memory, where no memory could hold the image.
template <class T>
Result<Plan> plan_restoration(Model<T> const& model, Context<T> const& context, Image const& image) noexcept {
  if (model.config().channels != 3) {
    return Error(ErrorCode::model, "the network is for images of %lld channels; expected 3",
                 static_cast<long long>(model.config().channels));
  }
  return model.plan(context, image.height(), image.width());
}

}  // namespace detail

/// Bytes that `restore` takes for an image of this size. Errors: model, memory.
template <class T>
Result<Index> restoration_bytes(Model<T> const& model, Context<T> const& context, Image const& image) noexcept {
  auto const plan = detail::plan_restoration(model, context, image);
  if (!plan) return plan.error();
  // The plan has proved that many more maps of this size can be counted.
  return plan->bytes + 2 * *map_bytes<float>({image.height(), image.width(), 3});
}

/// The restored image, with the size, the channels, the sample type and the alpha of the one given. Takes the memory
/// that it needs and gives it back. T is float or bfloat16. Errors: model, where the network is not one for three
/// channels; memory.
template <class T>
Result<Image> restore(Model<T> const& model, Image const& image, Context<T>& context) noexcept {
  auto const plan = detail::plan_restoration(model, context, image);
  if (!plan) return plan.error();
  Shape const shape{image.height(), image.width(), 3};
  auto input = Tensor<float>::create(shape);
  if (!input) return input.error();
  auto output = Tensor<float>::create(shape);
  if (!output) return output.error();
  auto const memory = Memory::allocate(plan->bytes);
  if (!memory) return memory.error();

  to_map(image, input->view());
  auto const done = model.run(context, *plan, memory->bytes(), input->view(), output->view());
  if (!done) return done.error();
  return from_map(output->view(), image);
}

}  // namespace mirnet::inline v0

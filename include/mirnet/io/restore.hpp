// An image through the network in one call.
#pragma once

#include <mirnet/io/image.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/tensor.hpp>

namespace mirnet::inline v0 {

/// The restored image, with the size, the channels, the sample type and the alpha of the one given. Takes the memory
/// that it needs and gives it back. Errors: model, where the network is not one for three channels; memory.
inline Result<Image> restore(Model<float> const& model, Image const& image, Context<float>& context) noexcept {
  if (model.config().channels != 3) {
    return Error(ErrorCode::model, "the network is for images of %lld channels; expected 3",
                 static_cast<long long>(model.config().channels));
  }
  Shape const shape{image.height(), image.width(), 3};
  auto const plan = model.plan(context, shape.height, shape.width);
  if (!plan) return plan.error();
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

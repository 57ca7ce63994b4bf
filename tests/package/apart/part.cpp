// A library of somebody's that carries its own copy of mirnet. The macros say which:
//   PART_HEADER, PART_NAMESPACE, PART_VERSION   the copy
//   PART_RUN                                    the function that the library exports
//   PART_ALSO                                   if defined, a copy that is included and not used
#include PART_HEADER
#ifdef PART_ALSO
#include PART_ALSO
#endif

#include "part.hpp"

namespace copy = PART_NAMESPACE;

extern "C" PartRun PART_RUN;

bool PART_RUN(Part& part) noexcept {
  part.version = PART_VERSION;
  part.isa = copy::native_kernels().isa;

  auto const model = copy::Model<copy::Mirnet<float>>::load({part.weights, part.weights_bytes});
  if (!model) return false;
  copy::Shape const shape{part.height, part.width, model->config().channels};
  auto noisy = copy::Tensor<float>::create(shape);
  auto clean = copy::Tensor<float>::create(shape);
  if (!noisy || !clean) return false;
  auto const each = [&](auto body) {
    float* plane = part.image;  // channels first
    for (copy::Index c = 0; c < shape.channels; ++c) {
      for (copy::Index y = 0; y < shape.height; ++y) {
        for (copy::Index x = 0; x < shape.width; ++x) body(*plane++, y, x, c);
      }
    }
  };
  each([&](float& value, auto... at) { noisy->view()(at...) = value; });

  copy::Context<float> context(copy::native_kernels());
  auto const plan = model->plan(context, shape.height, shape.width);
  if (!plan) return false;
  auto const memory = copy::Memory::allocate(plan->bytes);
  if (!memory || !model->run(context, *plan, memory->bytes(), noisy->view(), clean->view())) return false;
  each([&](float& value, auto... at) { value = clean->view()(at...); });
  return true;
}

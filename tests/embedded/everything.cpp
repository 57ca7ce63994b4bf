// All of mirnet.hpp that an object can have: classes for both types, and the kernels.
#include <mirnet/mirnet.hpp>

template class mirnet::Model<mirnet::Mirnet<float>>;
template class mirnet::Mirnet<float>;
template class mirnet::Tensor<float>;
mirnet::KernelTable<float> const* float_kernels() { return &mirnet::native_kernels<float>(); }

#if !MIRNET_NO_SIMD
template class mirnet::Model<mirnet::Mirnet<mirnet::bfloat16>>;
template class mirnet::Tensor<mirnet::bfloat16>;
mirnet::KernelTable<mirnet::bfloat16> const* bfloat16_kernels() { return &mirnet::native_kernels<mirnet::bfloat16>(); }
#endif

mirnet::Result<mirnet::Plan<mirnet::MirnetConfig>> plan(mirnet::Model<mirnet::Mirnet<float>> const& model,
                                                        mirnet::ParallelFor threads) {
  mirnet::Context<float> const context(mirnet::native_kernels(), threads);
  return model.plan(context, 480, 640);
}

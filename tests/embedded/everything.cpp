// Instantiates all of mirnet.hpp that an object file can contain (the classes for both types, the layers that no
// network of the library has, and the kernels), and the operations on maps.
#include <mirnet/mirnet.hpp>
#include <mirnet/ops/ops.hpp>

#include "../support/every_layer.hpp"

template class mirnet::Model<mirnet::Mirnet<float>>;
template class mirnet::Mirnet<float>;
template class mirnet::TiledRun<mirnet::Mirnet<float>>;
template class mirnet::Model<mirnet::MirnetV2<float>>;
template class mirnet::MirnetV2<float>;
template class mirnet::TiledRun<mirnet::MirnetV2<float>>;
template class mirnet::Model<test::EveryLayer<float>>;
template class mirnet::Tensor<float>;
mirnet::KernelTable<float> const* float_kernels() { return &mirnet::native_kernels<float>(); }

#if !MIRNET_NO_SIMD
template class mirnet::Model<mirnet::Mirnet<mirnet::bfloat16>>;
template class mirnet::Model<mirnet::MirnetV2<mirnet::bfloat16>>;
template class mirnet::Model<test::EveryLayer<mirnet::bfloat16>>;
template class mirnet::Tensor<mirnet::bfloat16>;
mirnet::KernelTable<mirnet::bfloat16> const* bfloat16_kernels() { return &mirnet::native_kernels<mirnet::bfloat16>(); }
#endif

template <class Net>
mirnet::Result<mirnet::Plan<typename Net::Config>> plan(mirnet::Model<Net> const& model, mirnet::ParallelFor threads) {
  mirnet::Context<float> const context(mirnet::native_kernels(), threads);
  return model.plan(context, 480, 640);
}
template mirnet::Result<mirnet::Plan<mirnet::MirnetConfig>> plan(mirnet::Model<mirnet::Mirnet<float>> const&,
                                                                 mirnet::ParallelFor);
template mirnet::Result<mirnet::Plan<mirnet::MirnetV2Config>> plan(mirnet::Model<mirnet::MirnetV2<float>> const&,
                                                                   mirnet::ParallelFor);

template <class T>
mirnet::Result<void> operations(mirnet::View<T const> a, mirnet::View<T> b, mirnet::View<T> c) {
  mirnet::fill(c, 1);
  for (auto pixel : mirnet::pixels(c)) pixel.channels[0] = T(2);
  mirnet::print(a);
  mirnet::Result<void> const results[] = {mirnet::copy(crop(a, 0, 0, 1, 1), crop(b, 0, 0, 1, 1)),
                                          mirnet::convert(a, b),
                                          mirnet::concat(a, b, c),
                                          mirnet::split(a, b, c),
                                          mirnet::transform(a, b, c, mirnet::Plus{}),
                                          mirnet::reduce(a, b, mirnet::Reduction::mean),
                                          mirnet::matmul(a, b, c),
                                          mirnet::transpose(a, b),
                                          mirnet::all_close(a, b)};
  for (auto const& result : results) {
    if (!result) return result;
  }
  return {};
}
template mirnet::Result<void> operations(mirnet::View<float const>, mirnet::View<float>, mirnet::View<float>);
template mirnet::Result<void> operations(mirnet::View<mirnet::bfloat16 const>, mirnet::View<mirnet::bfloat16>,
                                         mirnet::View<mirnet::bfloat16>);
template mirnet::Result<void> operations(mirnet::View<double const>, mirnet::View<double>, mirnet::View<double>);

mirnet::Result<void> restore_rows(mirnet::TiledRun<mirnet::Mirnet<float>> const& run, mirnet::Context<float>& context,
                                  std::span<std::byte> memory,
                                  mirnet::Result<void> (*read)(mirnet::Index, mirnet::View<float>),
                                  mirnet::Result<void> (*write)(mirnet::Index, mirnet::View<float const>)) {
  return run.compute(context, memory, read, write);
}

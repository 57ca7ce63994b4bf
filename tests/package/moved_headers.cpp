// Includes the headers that have moved by their old names, which still work.
#include <mirnet/blocks/channel_attention.hpp>
#include <mirnet/blocks/dual_attention.hpp>
#include <mirnet/blocks/multi_scale_block.hpp>
#include <mirnet/blocks/residual_group.hpp>
#include <mirnet/blocks/resizing.hpp>
#include <mirnet/blocks/selective_kernel_fusion.hpp>
#include <mirnet/blocks/spatial_attention.hpp>
#include <mirnet/io/image.hpp>
#include <mirnet/io/quality.hpp>
#include <mirnet/io/restore.hpp>
#include <mirnet/io/tiles.hpp>
#include <mirnet/model/config.hpp>

template class mirnet::ChannelAttention<float>;
template class mirnet::DualAttention<float>;
template class mirnet::MultiScaleBlock<float>;
template class mirnet::ResidualGroup<float>;
template class mirnet::Downsampling<float>;
template class mirnet::SelectiveKernelFusion<float>;
template class mirnet::SpatialAttention<float>;

static_assert(mirnet::MirnetConfig{}.features == 64);
static_assert(mirnet::sample_bytes(mirnet::SampleType::u16) == 2);
static_assert(mirnet::TileAxis::of_at_most(100, 256).count() == 1);

mirnet::Result<double> distance(mirnet::View<float const> map, mirnet::Image const& image) {
  auto const other = mirnet::from_map(map, image);
  return other ? mirnet::psnr(*other, image) : other.error();
}
mirnet::Strength strength;

// Selective kernel feature fusion (section 3.1, figure 3): a weighted sum of streams, the weights chosen per channel
// from the average of all of them.
#pragma once

#include <algorithm>

#include <mirnet/base/name.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/pooling.hpp>

namespace mirnet::inline MIRNET_ABI {

/// sum over i of softmax_i(W_i z) * stream_i with z = prelu(W mean(sum of the streams)).
template <class T>
class SelectiveKernelFusion {
 public:
  static constexpr Index most_streams = WeightedSum<T>::most;

  SelectiveKernelFusion() = default;
  constexpr SelectiveKernelFusion(Index channels, Index streams) noexcept : streams_(streams) {
    Index const squeezed = std::max<Index>(channels / 8, 4);
    squeeze_ = {channels, squeezed, 1};
    std::fill_n(select_, streams, Conv2d<T>(squeezed, channels, 1));
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    visit(squeeze_, name / "conv_du.0");
    visit(prelu_, name / "conv_du.1");
    for (Index i = 0; i < streams_; ++i) visit(select_[i], name / "fcs" / i);
  }

  /// All maps have one shape; the output may be one of them.
  constexpr void forward(Context<T>& context, std::span<View<T const> const> streams, View<T> output) const noexcept {
    MIRNET_ASSERT(static_cast<Index>(streams.size()) == streams_);
    for (auto const& stream : streams) {
      if (!context.accepts("fusion", "stream", stream, output.shape(), Layout::dense)) return;
    }
    if (!context.accepts("fusion", "output", output, output.shape(), Layout::dense)) return;
    Shape const vector{1, 1, output.channels()};
    Index const pitch = output.pitch();

    ArenaMap<T> const mean(context.arena, vector);
    global_average<T>(context.at("avg_pool"), streams, mean);
    ArenaMap<T> const squeezed(context.arena, squeeze_.output_shape(vector));
    squeeze_.forward(context.at("conv_du.0"), mean, squeezed, {.activation = prelu_});

    ArenaBlock<T> const weights(context.arena, streams_ * pitch);
    WeightedSum<T> work{streams_, {}, {}, pitch, output.data()};
    for (Index i = 0; i < streams_; ++i) {
      T* const logits = advance(weights.data(), i * pitch);
      select_[i].forward(context.at("fcs", i), squeezed, View<T>(logits, vector));
      work.inputs[i] = streams[static_cast<std::size_t>(i)].data();
      work.weights[i] = logits;
    }
    softmax_of_vectors<T>(context.at("softmax"), weights.data(), streams_, vector.channels);
    auto const inside = context.at("sum");
    Node node = context.new_node("weighted sum", output.shape(), output.shape());
    node.kernel = "weighted_sum";
    node.bytes += (streams_ - 1) * context.bytes_of(output.shape());
    Piece const piece(context, node);
    context.each_range(output.pixels(), 1024,
                       [&](Index first, Index last, Index) { context.kernels->weighted_sum(work, first, last); });
  }

 private:
  Index streams_ = 0;
  Conv2d<T> squeeze_;
  PRelu<T> prelu_;
  Conv2d<T> select_[most_streams];
};

}  // namespace mirnet::inline MIRNET_ABI

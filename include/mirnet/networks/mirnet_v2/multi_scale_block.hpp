// The multi-scale residual block and the recursive residual group of MIRNet-v2 (TPAMI 2022, section 3):
// streams at full, half and quarter resolution, which exchange what they know from the lowest to the highest.
#pragma once

#include <algorithm>
#include <span>

#include <mirnet/networks/mirnet_v2/config.hpp>
#include <mirnet/networks/mirnet_v2/fusion.hpp>
#include <mirnet/networks/mirnet_v2/residual_context.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + W top, with `top` the first stream behind two rounds of context blocks and fusions. Both rounds have the same
/// context blocks and fusions, and each its own up-samplers.
template <class T>
class MultiScaleBlockV2 {
 public:
  MultiScaleBlockV2() = default;
  constexpr MultiScaleBlockV2(MirnetV2Config const& config, Index group) noexcept
      : conv_out_(config.features, config.features, 1, {.bias = config.bias}) {
    Index const top = config.stream_channels(0), mid = config.stream_channels(1), bottom = config.stream_channels(2);
    Index const groups = config.convolution_groups(group);
    contexts_[0] = {top, groups, config.bias};
    contexts_[1] = {mid, groups, config.bias};
    contexts_[2] = {bottom, groups, config.bias};
    down2_ = {top, mid, 1};
    down4_[0] = {top, mid, 1};
    down4_[1] = {mid, bottom, 1};
    for (Index round = 0; round < rounds; ++round) {
      up_top_[round] = {mid, top, 1};
      up_mid_[round] = {bottom, mid, 1};
    }
    fuse_top_ = UpsamplingFusion<T>(top);
    fuse_mid_ = UpsamplingFusion<T>(mid);
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name) {
    contexts_[0].layers(visit, name / "dau_top");
    contexts_[1].layers(visit, name / "dau_mid");
    contexts_[2].layers(visit, name / "dau_bot");
    visit(down2_, name / "down2.body.0.bot.1");
    visit(down4_[0], name / "down4.0.body.0.bot.1");
    visit(down4_[1], name / "down4.1.body.0.bot.1");
    visit(up_top_[0], name / "up21_1.body.0.bot.0");
    visit(up_top_[1], name / "up21_2.body.0.bot.0");
    visit(up_mid_[0], name / "up32_1.body.0.bot.0");
    visit(up_mid_[1], name / "up32_2.body.0.bot.0");
    visit(conv_out_, name / "conv_out");
    fuse_top_.layers(visit, name / "skff_top");
    fuse_mid_.layers(visit, name / "skff_mid");
  }

  /// Height and width are multiples of 4. The output may be the input.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    forward_to(context, x, [&] { return output; });
  }

  /// The same into a new map, which is taken when little else is held.
  constexpr ArenaMap<T> forward(Context<T>& context, View<T const> x) const noexcept {
    ArenaMap<T> output;
    forward_to(context, x, [&] {
      output = ArenaMap<T>(context.arena, x.shape());
      return output.view();
    });
    return output;
  }

 private:
  static constexpr Index rounds = 2;
  using Fusion = typename UpsamplingFusion<T>::Rows;

  template <class Output>
  constexpr void forward_to(Context<T>& context, View<T const> x, Output&& output) const noexcept {
    ArenaMap<T> mid, bottom;
    halve(context, x, mid, bottom);
    lower_streams(context, 0, mid, bottom);
    ArenaMap<T> first(context.arena, x.shape());
    ChannelSums<T> first_sums(context, x.channels());
    contexts_[0].forward(context.at("dau_top"), x, first, &first_sums);
    ArenaMap<T> top;
    ChannelSums<T> top_sums(context, x.channels());
    {
      // What a fusion makes of the first stream is made band by band, in the layer that reads it.
      Fusion fuse(fuse_top_, context, "skff_top", "up21_1", up_top_[0], mid, first_sums, first);
      lower_streams(context, 1, mid, bottom);
      top = ArenaMap<T>(context.arena, x.shape());
      contexts_[0].forward(context.at("dau_top"), first, top, &top_sums,
                           [&](Index begin, Index end) { fuse.forward(context, begin, end); });
    }
    first.release();
    Fusion fuse(fuse_top_, context, "skff_top", "up21_2", up_top_[1], mid, top_sums, top);
    mid.release();
    write_output(context, x, top, fuse, output());
  }

  constexpr void write_output(Context<T>& context, View<T const> x, View<T> top, Fusion& fuse,
                              View<T> output) const noexcept {
    typename Conv2d<T>::Rows const conv_out(conv_out_, context.at("conv_out"), x.shape());
    each_band(context, x.height(), rows_a_band(x.width()), [&](Index first, Index last) {
      Index const count = last - first;
      fuse.forward(context, first, last);
      conv_out.forward(context, rows_of(top, first, count), rows_of(output, first, count),
                       {.residual = rows(x, first, count)});
    });
  }

  /// One round of the second and third stream.
  constexpr void lower_streams(Context<T>& context, Index round, ArenaMap<T>& mid, ArenaMap<T>& bottom) const noexcept {
    pass(context, "dau_bot", contexts_[2], bottom, nullptr);
    ChannelSums<T> sums(context, mid.channels());
    pass(context, "dau_mid", contexts_[1], mid, &sums);
    Fusion fuse(fuse_mid_, context, "skff_mid", round == 0 ? "up32_1" : "up32_2", up_mid_[round], bottom, sums, mid);
    fuse.forward(context, 0, mid.height());
    if (round + 1 == rounds) bottom.release();
  }

  /// The second and third stream: 1/2 and 1/4 of the resolution. Both begin with the same pooled map.
  constexpr void halve(Context<T>& context, View<T const> x, ArenaMap<T>& mid, ArenaMap<T>& bottom) const noexcept {
    auto const shape = [&](Index step, Index channels) { return Shape{x.height() / step, x.width() / step, channels}; };
    mid = ArenaMap<T>(context.arena, down2_.output_shape(shape(2, x.channels())));
    bottom = ArenaMap<T>(context.arena, down4_[1].output_shape(shape(4, mid.channels())));
    ArenaMap<T> between(context.arena, mid.shape());
    {
      ArenaMap<T> const half(context.arena, shape(2, x.channels()));
      average_halve<T>(context.at("down2.body.0.bot.0"), x, half);
      down2_.forward(context.at("down2.body.0.bot.1"), half, mid);
      down4_[0].forward(context.at("down4.0.body.0.bot.1"), half, between);
    }
    ArenaMap<T> const quarter(context.arena, shape(4, mid.channels()));
    average_halve<T>(context.at("down4.1.body.0.bot.0"), between, quarter);
    between.release();
    down4_[1].forward(context.at("down4.1.body.0.bot.1"), quarter, bottom);
  }

  /// Through a context block, into a new map that takes the place of `map`.
  static constexpr void pass(Context<T>& context, char const* name, ResidualContext<T> const& block, ArenaMap<T>& map,
                             ChannelSums<T>* sums) noexcept {
    ArenaMap<T> passed(context.arena, map.shape());
    block.forward(context.at(name), map, passed, sums);
    map = std::move(passed);
  }

  ResidualContext<T> contexts_[MirnetV2Config::streams];
  Conv2d<T> down2_, down4_[2];
  Conv2d<T> up_top_[rounds], up_mid_[rounds];
  Conv2d<T> conv_out_;
  UpsamplingFusion<T> fuse_top_, fuse_mid_;
};

/// x + conv(block(...block(x))). The blocks belong to the network. In one that is only rehearsed the last of them
/// stands for others that are not there.
template <class T>
class ResidualGroupV2 {
 public:
  ResidualGroupV2() = default;
  constexpr ResidualGroupV2(MirnetV2Config const& config, std::span<MultiScaleBlockV2<T>> blocks, Index count) noexcept
      : blocks_(blocks), count_(count), conv_(config.features, config.features, 3, {.bias = config.bias}) {}

  constexpr MultiScaleBlockV2<T>& block(Index i) const noexcept {
    return blocks_[(std::min)(static_cast<std::size_t>(i), blocks_.size() - 1)];
  }
  constexpr Conv2d<T>& conv() noexcept { return conv_; }

  /// The output may be the input.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output) const noexcept {
    ArenaMap<T> const deep = block(0).forward(context.at("body", 0), x);
    for (Index i = 1; i < count_; ++i) block(i).forward(context.at("body", i), deep, deep);
    // What it rounds goes straight to the output, past all that follows.
    context.precisely([&] { conv_.forward(context.at("body", count_), deep, output, {.residual = x}); });
  }

 private:
  std::span<MultiScaleBlockV2<T>> blocks_;
  Index count_ = 0;
  Conv2d<T> conv_;
};

}  // namespace mirnet::inline MIRNET_ABI

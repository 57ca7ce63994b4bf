// Networks and blocks against what PyTorch computes from the same checkpoints, through the weight files that the
// converter makes of them.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <mirnet/io/model_file.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/npy.hpp"

namespace {

using mirnet::Index;
using mirnet::Name;
using mirnet::Shape;
using mirnet::Tensor;
using mirnet::View;

/// body(std::type_identity<Net>, name) for each case, whose network of T is Net.
template <class T, class Body>
void each_case(Body&& body) {
  for (auto const* name :
       {"v1_w16_blocks", "v1_w8_legacy", "v1_w24_two_streams", "v1_w8_four_streams", "v1_w8_unshuffle"}) {
    body(std::type_identity<mirnet::Mirnet<T>>(), name);
  }
  for (auto const* name : {"v2_w16", "v2_w16_bias", "v2_w16_defocus", "v2_w16_two_blocks", "v2_w32"}) {
    body(std::type_identity<mirnet::MirnetV2<T>>(), name);
  }
}

std::string golden(std::string const& name) { return std::string(MIRNET_GOLDEN_DIR "/") + name; }
std::string weights(std::string const& name) { return std::string(MIRNET_GOLDEN_WEIGHTS_DIR "/") + name + ".mirw"; }

/// A layer that only keeps its parameters, in the checkpoint's order.
struct Recorded {
  mirnet::ParameterShape of;
  std::vector<float> values;

  mirnet::ParameterShape shape() const { return of; }
  Index packed_elements(Index) const { return of.elements(); }
  Index packed_from(Index, Index at) const { return at; }
  Index packed_at(Index, Index element) const { return element; }
  void pack(float*, Index, std::span<float const> piece) { values.insert(values.end(), piece.begin(), piece.end()); }
};

/// The tensors of a weight file by their names.
template <class Net>
std::map<std::string, Recorded> read_tensors(std::string const& path, typename Net::Config& config) {
  mirnet::FileSource source(mirnet::InputFile::open(path.c_str(), mirnet::ErrorCode::model).value());
  auto file = mirnet::WeightFile::open(source).value();
  config = Net::configure(file.header()).value();
  std::map<std::string, Recorded> tensors;
  Net::schema(config, [&](auto& layer, Name const& name) {
    mirnet::each_parameter(layer, name, [&](auto& parameter, Name const& full_name) {
      Recorded& tensor = tensors[full_name.c_str()] = {parameter.shape(), {}};
      file.read_tensor<float>(tensor, nullptr, full_name).value();
    });
  });
  return tensors;
}

/// The blocks of one case: which module of the checkpoint each kind's arrays were recorded from.
std::map<std::string, std::string> block_paths(std::string const& name) {
  std::map<std::string, std::string> paths;
  std::ifstream file(golden(name) + "/blocks.txt");
  for (std::string kind, path; file >> kind >> path;) paths[kind] = path;
  return paths;
}

/// Fills layers of one block from the file's tensors; the memory belongs to this object.
class Weights {
 public:
  explicit Weights(std::map<std::string, Recorded> const& tensors) : tensors_(tensors) {}

  template <class Layer>
  void operator()(Layer& layer, Name const& name) {
    // A bias lies right behind the weight.
    Index elements = 0;
    auto const packed = [](auto const& parameter) {
      return mirnet::round_up(parameter.packed_elements(), mirnet::packed_line<float>);
    };
    mirnet::each_parameter(layer, name, [&](auto& parameter, Name const&) { elements += packed(parameter); });
    memory_.push_back(mirnet::Memory::allocate(elements * static_cast<Index>(sizeof(float))).value());
    auto* next = reinterpret_cast<float*>(memory_.back().bytes().data());
    std::fill_n(next, elements, 0.0f);
    mirnet::each_parameter(layer, name, [&](auto& parameter, Name const& full_name) {
      auto const tensor = tensors_.find(full_name.c_str());
      REQUIRE_MESSAGE(tensor != tensors_.end(), full_name.c_str());
      REQUIRE(tensor->second.of == parameter.shape());
      parameter.bind(next);
      parameter.pack(next, 0, tensor->second.values);
      next += packed(parameter);
    });
  }

 private:
  std::map<std::string, Recorded> const& tensors_;
  std::vector<mirnet::Memory> memory_;
};

}  // namespace

namespace {

/// A case's arrays, and what errors are measured by: the largest residual, or without an image in the output, the
/// largest output.
template <class T>
struct Arrays {
  Tensor<T> image, output;
  double scale;

  explicit Arrays(std::string const& in, std::string const& out)
      : image(test::read_npy<T>(in)),
        output(test::read_npy<T>(out)),
        scale(image.shape() == output.shape() ? test::largest_difference(as_const(output), as_const(image))
                                              : test::largest_magnitude(as_const(output))) {}

  static View<T const> as_const(Tensor<T> const& tensor) { return tensor.view(); }
};

template <class T>
Arrays<T> arrays_of(std::string const& name) {
  return Arrays<T>(golden(name) + "/input.npy", golden(name) + "/output.npy");
}

/// The largest difference of the network's output from what PyTorch computed.
template <class Net, class T>
double error(mirnet::Model<Net> const& model, mirnet::Context<typename Net::Scalar>& context, Arrays<T> const& arrays) {
  auto const output = test::run(model, context, arrays.image.view());
  return test::largest_difference(output.view(), arrays.output.view());
}

}  // namespace

TEST_CASE("whole networks agree with PyTorch on every instruction set") {
  each_case<float>([]<class Net>(std::type_identity<Net>, char const* name) {
    CAPTURE(name);
    auto const model = mirnet::load_model<Net>(weights(name).c_str()).value();
    auto const arrays = arrays_of<float>(name);
    CHECK(arrays.scale >= 0.1);
    for (auto const* kernels : test::kernel_tables()) {
      CAPTURE(kernels->isa);
      mirnet::Context<float> context(*kernels);
      CHECK(error(model, context, arrays) <= 2e-5 * arrays.scale);
    }
  });
}

TEST_CASE("MIRNet-v2 agrees with PyTorch on images of any size") {
  std::string const weight_file = weights("v2_w16_bias");
  auto const model = mirnet::load_model<mirnet::MirnetV2<float>>(weight_file.c_str()).value();
  auto const oracle = mirnet::load_model<mirnet::MirnetV2<double>>(weight_file.c_str()).value();
  for (std::string const size : {"1x1", "2x3", "5x1", "67x131"}) {
    CAPTURE(size);
    auto const path = golden("v2_sizes/" + size);
    auto const exact = test::read_npy<double, double>(path + ".out.npy");
    mirnet::Context<double> in_double(test::eigen_kernels<double>());
    auto const computed = test::run(oracle, in_double, test::read_npy<double>(path + ".in.npy").view());
    CHECK(test::largest_difference(std::as_const(computed).view(), std::as_const(exact).view()) <= 1e-11);
    auto const image = test::read_npy<float>(path + ".in.npy");
    for (auto const* kernels : test::kernel_tables()) {
      CAPTURE(kernels->isa);
      mirnet::Context<float> context(*kernels);
      auto const output = test::run(model, context, image.view());
      CHECK(test::largest_difference(std::as_const(output).view(), std::as_const(exact).view()) <=
            2e-5 * test::largest_difference(std::as_const(exact).view(), image.view()));
    }
  }
}

TEST_CASE("networks of bfloat16 agree with PyTorch within 2 percent on every instruction set") {
  each_case<mirnet::bfloat16>([]<class Net>(std::type_identity<Net>, char const* name) {
    CAPTURE(name);
    auto const model = mirnet::load_model<Net>(weights(name).c_str()).value();
    auto const arrays = arrays_of<float>(name);
    for (auto const& set : test::bfloat16_tables()) {
      CAPTURE(set.halves->isa);
      mirnet::Context<mirnet::bfloat16> context(*set.halves);
      CHECK(error(model, context, arrays) <= 0.02 * arrays.scale);
    }
  });
}

TEST_CASE("networks of double agree with PyTorch in float64") {
  each_case<double>([]<class Net>(std::type_identity<Net>, char const* name) {
    CAPTURE(name);
    auto const model = mirnet::load_model<Net>(weights(name).c_str()).value();
    auto const image = test::read_npy<double>(golden(name) + "/input.npy");
    auto const expected = test::read_npy<double, double>(golden(name) + "/output_f64.npy");
    for (auto const* table : {&test::eigen_kernels<double>(), &test::plain_kernels<double>()}) {
      CAPTURE(table->isa);
      mirnet::Context<double> context(*table);
      auto const output = test::run(model, context, image.view());
      CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <= 1e-11);
    }
  });
}

namespace {

/// Runs forward(context, inputs, output) of one kind of block, whose weights layers(visit, path) fills, on every
/// instruction set, and compares.
template <class Layers, class Forward>
void compare_block(std::string const& name, std::map<std::string, Recorded> const& tensors, std::string const& kind,
                   Layers&& layers, Forward&& forward) {
  CAPTURE(name);
  CAPTURE(kind);
  auto const paths = block_paths(name);
  REQUIRE(paths.contains(kind));
  Weights filled(tensors);
  layers(filled, Name(paths.at(kind)));
  std::vector<Tensor<float>> inputs;
  std::vector<View<float const>> views;
  auto const stem = golden(name) + "/" + kind;
  while (std::ifstream(stem + ".in" + std::to_string(inputs.size()) + ".npy")) {
    inputs.push_back(test::read_npy<float>(stem + ".in" + std::to_string(inputs.size()) + ".npy"));
    views.push_back(std::as_const(inputs.back()).view());
  }
  REQUIRE(!inputs.empty());
  auto const expected = test::read_npy<float>(stem + ".out.npy");
  for (auto const* kernels : test::kernel_tables()) {
    CAPTURE(kernels->isa);
    auto const memory = mirnet::Memory::allocate(16 << 20).value();
    mirnet::Context<float> context(*kernels);
    context.arena = mirnet::Arena(memory.bytes());
    auto output = Tensor<float>::create(expected.shape()).value();
    forward(context, views, output.view());
    CHECK(context.arena.live_blocks() == 0);
    CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <=
          2e-5 * test::largest_magnitude(expected.view()));
  }
}

}  // namespace

TEST_CASE("every block of MIRNet agrees with PyTorch on every instruction set") {
  for (auto const* name : {"v1_w16_blocks", "v1_w24_two_streams", "v1_w8_four_streams"}) {
    CAPTURE(name);
    mirnet::MirnetConfig config;
    auto const tensors = read_tensors<mirnet::Mirnet<float>>(weights(name), config);
    mirnet::PRelu<float> prelu;
    prelu.pack(nullptr, 0, tensors.at("body.0.body.0.blocks.0.0.body.1.weight").values);
    auto const compare = [&](std::string const& kind, auto&& layers, auto&& forward) {
      compare_block(name, tensors, kind, layers, forward);
    };

    auto const channels = config.features;
    mirnet::DualAttention<float> unit(channels);
    compare(
        "dual_attention", [&](auto& visit, Name const& path) { unit.layers(visit, path, nullptr); },
        [&](auto& context, auto& in, auto out) { unit.forward(context, in[0], out, prelu); });
    mirnet::Downsampling<float> down(channels);
    compare(
        "down", [&](auto& visit, Name const& path) { down.layers(visit, path); },
        [&](auto& context, auto& in, auto out) { down.forward(context, in[0], out); });
    mirnet::Upsampling<float> up(2 * channels);
    compare(
        "up", [&](auto& visit, Name const& path) { up.layers(visit, path); },
        [&](auto& context, auto& in, auto out) { up.forward(context, in[0], out); });
    mirnet::SelectiveKernelFusion<float> fusion(channels, config.streams);
    compare(
        "fusion", [&](auto& visit, Name const& path) { fusion.layers(visit, path); },
        [&](auto& context, auto& in, auto out) { fusion.forward(context, in, out); });
    mirnet::MultiScaleBlock<float> block(channels, config.streams, config.columns);
    compare(
        "multi_scale_block", [&](auto& visit, Name const& path) { block.layers(visit, path, nullptr); },
        [&](auto& context, auto& in, auto out) { block.forward(context, in[0], out, prelu); });
    mirnet::ResidualGroup<float> group(channels, {&block, 1});
    compare(
        "residual_group",
        [&](auto& visit, Name const& path) {
          block.layers(visit, path / "body" / Index{0}, nullptr);
          visit(group.conv(), path / "body" / Index{1});
        },
        [&](auto& context, auto& in, auto out) { group.forward(context, in[0], out, prelu); });
  }
}

TEST_CASE("every block of MIRNet-v2 agrees with PyTorch on every instruction set") {
  for (auto const* name : {"v2_w16", "v2_w16_bias"}) {
    mirnet::MirnetV2Config config;
    auto const tensors = read_tensors<mirnet::MirnetV2<float>>(weights(name), config);
    auto const compare = [&](std::string const& kind, auto&& layers, auto&& forward) {
      compare_block(name, tensors, kind, layers, forward);
    };
    struct Context {
      char const* kind;
      Index stream, groups;
    };
    for (auto const& unit : {Context{"residual_context", 0, 1}, Context{"residual_context_2", 1, 2},
                             Context{"residual_context_4", 2, 4}}) {
      mirnet::ResidualContext<float> block(config.stream_channels(unit.stream), unit.groups, config.bias);
      compare(
          unit.kind, [&](auto& visit, Name const& path) { block.layers(visit, path); },
          [&](auto& context, auto& in, auto out) { block.forward(context, in[0], out); });
    }
    Index const top = config.stream_channels(0), mid = config.stream_channels(1), bottom = config.stream_channels(2);
    mirnet::Conv2d<float> down(top, mid, 1);
    compare(
        "down", [&](auto& visit, Name const& path) { visit(down, path / "bot.1"); },
        [&](auto& context, auto& in, auto out) {
          mirnet::ArenaMap<float> const half(context.arena, {out.height(), out.width(), top});
          mirnet::average_halve<float>(context, in[0], half);
          down.forward(context, half, out);
        });
    mirnet::Conv2d<float> up(bottom, mid, 1);
    compare(
        "up", [&](auto& visit, Name const& path) { visit(up, path / "bot.0"); },
        [&](auto& context, auto& in, auto out) {
          mirnet::ArenaMap<float> const small(context.arena, up.output_shape(in[0].shape()));
          up.forward(context, in[0], small);
          mirnet::bilinear_double<float>(context, small, out);
        });
    mirnet::MultiScaleBlockV2<float> block(config, 1);
    compare(
        "multi_scale_block", [&](auto& visit, Name const& path) { block.layers(visit, path); },
        [&](auto& context, auto& in, auto out) { block.forward(context, in[0], out); });
    mirnet::MultiScaleBlockV2<float> inner(config, 2);
    mirnet::ResidualGroupV2<float> group(config, {&inner, 1}, 1);
    compare(
        "residual_group",
        [&](auto& visit, Name const& path) {
          inner.layers(visit, path / "body" / Index{0});
          visit(group.conv(), path / "body" / Index{1});
        },
        [&](auto& context, auto& in, auto out) { group.forward(context, in[0], out); });
  }
}

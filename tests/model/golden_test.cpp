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

char const* const golden_cases[] = {"v1_w16_blocks", "v1_w8_legacy", "v1_w24_two_streams", "v1_w8_four_streams",
                                    "v1_w8_unshuffle"};

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

/// The tensors of a weight file by their layers' names.
std::map<std::string, Recorded> read_tensors(std::string const& path, mirnet::MirnetConfig& config) {
  mirnet::FileSource source(mirnet::InputFile::open(path.c_str(), mirnet::ErrorCode::model).value());
  auto file = mirnet::WeightFile::open(source).value();
  config = mirnet::Mirnet<float>::configure(file.header()).value();
  std::map<std::string, Recorded> tensors;
  mirnet::Mirnet<float>::schema(config, [&](auto& layer, Name const& name) {
    Recorded& tensor = tensors[name.c_str()] = {layer.shape(), {}};
    file.read_tensor<float>(tensor, nullptr, name / "weight").value();
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
    auto const tensor = tensors_.find(name.c_str());
    REQUIRE_MESSAGE(tensor != tensors_.end(), name.c_str());
    REQUIRE(tensor->second.of == layer.shape());
    memory_.push_back(std::vector<float>(static_cast<std::size_t>(layer.packed_elements())));
    layer.bind(memory_.back().data());
    layer.pack(memory_.back().data(), 0, tensor->second.values);
  }

 private:
  std::map<std::string, Recorded> const& tensors_;
  std::vector<std::vector<float>> memory_;
};

}  // namespace

TEST_CASE("whole networks agree with PyTorch on every instruction set") {
  for (auto const* name : golden_cases) {
    CAPTURE(name);
    auto const model = mirnet::load_model<mirnet::Mirnet<float>>(weights(name).c_str()).value();
    auto const image = test::read_npy<float>(golden(name) + "/input.npy");
    auto const expected = test::read_npy<float>(golden(name) + "/output.npy");
    double const residual = test::largest_difference(expected.view(), image.view());
    CHECK(residual >= 0.1);
    for (auto const* kernels : test::kernel_tables()) {
      mirnet::Context<float> context(*kernels);
      auto const output = test::run(model, context, image.view());
      CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <= 2e-5 * residual);
    }
  }
}

TEST_CASE("networks of bfloat16 agree with PyTorch within 2 percent on every instruction set") {
  for (auto const* name : golden_cases) {
    CAPTURE(name);
    auto const model = mirnet::load_model<mirnet::Mirnet<mirnet::bfloat16>>(weights(name).c_str()).value();
    auto const image = test::read_npy<float>(golden(name) + "/input.npy");
    auto const expected = test::read_npy<float>(golden(name) + "/output.npy");
    double const residual = test::largest_difference(expected.view(), image.view());
    for (auto const& set : test::bfloat16_tables()) {
      CAPTURE(set.halves->isa);
      mirnet::Context<mirnet::bfloat16> context(*set.halves);
      auto const output = test::run(model, context, image.view());
      CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <= 0.02 * residual);
    }
  }
}

TEST_CASE("networks of double agree with PyTorch in float64") {
  for (auto const* name : golden_cases) {
    CAPTURE(name);
    auto const model = mirnet::load_model<mirnet::Mirnet<double>>(weights(name).c_str()).value();
    auto const image = test::read_npy<double>(golden(name) + "/input.npy");
    auto const expected = test::read_npy<double, double>(golden(name) + "/output_f64.npy");
    for (auto const* table : {&test::eigen_kernels<double>(), &test::plain_kernels<double>()}) {
      CAPTURE(table->isa);
      mirnet::Context<double> context(*table);
      auto const output = test::run(model, context, image.view());
      CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <= 1e-11);
    }
  }
}

TEST_CASE("every block agrees with PyTorch on every instruction set") {
  for (auto const* name : {"v1_w16_blocks", "v1_w24_two_streams", "v1_w8_four_streams"}) {
    CAPTURE(name);
    mirnet::MirnetConfig config;
    auto const tensors = read_tensors(weights(name), config);
    auto const paths = block_paths(name);
    mirnet::PRelu<float> prelu;
    prelu.pack(nullptr, 0, tensors.at("body.0.body.0.blocks.0.0.body.1").values);

    // Runs forward(context, inputs, output) with weights filled by layers(visitor, path), and compares.
    auto const compare = [&](std::string const& kind, auto&& layers, auto&& forward) {
      CAPTURE(kind);
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
        auto const memory = mirnet::Memory::allocate(16 << 20).value();
        mirnet::Context<float> context(*kernels);
        context.arena = mirnet::Arena(memory.bytes());
        auto output = Tensor<float>::create(expected.shape()).value();
        forward(context, views, output.view());
        CHECK(context.arena.live_blocks() == 0);
        CHECK(test::largest_difference(std::as_const(output).view(), expected.view()) <=
              2e-5 * test::largest_magnitude(expected.view()));
      }
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

// The networks of examples/networks against PyTorch: from a state dict to a weight file to the output.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include <mirnet/io/model_file.hpp>
#include <mirnet/kernels/native.hpp>
#include <mirnet/model/byte_source.hpp>
#include <mirnet/model/runner.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "networks/any_dncnn.hpp"
#include "networks/dncnn.hpp"
#include "networks/edsr.hpp"
#include "networks/ffdnet.hpp"
#include "networks/nafnet.hpp"
#include "networks/pooling_unet.hpp"
#include "networks/unet.hpp"
#include "networks/unet_from_onnx.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/npy.hpp"
#include "support/slow.hpp"

using namespace mirnet;

namespace {

static_assert(Network<DnCnn<float>> && Network<DnCnn<bfloat16>> && Network<DnCnn<double>>);
static_assert(Network<FfdNet<float>> && Network<FfdNet<bfloat16>> && Network<FfdNet<double>>);

template <class T>
using SmallNafNet = NafNet<T, std::array<Index, 9>{1, 1, 1, 1, 1, 1, 1, 1, 1}>;

struct Golden {
  char const* size;
  Shape shape;  // of the output, where that is as large as the input
};
constexpr Golden goldens[] = {
    {"20x24", {20, 24, 3}}, {"17x31", {17, 31, 3}}, {"33x18", {33, 18, 3}}, {"1x2", {1, 2, 3}}};

/// The largest difference from PyTorch, over the largest magnitude of its output. That is stored as numbers of the type
/// Stored.
template <template <class> class Net, class Stored, class T>
double difference(std::string const& name, Golden const& golden, KernelTable<T> const& kernels, ParallelFor threads) {
  using Pixel = Accumulator<T>;
  std::string const folder = std::string(MIRNET_GOLDEN_DIR) + "/" + name + "/" + golden.size;
  auto const model =
      load_model<Net<T>>((std::string(MIRNET_GOLDEN_WEIGHTS_DIR) + "/" + name + ".mirw").c_str()).value();
  auto const input = test::read_npy<Pixel>(folder + ".in.npy");
  auto const expected = test::read_npy<Pixel, Stored>(folder + ".out.npy");
  Runner<T> runner(kernels, threads);
  auto const output = runner(model, input.view()).value();
  auto const& config = model.config();
  Shape const shape{Net<T>::scale * golden.shape.height, Net<T>::scale * golden.shape.width, golden.shape.channels};
  CHECK(output.shape() == shape);
  CHECK(Net<T>::output_shape(config, input.shape()) == shape);
  auto const needed =
      Model<Net<T>>::bytes_needed(config, golden.shape.height, golden.shape.width, kernels, threads.workers).value();
  CHECK(needed.model == model.bytes());
  CHECK(needed.run == runner.bytes());
  return test::largest_difference<Pixel const, Pixel const>(output.view(), expected.view()) /
         test::largest_magnitude<Pixel>(expected.view());
}

template <template <class> class Net, class Stored = float>
void check(std::string const& name) {
  ThreadPool pool(2);
  for (auto const& golden : goldens) {
    // The large networks of the smallest image, with padding; the others of all.
    if (test::slow && std::is_same_v<Stored, double> && &golden != &goldens[3]) continue;
    CAPTURE(golden.size);
    for (auto const* kernels : test::kernel_tables()) {
      INFO(std::string(kernels->isa));
      double const off = difference<Net, Stored>(name, golden, *kernels, pool);
      CHECK(off < 2e-5);
      CHECK(off == difference<Net, Stored>(name, golden, *kernels, {}));  // whatever the number of threads
    }
    for (auto const& set : test::bfloat16_tables()) {
      INFO(std::string(set.halves->isa), " bfloat16");
      CHECK(difference<Net, Stored>(name, golden, *set.halves, {}) < 3e-2);
    }
    double const rounding = std::is_same_v<Stored, float> ? 1e-7 : 1e-13;  // of the goldens
    CHECK(difference<Net, Stored>(name, golden, test::eigen_kernels<double>(), {}) < rounding);
  }
}

// --- Code of docs/your-own-network.md ---

mirnet::Tensor<float> denoised(mirnet::Model<DnCnn<float>> const& model, mirnet::View<float const> noisy) {
  mirnet::Runner<float> runner(mirnet::native_kernels());
  return runner(model, noisy).value();
}

#if !defined(MIRNET_SANITIZED)  // with sanitizers, this constant expression takes minutes
constexpr auto needed = mirnet::Model<DnCnn<float>>::bytes_needed({}, 48, 64, mirnet::native_kernels()).value();
alignas(64) std::byte model_memory[needed.model];
alignas(64) std::byte run_memory[needed.run];

/// Bytes of a run for 256x256 pixels, in maps of that size and 32 channels.
template <template <class> class Net>
constexpr Index maps_of = Model<Net<float>>::bytes_needed({}, 256, 256, native_kernels()).value().run /
                          (256 * 256 * 128);
static_assert(maps_of<Edsr> >= 16 && maps_of<Edsr> < 20);  // a map of 64 channels and twice the size is 8
static_assert(maps_of<UNet> >= 4 && maps_of<UNet> < 7);
static_assert(maps_of<NafNet> >= 4 && maps_of<NafNet> < 7);
#endif

}  // namespace

TEST_CASE("DnCNN is PyTorch's") { check<DnCnn>("dncnn"); }
TEST_CASE("FFDNet is PyTorch's") { check<FfdNet>("ffdnet"); }
TEST_CASE("a U-Net is PyTorch's") { check<SmallUNet>("unet"); }
TEST_CASE("EDSR is PyTorch's") { check<Edsr, double>("edsr"); }
TEST_CASE("a U-Net with pooling is PyTorch's") { check<UNet, double>("pooling_unet"); }
TEST_CASE("a header that the converter wrote is PyTorch's") { check<UnetFromOnnx, double>("pooling_unet"); }
TEST_CASE("NAFNet is PyTorch's") { check<SmallNafNet, double>("nafnet"); }

TEST_CASE("what own networks refuse") {
  auto const message = [](auto const& model) { return std::string(model.ok() ? "" : model.error().message()); };
  std::string const folder = MIRNET_GOLDEN_WEIGHTS_DIR;
  std::string const dncnn = folder + "/dncnn.mirw", ffdnet = folder + "/ffdnet.mirw",
                    mirnet = folder + "/v1_w8_legacy.mirw";
  CHECK(message(load_model<FfdNet<float>>(dncnn.c_str())) ==
        dncnn + ": the first dimension of model.0.weight is 64, expected 96");
  CHECK(message(load_model<DnCnn<float>>(mirnet.c_str())) ==
        mirnet + ": the file has weights of MIRNet (architecture 1), expected a network of your own (0)");
  CHECK(message(load_model<Mirnet<float>>(ffdnet.c_str())) ==
        ffdnet + ": the file has weights of a network of somebody's own (architecture 0), expected MIRNet (1)");

  auto const model = load_model<DnCnn<float>>(dncnn.c_str()).value();
  Context<float> const context(*test::kernel_tables().front());
  CHECK(message(model.plan(context, 0, 5)) == "an image has at least 1x1 pixels, found 5x0");
  Index const many = Index{1} << (sizeof(Index) * 4);
  CHECK(message(model.plan(context, many, many)).find("is larger than any memory") != std::string::npos);
}

TEST_CASE("the tutorial's other code") {
  auto const path = std::string(MIRNET_GOLDEN_WEIGHTS_DIR) + "/dncnn.mirw";
  auto const folder = std::string(MIRNET_GOLDEN_DIR) + "/dncnn/17x31";
  auto const model = load_model<DnCnn<float>>(path.c_str()).value();
  auto const input = test::read_npy<float>(folder + ".in.npy"), expected = test::read_npy<float>(folder + ".out.npy");
  CHECK(test::largest_difference<float const, float const>(denoised(model, input.view()).view(), expected.view()) <
        8e-5);

#if !defined(MIRNET_SANITIZED)
  auto const file = test::file_bytes(path);
  MemorySource source(std::as_bytes(std::span(file)));
  auto const placed = Model<DnCnn<float>>::load(source, model_memory).value();
  auto image = Tensor<float>::create({48, 64, 3}).value(), output = Tensor<float>::create({48, 64, 3}).value();
  Context<float> context(native_kernels());
  auto const plan = placed.plan(context, 48, 64).value();
  CHECK(plan.bytes == needed.run);
  CHECK(placed.run(context, plan, run_memory, image.view(), output.view()).ok());
#endif
}

TEST_CASE("hyper-parameters from the numbers of a weight file") {
  using Net = AnyDnCnn<float>;
  std::string const folder = MIRNET_GOLDEN_WEIGHTS_DIR;
  auto const path = folder + "/dncnn_numbers.mirw";
  auto const any = load_model<Net>(path.c_str()).value();
  auto const model = load_model<DnCnn<float>>((folder + "/dncnn.mirw").c_str()).value();
  CHECK(any.config() == DnCnnConfig{.features = 64, .depth = 17});
  CHECK(any.parameters() == model.parameters());
  auto const input = test::read_npy<float>(std::string(MIRNET_GOLDEN_DIR) + "/dncnn/33x18.in.npy");
  Runner<float> runner(*test::kernel_tables().front());
  auto const one = runner(any, input.view()).value(), other = runner(model, input.view()).value();
  CHECK(test::same_bits(one.view(), other.view()));
  CHECK(std::string(load_model<Net>((folder + "/dncnn.mirw").c_str()).error().message()) ==
        folder + "/dncnn.mirw: 0 features and 0 layers, expected 1 to 1024 and 2 to 32");
  CHECK(Net::check({.features = 1, .depth = 33}).error().code() == ErrorCode::model);
}

TEST_CASE("where networks cut and pad") {
  CHECK(DnCnn<float>::tile_step(NoHyperParameters{}) == 1);
  CHECK(FfdNet<float>::tile_step(NoHyperParameters{}) == 2);
}

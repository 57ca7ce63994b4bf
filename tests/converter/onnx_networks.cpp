// Runs the networks whose headers test_onnx_networks.py has generated, with the weights in FOLDER: NAME.in.f32 to
// NAME.ours.f32. The test writes exported_networks.hpp, which includes the headers and has
//
//   #define MIRNET_EXPORTED_NETWORKS(run) run(dncnn, Dncnn) ...
#include <cstdio>
#include <string>
#include <vector>

#include <mirnet/io/model_file.hpp>
#include <mirnet/kernels/native.hpp>
#include <mirnet/model/runner.hpp>

#include <exported_networks.hpp>  // made by the test

namespace {

using mirnet::Index;

constexpr Index height = 48, width = 64;  // of the images that the test exports

/// body(value, row, column, channel) for each sample, in the order of the files: channel, row, column.
template <class T, class Body>
void each_sample(mirnet::View<T> map, Body&& body) {
  for (Index c = 0; c < map.channels(); ++c) {
    for (Index y = 0; y < map.height(); ++y) {
      for (Index x = 0; x < map.width(); ++x) body(map(y, x, c));
    }
  }
}

template <template <class> class Net>
bool run(std::string const& path) {
  static_assert(mirnet::Network<Net<float>> && mirnet::Network<Net<mirnet::bfloat16>> && mirnet::Network<Net<double>>);
  constexpr auto needed = mirnet::Model<Net<float>>::bytes_needed({}, height, width, mirnet::native_kernels()).value();

  auto const fail = [&](char const* what) { return std::fprintf(stderr, "%s: %s\n", path.c_str(), what), false; };
  auto const model = mirnet::load_model<Net<float>>((path + ".mirw").c_str());
  if (!model) return fail(model.error().message());
  Index const channels = Net<float>::channels_in(model->config());
  auto input = mirnet::Tensor<float>::create({height, width, channels}).value();
  std::vector<float> samples(static_cast<std::size_t>(height * width * channels));
  std::FILE* file = std::fopen((path + ".in.f32").c_str(), "rb");
  if (file == nullptr) return fail("there is no input");
  bool const whole = std::fread(samples.data(), sizeof(float), samples.size(), file) == samples.size();
  std::fclose(file);
  if (!whole) return fail("the input is cut off");
  std::size_t i = 0;
  each_sample(input.view(), [&](float& value) { value = samples[i++]; });

  mirnet::Runner<float> runner(mirnet::native_kernels());
  auto const output = runner(*model, input.view());
  if (!output) return fail(output.error().message());
  if (needed.model != model->bytes() || needed.run != runner.bytes()) return fail("bytes_needed is wrong");
  samples.clear();
  each_sample(output->view(), [&](float const& value) { samples.push_back(value); });
  file = std::fopen((path + ".ours.f32").c_str(), "wb");
  if (file == nullptr) return fail("cannot write the output");
  bool const written = std::fwrite(samples.data(), sizeof(float), samples.size(), file) == samples.size();
  if (std::fclose(file) != 0 || !written) return fail("cannot write the output");
  std::printf("%s: %td bytes of weights, %td of working memory\n", path.c_str(), needed.model, needed.run);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("expected FOLDER\n", stderr), 2;
  std::string const folder = argv[1];
  bool all = true;
#define MIRNET_RUN_EXPORTED(name, Net) all = run<Net>(folder + "/" #name) && all;
  MIRNET_EXPORTED_NETWORKS(MIRNET_RUN_EXPORTED)
  return all ? 0 : 1;
}

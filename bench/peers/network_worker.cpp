// compare.py's worker for mirnet and the networks of examples/networks: NETWORK FOLDER THREADS SIZE RESULT
//
// Runs the network once for each line that it reads, and answers with the seconds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/io/model_file.hpp>
#include <mirnet/model/runner.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "networks/dncnn.hpp"
#include "networks/nafnet.hpp"

namespace {

using mirnet::Index;

/// Bare samples in the order (channel, row, column), read from a file into a map or written from one.
class Samples {
 public:
  explicit Samples(Index side) : side_(side), values_(static_cast<std::size_t>(3 * side * side)) {}

  bool read(std::string const& path, mirnet::View<float> map) {
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) return false;
    bool const whole = std::fread(values_.data(), sizeof(float), values_.size(), file) == values_.size();
    std::fclose(file);
    each([&](float& value, Index y, Index x, Index c) { map(y, x, c) = value; });
    return whole;
  }

  bool write(std::string const& path, mirnet::View<float const> map) {
    each([&](float& value, Index y, Index x, Index c) { value = map(y, x, c); });
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) return false;
    bool const whole = std::fwrite(values_.data(), sizeof(float), values_.size(), file) == values_.size();
    return std::fclose(file) == 0 && whole;
  }

 private:
  template <class Body>
  void each(Body&& body) {
    float* value = values_.data();
    for (Index c = 0; c < 3; ++c) {
      for (Index y = 0; y < side_; ++y) {
        for (Index x = 0; x < side_; ++x) body(*value++, y, x, c);
      }
    }
  }

  Index side_;
  std::vector<float> values_;
};

int fail(char const* what) {
  std::fprintf(stderr, "network_worker: %s\n", what);
  return 1;
}

template <template <class> class Net>
int serve(std::string const& folder, int threads, Index side, std::string const& result) {
  auto const model = mirnet::load_model<Net<float>>((folder + "/network.mirw").c_str());
  if (!model) return fail(model.error().message());
  auto const kernels = mirnet::choose_kernels();
  if (!kernels) return fail(kernels.error().message());
  auto input = mirnet::Tensor<float>::create({side, side, 3}), output = mirnet::Tensor<float>::create({side, side, 3});
  if (!input || !output) return fail("cannot allocate the images");
  Samples samples(side);
  if (!samples.read(folder + "/in.f32", input->view())) return fail("cannot read the image");

  mirnet::ThreadPool pool(threads);
  mirnet::Runner<float> runner(**kernels, pool);
  auto const run = [&] { return runner(*model, input->view(), output->view()); };
  if (auto const done = run(); !done) return fail(done.error().message());
  std::puts("ready");
  std::fflush(stdout);
  char line[16];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    auto const start = std::chrono::steady_clock::now();
    if (auto const done = run(); !done) return fail(done.error().message());
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
    if (!samples.write(result, output->view())) return fail("cannot write the result");
    std::printf("%.6f\n", seconds.count());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return fail("expected NETWORK FOLDER THREADS SIZE RESULT");
  std::string const network = argv[1];
  int const threads = std::atoi(argv[3]);
  Index const side = std::atoi(argv[4]);
  if (network == "dncnn") return serve<DnCnn>(argv[2], threads, side, argv[5]);
  if (network == "nafnet") return serve<NafNet>(argv[2], threads, side, argv[5]);
  return fail("expected dncnn or nafnet");
}

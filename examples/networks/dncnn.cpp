// Restores an image with DnCNN: the program of docs/your-own-network.md.
#include <cstdio>
#include <exception>

#include <mirnet/image/restore.hpp>
#include <mirnet/io/image_file.hpp>
#include <mirnet/io/model_file.hpp>
#include <mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "dncnn.hpp"

int main(int argc, char** argv) try {
  if (argc != 4) return std::fprintf(stderr, "usage: dncnn WEIGHTS.mirw INPUT OUTPUT\n"), 2;
  auto const model = mirnet::load_model<DnCnn<float>>(argv[1]).value();
  auto const noisy = mirnet::read_image(argv[2]).value();
  mirnet::ThreadPool pool;  // as many threads as this process may use cores
  mirnet::Context<float> context(mirnet::native_kernels(), pool);
  auto const clean = mirnet::restore(model, noisy, context).value();
  mirnet::write_image(argv[3], clean).value();
} catch (std::exception const& error) {
  std::fprintf(stderr, "dncnn: %s\n", error.what());
  return 1;
}

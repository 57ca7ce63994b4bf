// What find_package(mirnet) finds compiles and links: a map, an image file's reader, a thread pool.
#include <cstdio>

#include <mirnet/io/image_file.hpp>
#include <mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto const image = mirnet::read_image(argv[1]);
  if (!image) {
    std::fprintf(stderr, "%s\n", image.error().message());
    return 1;
  }
  mirnet::ThreadPool const pool(2);
  std::printf("mirnet %s: %d x %d\n", MIRNET_VERSION, static_cast<int>(image->width()),
              static_cast<int>(image->height()));
}

// The program mirnet-heic, which mirnet starts to decode HEIC. It is a plug-in of its own because libheif brings codecs
// that are under the GPL: nobody who leaves it out gets them, and mirnet links none of them.
#include <cstdio>

#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <libheif/heif.h>

#include <mirnet/version.hpp>

#include "decoding.hpp"
#include "sandbox.hpp"

namespace {

mirnet::Result<cli::Picture> decode(cli::DecodingTask const& task) {
  auto start = cli::read_start(task, [](std::span<std::byte const>) { return true; });
  if (!start) return start.error();
#if defined(M_ARENA_MAX)
  ::mallopt(M_ARENA_MAX, 1);  // or each thread takes 64 MiB of addresses, which the limit of memory counts
#endif
  heif_init(nullptr);  // looks for codecs in files
  cli::enter_sandbox(task.memory, cli::Threads::allowed);
  auto const* const name = task.name.c_str();
  auto const content = cli::read_rest(STDIN_FILENO, *std::move(start), name, task.max_pixels);
  if (!content) return content.error();
  return cli::picture_of(cli::decode_heic(content->bytes(), name, {.max_pixels = task.max_pixels}), cli::Format::heic);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("mirnet-heic %s, libheif %s\n", MIRNET_VERSION, heif_get_version());
    return 0;
  }
  auto const task = cli::task_of(argc, argv);
  if (task) cli::answer(*task, decode);
  std::fprintf(stderr, "mirnet-heic %s is started by mirnet %s, to decode HEIC\n", MIRNET_VERSION, MIRNET_VERSION);
  return static_cast<int>(mirnet::ErrorCode::invalid_argument);
}

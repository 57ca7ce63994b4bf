// The application on Linux, with a malloc that ends the program once it has been set up: nothing that restores a
// picture takes memory from the heap.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "restore_rows.hpp"
#include "restore_tile.hpp"

static bool set_up_is_done = false;

/// The way to the heap, as long as there is one. Asks for nothing itself.
static void check_heap() noexcept {
  if (!set_up_is_done) return;
  static char const sentence[] = "memory was taken from the heap after set-up\n";
  [[maybe_unused]] auto const written = ::write(STDERR_FILENO, sentence, sizeof sentence - 1);
  std::_Exit(3);
}

// All that lead there; operator new calls malloc. glibc offers its own functions under these names.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) { return check_heap(), __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) { return check_heap(), __libc_calloc(count, size); }
void* realloc(void* p, std::size_t size) { return check_heap(), __libc_realloc(p, size); }
void* memalign(std::size_t alignment, std::size_t size) { return check_heap(), __libc_memalign(alignment, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return check_heap(), __libc_memalign(alignment, size); }
int posix_memalign(void** p, std::size_t alignment, std::size_t size) {
  check_heap();
  *p = __libc_memalign(alignment, size);
  return 0;
}
void free(void* p) {
  if (p != nullptr) check_heap();
  __libc_free(p);
}
}

int main(int argc, char**) {
  // Standard output would take its buffer at its first use.
  static char buffer[1024];
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  set_up_is_done = true;

  // With an argument, to see that the above works.
  if (argc > 1) {
    void* volatile p = std::malloc(1);
    std::free(p);
  }
  std::printf("cut off: %s\n", tile::refusal());
  if (!tile::set_up()) {
    std::printf("%s\n", tile::error());
    return 1;
  }
  for (int turn = 0; turn < 3; ++turn) {
    long const difference = tile::restore();
    if (difference < 0) {
      std::printf("%s\n", tile::error());
      return 1;
    }
    std::printf("difference from PyTorch: %ld billionths of the residual, at most 20000\n", difference);
    if (difference > 20000) return 1;
  }
  long const rows = rows::restore();
  if (rows < 0) {
    std::printf("%s\n", rows::error());
    return 1;
  }
  auto const [expected, picture, run] = rows::memory();
  std::printf("a picture of %zu bytes: %ld rows restored in %zu bytes of memory\n", picture, rows, run);
  if (rows != expected || run >= picture) return 1;
  auto const memory = tile::memory();
  std::printf("bytes: %zu of weights in place, %zu of structure, %zu of working memory, %zu of images\n",
              memory.weights, memory.model, memory.run, memory.images);
  return 0;
}

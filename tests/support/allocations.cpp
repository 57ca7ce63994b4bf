#include "allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <windows.h>
#endif

// In glibc, a program's own malloc and its kin take the place of the library's, for the library too. Sanitizers have
// theirs in that place, and other libraries have no room for it: there, the linker turns this program's own calls
// (--wrap in CMakeLists.txt).
#if defined(MIRNET_TEST_WRAPS_MALLOC)
#define HEAP(function) __wrap_##function
#define BEHIND(function) __real_##function
#elif defined(__GLIBC__)
#define HEAP(function) function
#define BEHIND(function) __libc_##function
#else
#error "where malloc cannot be replaced it is to be wrapped: MIRNET_TEST_WRAPS_MALLOC"
#endif

namespace {

std::atomic<long> requests{0}, live{0};
#if defined(_WIN32)
// GCC's thread_local takes memory with malloc when a thread uses it first.
class OfThread {
 public:
  operator long() const noexcept { return static_cast<long>(reinterpret_cast<std::intptr_t>(::TlsGetValue(slot_))); }
  OfThread& operator=(long value) noexcept {
    ::TlsSetValue(slot_, reinterpret_cast<void*>(static_cast<std::intptr_t>(value)));
    return *this;
  }
  long operator--() noexcept { return *this = *this - 1; }
  void allocate() noexcept { slot_ = ::TlsAlloc(); }

 private:
  DWORD slot_ = TLS_OUT_OF_INDEXES;  // until the constructor below: 0 for all threads
};
constinit OfThread until_failure, fails_once, has_failed;
[[gnu::constructor(101)]] void allocate_slots() noexcept {
  for (auto* const variable : {&until_failure, &fails_once, &has_failed}) variable->allocate();
}
#else
thread_local long until_failure = 0;  // 0: never; negative: each fails
thread_local bool fails_once = false, has_failed = false;
#endif

/// Whether the request that is made now is to fail.
bool next_fails() noexcept {
  ++requests;
  if (until_failure == 0 || (until_failure > 0 && --until_failure > 0)) return false;
  until_failure = fails_once ? 0 : -1;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

void* counted(void* p) noexcept {
  live += p != nullptr;
  return p;
}

}  // namespace

extern "C" {
void* BEHIND(malloc)(std::size_t);
void* BEHIND(calloc)(std::size_t, std::size_t);
void* BEHIND(realloc)(void*, std::size_t);
void BEHIND(free)(void*);

void* HEAP(malloc)(std::size_t size) { return next_fails() ? nullptr : counted(BEHIND(malloc)(size)); }
void* HEAP(calloc)(std::size_t count, std::size_t size) {
  return next_fails() ? nullptr : counted(BEHIND(calloc)(count, size));
}
void* HEAP(realloc)(void* p, std::size_t size) {
  if (next_fails()) return nullptr;
  live -= p != nullptr;
  return counted(BEHIND(realloc)(p, size));
}
void HEAP(free)(void* p) {
  live -= p != nullptr;
  BEHIND(free)(p);
}

#if defined(MIRNET_TEST_WRAPS_MALLOC)
#define MEMALIGN BEHIND(aligned_alloc)
#else
#define MEMALIGN __libc_memalign
#endif
#if !defined(_WIN32)
void* MEMALIGN(std::size_t, std::size_t);
void* HEAP(aligned_alloc)(std::size_t alignment, std::size_t size) {
  return next_fails() ? nullptr : counted(MEMALIGN(alignment, size));
}
#endif
}

#if defined(MIRNET_TEST_WRAPS_MALLOC)
// Not inlined: GCC would take the free() of what came from new for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return std::malloc(size); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

namespace test {

long allocations() noexcept { return requests; }
long live_allocations() noexcept { return live; }

FailingHeap::FailingHeap(long number, bool once) noexcept {
  has_failed = false;
  fails_once = once;
  until_failure = number;
}

void FailingHeap::end() noexcept { until_failure = 0; }
bool FailingHeap::failed() const noexcept { return has_failed; }

}  // namespace test

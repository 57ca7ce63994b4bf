#include "sandbox.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>

#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "machine.hpp"

namespace cli {
namespace {

/// A limit that cannot be raised again. One that is lower already stays.
template <class Resource>
void limit(Resource resource, double most) {
  rlimit current{};
  if (::getrlimit(resource, &current) != 0) return;
  constexpr double countable = 9e18;
  if (most < countable) current.rlim_max = std::min(current.rlim_max, static_cast<rlim_t>(most));
  current.rlim_cur = std::min(current.rlim_cur, current.rlim_max);
  static_cast<void>(::setrlimit(resource, &current));
}

void limit_resources(double bytes, Threads threads) {
#if !MIRNET_HAS_SANITIZERS
  if (auto const mapped = mapped_memory()) limit(RLIMIT_AS, *mapped + std::max(bytes, 0.0));
#else
  static_cast<void>(bytes);
#endif
  for (auto const resource : {RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CORE}) limit(resource, 0);
  if (threads == Threads::none) limit(RLIMIT_NPROC, 0);  // which counts them, too
}

#if defined(__linux__)

/// Conditions on an argument of a system call, counted from 0. (libseccomp's macros for them are C.)
constexpr scmp_arg_cmp is(unsigned argument, scmp_datum_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
constexpr scmp_arg_cmp lacks(unsigned argument, scmp_datum_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, 0}; }
constexpr scmp_arg_cmp has(unsigned argument, scmp_datum_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, bits}; }

/// What the C++ library needs to compute, to take memory and to end, and no more. False where the kernel has no
/// filters.
bool filter_system_calls(Threads threads) {
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> const filter(::seccomp_init(SCMP_ACT_KILL_PROCESS),
                                                                ::seccomp_release);
  if (!filter) return false;
  bool complete = true;
  auto const allow = [&](int call, auto... conditions) {
    complete =
        complete && ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, sizeof...(conditions), conditions...) == 0;
  };
  allow(SCMP_SYS(read), is(0, STDIN_FILENO));
  allow(SCMP_SYS(write), is(0, STDOUT_FILENO));
  allow(SCMP_SYS(write), is(0, STDERR_FILENO));
  for (int const call : {SCMP_SYS(lseek), SCMP_SYS(_llseek)}) allow(call, is(0, STDIN_FILENO));
  // Memory, which is never to be executed.
  for (int const call : {SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise)}) allow(call);
  for (int const call : {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)}) {
    allow(call, lacks(2, PROT_EXEC));
  }
  for (int const call : {SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
                         SCMP_SYS(getrandom), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn)}) {
    allow(call);
  }
  allow(SCMP_SYS(sysinfo));  // for qsort of glibc, which takes no more than a quarter of the memory
  // What abort() does, so that an assertion or a fortified function ends as one.
  for (int const call : {SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid)}) {
    allow(call);
  }
  if (threads == Threads::allowed) {
    // A thread shares everything with this process. The C library's first way to start one has its flags where no
    // filter sees them; where the kernel lacks that way, it takes the other.
    complete = complete && ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
    allow(SCMP_SYS(clone), has(0, CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD));
    for (int const call : {SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield)}) allow(call);
  }
#if MIRNET_HAS_SANITIZERS
  allow(SCMP_SYS(sigaltstack));  // where a function does not return, to look for its stack
#endif
  allow(SCMP_SYS(tgkill), is(0, static_cast<scmp_datum_t>(::getpid())));
  return complete && ::seccomp_load(filter.get()) == 0;
}

#endif

}  // namespace

void enter_sandbox(double bytes, Threads threads) {
#if defined(__linux__)
  static_cast<void>(::prctl(PR_SET_PDEATHSIG, SIGKILL));
#if defined(SYS_close_range)
  static_cast<void>(::syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0));
#endif
#endif
  limit_resources(bytes, threads);
#if defined(__linux__)
  static_cast<void>(filter_system_calls(threads));
#endif
}

}  // namespace cli

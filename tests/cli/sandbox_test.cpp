// What a process in the sandbox can do, and what ends it: each attempt is made by a child of its own.
#include <doctest/doctest.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.hpp"

namespace {

constexpr double room = 64 << 20;

/// How a child ends that enters the sandbox and then does this, and ends with what it returns if it comes so far.
int status_after(std::function<int()> const& attempt, cli::Threads threads = cli::Threads::none) {
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    cli::enter_sandbox(room, threads);
    ::_exit(attempt());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

struct Attempt {
  char const* what;
  std::function<int()> make;
};

}  // namespace

TEST_CASE("whoever tries what decoding never takes is ended by the system") {
  pid_t const outside = ::getpid();
  Attempt const attempts[] = {
      {"open a file", [] { return ::open("/etc/passwd", O_RDONLY); }},
      {"make a file", [] { return ::open("/tmp/mirnet-sandbox", O_WRONLY | O_CREAT, 0600); }},
      {"look at a file",
       [] {
         struct stat status;
         return ::stat("/etc/passwd", &status);
       }},
      {"remove a file", [] { return ::unlink("/nothing/here"); }},
      {"make a folder", [] { return ::mkdir("/nothing/here", 0700); }},
      {"reach the network", [] { return ::socket(AF_INET, SOCK_STREAM, 0); }},
      {"start a process", [] { return static_cast<int>(::fork()); }},
      {"become another program", [] { return ::execl("/bin/true", "true", nullptr); }},
      {"end another process", [=] { return ::kill(outside, SIGTERM); }},
      {"write to another file than the two", [] { return static_cast<int>(::write(7, "x", 1)); }},
      {"read from another file than the one",
       [] {
         char c;
         return static_cast<int>(::read(1, &c, 1));
       }},
      {"take memory to execute",
       [] { return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }},
      {"make memory executable", [] {
         void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
       }}};
  for (auto const& attempt : attempts) {
    CAPTURE(attempt.what);
    int const status = status_after(attempt.make);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSYS);
  }
}

#if !defined(MIRNET_SANITIZED)  // whose threads make calls of their own
TEST_CASE("where threads are allowed, they work, and nothing else is") {
  auto const start = [] {
    int value = 0;
    std::thread([&] { value = 3; }).join();
    return value;
  };
  int const worked = status_after(start, cli::Threads::allowed);
  CHECK(WIFEXITED(worked));
  CHECK(WEXITSTATUS(worked) == 3);
  CHECK(WTERMSIG(status_after(start)) == SIGSYS);
  Attempt const attempts[] = {{"start a process", [] { return static_cast<int>(::fork()); }},
                              {"start a process that shares memory", [] { return static_cast<int>(::vfork()); }},
                              {"become another program", [] { return ::execl("/bin/true", "true", nullptr); }},
                              {"open a file", [] { return ::open("/etc/passwd", O_RDONLY); }},
                              {"reach the network", [] { return ::socket(AF_INET, SOCK_STREAM, 0); }}};
  for (auto const& attempt : attempts) {
    CAPTURE(attempt.what);
    int const status = status_after(attempt.make, cli::Threads::allowed);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSYS);
  }
}
#endif

TEST_CASE("decoding can take memory, and end in every way") {
  auto const taken = [](std::size_t bytes) {
    auto* const memory = static_cast<unsigned char volatile*>(std::malloc(bytes));
    if (memory == nullptr) return 1;
    for (std::size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
    std::free(const_cast<unsigned char*>(memory));
    return 0;
  };
  CHECK(status_after([=] { return taken(1000) + taken(32 << 20) + taken(32 << 20); }) == 0);
  // glibc asks how much memory there is before it sorts more than a little.
  CHECK(status_after([] {
          int numbers[4096] = {};
          std::qsort(numbers, std::size(numbers), sizeof *numbers, [](void const*, void const*) { return 0; });
          return 0;
        }) == 0);
#if !defined(MIRNET_SANITIZED)  // whose own malloc ends the program
  int const beyond = status_after([=] { return taken(std::size_t{128} << 20); });
  CHECK(WIFEXITED(beyond));
  CHECK(WEXITSTATUS(beyond) == 1);
#endif
  int const aborted = status_after([]() -> int { std::abort(); });
  CHECK(WIFSIGNALED(aborted));
  CHECK(WTERMSIG(aborted) == SIGABRT);
}

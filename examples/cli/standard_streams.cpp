#include "standard_streams.hpp"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace cli {

void occupy_closed_streams() noexcept {
  struct Stream {
    int number, mode;
  };
  for (auto const& [number, mode] :
       {Stream{STDIN_FILENO, O_WRONLY}, Stream{STDOUT_FILENO, O_RDONLY}, Stream{STDERR_FILENO, O_WRONLY}}) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free is this one. What a system without /dev/null always has can be neither read nor
    // written.
    if (::open("/dev/null", mode) < 0) static_cast<void>(::open("/", O_RDONLY));
  }
}

mirnet::Result<void> check_standard_output() {
  auto const flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) return {};
  return mirnet::Error(mirnet::ErrorCode::output, "the standard output is not open for writing");
}

}  // namespace cli

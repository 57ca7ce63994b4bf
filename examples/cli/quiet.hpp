// Libraries that print what they think of a file: the program's own sentence is the only one that is for the user.
#pragma once

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif

#include "sandbox.hpp"

namespace cli {

/// From here on what anybody writes to the standard error goes nowhere, until this is gone. Not in builds with
/// sanitizers, whose findings go there. Opens files: before a sandbox.
class Quiet {
 public:
  Quiet() {
    if (has_sanitizers) return;
#if defined(_WIN32)
    int const nowhere = ::open("NUL", _O_WRONLY | _O_NOINHERIT);
    before_ = nowhere < 0 ? -1 : ::dup(error_stream);
#else
    int const nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    before_ = nowhere < 0 ? -1 : ::fcntl(error_stream, F_DUPFD_CLOEXEC, 3);
#endif
    if (before_ >= 0) ::dup2(nowhere, error_stream);
    if (nowhere >= 0) ::close(nowhere);
  }
  Quiet(Quiet const&) = delete;
  Quiet& operator=(Quiet const&) = delete;
  ~Quiet() {
    if (before_ < 0) return;
    ::dup2(before_, error_stream);
    ::close(before_);
  }

 private:
  static constexpr int error_stream = 2;
  int before_ = -1;
};

}  // namespace cli

// Libraries that print what they think of a file: the program's own sentence is the only one that is for the user.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "sandbox.hpp"

namespace cli {

/// From here on what anybody writes to the standard error goes nowhere, until this is gone. Not in builds with
/// sanitizers, whose findings go there. Opens files: before a sandbox.
class Quiet {
 public:
  Quiet() {
    if (has_sanitizers) return;
    int const nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    before_ = nowhere < 0 ? -1 : ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (before_ >= 0) ::dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) ::close(nowhere);
  }
  Quiet(Quiet const&) = delete;
  Quiet& operator=(Quiet const&) = delete;
  ~Quiet() {
    if (before_ < 0) return;
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }

 private:
  int before_ = -1;
};

}  // namespace cli

// All pictures of a call, one after the other.
#pragma once

#include <mirnet/base/result.hpp>

#include "restore_options.hpp"

namespace cli {

/// Restores every picture that the options name, and prints a report on each and a summary of them. One that fails does
/// not stop the rest. Errors: as of `list_work`; with one picture, its own; otherwise partial, where some failed.
mirnet::Result<void> restore_all(RestoreOptions const& options, Task const& task);

}  // namespace cli

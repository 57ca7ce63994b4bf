// What a process gives up before it looks at a stranger's file, so that a decoder with a mistake in it is no way into
// this machine.
#pragma once

namespace cli {

/// From here on this process can read and write its standard streams, take about `bytes` more memory than it has, and
/// end. On Linux a filter of system calls ends it (SIGSYS) when it tries anything else, and it ends with its parent;
/// other systems, and kernels that were built without such filters, have the limits alone: no memory beyond that, no
/// file that is opened or grows, no process that is started.
void enter_sandbox(double bytes);

}  // namespace cli

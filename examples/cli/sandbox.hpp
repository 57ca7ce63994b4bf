// What a process gives up before it looks at a stranger's file, so that a decoder with a mistake in it is no way into
// this machine.
#pragma once

// Sanitizers reserve terabytes of addresses, and make system calls of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIRNET_HAS_SANITIZERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MIRNET_HAS_SANITIZERS 1
#endif
#endif
#ifndef MIRNET_HAS_SANITIZERS
#define MIRNET_HAS_SANITIZERS 0
#endif

namespace cli {

inline constexpr bool has_sanitizers = MIRNET_HAS_SANITIZERS != 0;

/// Whether a process can have threads; one that does not decode by itself may need a library that cannot do without.
enum class Threads { none, allowed };

/// From here on this process can read and write its standard streams, take about `bytes` more memory than it has, and
/// end. On Linux a filter of system calls ends it (SIGSYS) when it tries anything else, and it ends with its parent;
/// other systems, and kernels that were built without such filters, have the limits alone: no memory beyond that, no
/// file that is opened or grows, no process that is started.
void enter_sandbox(double bytes, Threads threads = Threads::none);

}  // namespace cli

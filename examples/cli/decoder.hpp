// Pictures decoded in a process of their own: the program starts itself again with an argument that only this knows,
// hands it the open file as its standard input, and gets pixels, metadata or a sentence back through a pipe. What comes
// back is believed no more than the file itself.
#pragma once

#include <span>
#include <string>

#include "picture.hpp"

namespace cli {

/// Whether this system has what that takes.
#if defined(__linux__)
inline constexpr bool can_decode_apart = true;
#else
inline constexpr bool can_decode_apart = false;
#endif

/// What decode_picture returns, from a process in a sandbox (sandbox.hpp), which may be a plug-in. `start` has been
/// read of the file already. Errors: input, also where that process ends early; memory; internal, where it cannot be
/// started.
mirnet::Result<Picture> decode_apart(int file, std::string const& name, Reading const& reading,
                                     std::span<std::byte const> start = {});

/// Whether these are the arguments of such a process.
bool is_decoder(int argc, char** argv);

/// All that it does.
[[noreturn]] int run_decoder(int argc, char** argv);

}  // namespace cli

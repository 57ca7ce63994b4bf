// The standard streams where whoever started the program left some of them closed, as services do: the next file or
// pipe that is opened would get the number of one, and would be read or written as the standard stream.
#pragma once

#include <mirnet/base/result.hpp>

namespace cli {

/// The name of the standard input or output.
inline constexpr char const* standard_stream = "-";

/// Gives each of the descriptors 0 to 2 that is closed to /dev/null. The standard input cannot be read then and the
/// standard output cannot be written, as closed ones cannot; messages are lost. To be called before anything is opened.
void occupy_closed_streams() noexcept;

/// Whether anything can be written to the standard output. Errors: output.
mirnet::Result<void> check_standard_output();

}  // namespace cli

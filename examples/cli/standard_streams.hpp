// The standard streams as files: "-" names them.
#pragma once

#include <mirnet/base/result.hpp>

namespace cli {

/// The name of the standard input or output.
inline constexpr char const* standard_stream = "-";

/// Whether anything can be written to the standard output. Errors: output.
mirnet::Result<void> check_standard_output();

}  // namespace cli

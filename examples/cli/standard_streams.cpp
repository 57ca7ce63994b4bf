#include "standard_streams.hpp"

#include "system.hpp"

namespace cli {

mirnet::Result<void> check_standard_output() {
  if (is_writable(1)) return {};
  return mirnet::Error(mirnet::ErrorCode::output, "the standard output is not open for writing");
}

}  // namespace cli

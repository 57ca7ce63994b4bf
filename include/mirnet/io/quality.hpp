// Moved to mirnet/image/quality.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/image/quality.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/image/quality.hpp")
#endif

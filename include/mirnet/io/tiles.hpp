// Moved to mirnet/image/tiles.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/image/tiles.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/image/tiles.hpp")
#endif

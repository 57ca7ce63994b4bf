// Moved to mirnet/image/restore.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/image/restore.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/image/restore.hpp")
#endif

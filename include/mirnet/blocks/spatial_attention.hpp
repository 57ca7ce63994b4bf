// Moved to mirnet/networks/mirnet/spatial_attention.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/networks/mirnet/spatial_attention.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/networks/mirnet/spatial_attention.hpp")
#endif

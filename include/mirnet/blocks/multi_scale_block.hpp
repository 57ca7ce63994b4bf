// Moved to mirnet/networks/mirnet/multi_scale_block.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/networks/mirnet/multi_scale_block.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/networks/mirnet/multi_scale_block.hpp")
#endif

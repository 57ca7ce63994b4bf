// Moved to mirnet/networks/mirnet/residual_group.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/networks/mirnet/residual_group.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/networks/mirnet/residual_group.hpp")
#endif

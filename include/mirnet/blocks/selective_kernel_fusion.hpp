// Moved to mirnet/networks/mirnet/selective_kernel_fusion.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/networks/mirnet/selective_kernel_fusion.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/networks/mirnet/selective_kernel_fusion.hpp")
#endif

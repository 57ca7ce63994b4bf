// Moved to mirnet/image: conversions.hpp, image.hpp and samples.hpp. Version 0.3 drops this header.
#pragma once

#include <mirnet/image/conversions.hpp>
#include <mirnet/image/image.hpp>
#include <mirnet/image/samples.hpp>

#if MIRNET_REPORT_MOVED_HEADERS
#pragma message("moved to mirnet/image: conversions.hpp, image.hpp and samples.hpp")
#endif

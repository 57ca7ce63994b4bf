// The version of the library: the only place it is written. CMakeLists.txt reads it from here.
#pragma once

#define MIRNET_VERSION_MAJOR 0
#define MIRNET_VERSION_MINOR 1
#define MIRNET_VERSION_PATCH 0
#define MIRNET_VERSION "0.1.0"

// The version of the library: the only place it is written. CMakeLists.txt reads it from here.
#pragma once

#define MIRNET_VERSION_MAJOR 0
#define MIRNET_VERSION_MINOR 2
#define MIRNET_VERSION_PATCH 0

#define MIRNET_VERSION_STRING_(major, minor, patch) #major "." #minor "." #patch
#define MIRNET_VERSION_STRING(major, minor, patch) MIRNET_VERSION_STRING_(major, minor, patch)
#define MIRNET_VERSION MIRNET_VERSION_STRING(MIRNET_VERSION_MAJOR, MIRNET_VERSION_MINOR, MIRNET_VERSION_PATCH)

// All names live in an inline namespace that says the version (v0_2_0), so that parts of a program that were compiled
// with different versions do not share their functions.
#define MIRNET_VERSION_NAME_(major, minor, patch) v##major##_##minor##_##patch
#define MIRNET_VERSION_NAME(major, minor, patch) MIRNET_VERSION_NAME_(major, minor, patch)
#define MIRNET_ABI MIRNET_VERSION_NAME(MIRNET_VERSION_MAJOR, MIRNET_VERSION_MINOR, MIRNET_VERSION_PATCH)

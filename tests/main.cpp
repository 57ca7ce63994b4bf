// The test program: every *_test.cpp of this folder is linked into it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

// Sizes that no machine has are asked for on purpose: malloc answers null, and so shall its sanitized versions.
extern "C" {
char const* __asan_default_options() { return "allocator_may_return_null=1"; }
char const* __tsan_default_options() { return "allocator_may_return_null=1"; }
}

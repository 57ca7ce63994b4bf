// Whether a sanitizer watches these tests. It makes the plain kernels some thirty times slower, and looks for other
// mistakes than the numbers' own: the largest of many sizes tell it nothing new.
#pragma once

namespace test {

#if defined(MIRNET_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace test

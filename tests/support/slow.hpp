// Tests where they are slow. A sanitizer or an emulator makes the plain kernels thirty times slower, and looks for
// other mistakes than the numbers' own: the largest of many sizes tell nothing new there.
#pragma once

#include <cstdlib>

namespace test {

#if defined(MIRNET_SANITIZED) || defined(MIRNET_EMULATED)
inline constexpr bool slow = true;
#else
inline constexpr bool slow = false;
#endif

/// Goes through many cases of one kind, or a part of them where the environment asks for short tests.
class Cases {
 public:
  /// The first of each `group` is in every part.
  explicit Cases(int group) : group_(group) {}

  bool next_is_left_out() {
    static char const* const short_tests = std::getenv("MIRNET_SHORT_TESTS");
    return short_tests != nullptr && count_++ % group_ != 0;
  }

 private:
  int group_, count_ = 0;
};

}  // namespace test

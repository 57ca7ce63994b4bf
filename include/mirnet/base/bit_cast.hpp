// std::bit_cast, also where the standard library does not have it yet (libc++ before 14).
#pragma once

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

template <class To, class From>
MIRNET_ALWAYS_INLINE constexpr To bit_cast(From const& from) noexcept {
  return __builtin_bit_cast(To, from);
}

}  // namespace mirnet::inline MIRNET_ABI

// Compiled once for each instruction set.
#include <mirnet/base/integer.hpp>
#include <mirnet/config.hpp>

namespace app::MIRNET_ISA {

char const* scale(float* x, mirnet::Index count, float factor) noexcept;

char const* scale(float* x, mirnet::Index count, float factor) noexcept {
  for (mirnet::Index i = 0; i < count; ++i) x[i] *= factor;
  return MIRNET_ISA_NAME;
}

}  // namespace app::MIRNET_ISA

// A library that chooses among kernels of its own.
#include <mirnet/dispatch/kernel_sets.hpp>

#if defined(_WIN32)
__declspec(dllexport)
#endif
    mirnet::Index sets_of_the_part();

mirnet::Index sets_of_the_part() {
  if (!mirnet::choose_kernels()) return 0;
  return static_cast<mirnet::Index>(mirnet::kernel_sets().size());
}

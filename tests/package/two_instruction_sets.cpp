// Compiled twice with different flags and linked into one program: each object must run its own kernels. The object
// with MAIN belongs to the baseline and runs what the other returns only if the machine can.
#include <cstdio>
#include <cstring>

#include <mirnet/kernels/native.hpp>
#include <mirnet/tensor/tensor.hpp>

using Table = mirnet::KernelTable<float>;

Table const& other_kernels();

#ifndef MAIN

Table const& other_kernels() { return mirnet::native_kernels(); }

#else

int main() {
  Table const& own = mirnet::native_kernels();
  Table const& other = other_kernels();
  std::printf("%s and %s\n", own.isa, other.isa);
  if (std::strcmp(own.isa, "sse2") != 0 || std::strcmp(other.isa, "avx2") != 0 || own.sigmoid == other.sigmoid)
    return 1;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;

  auto map = mirnet::Tensor<float>::create({1, 1, 32});
  if (!map) return 1;
  mirnet::View<float> const view = map->view();
  own.sigmoid(view.data(), 16);
  other.sigmoid(view.data() + 16, 16);
  for (mirnet::Index c = 0; c < view.channels(); ++c) {
    if (view(0, 0, c) != 0.5f) return 1;
  }
  return 0;
}

#endif

// A program that chooses among the kernels that are linked into it, and among functions of its own. It has AT_LEAST to
// AT_MOST instruction sets.
#include <cmath>
#include <cstdio>
#include <cstring>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/mirnet.hpp>

using Scale = char const*(float*, mirnet::Index, float) noexcept;
#define DECLARE(set)   \
  namespace app::set { \
  Scale scale;         \
  }
#define ROW(set) {#set, app::set::scale},
MIRNET_EACH_SET(DECLARE)
#if AT_LEAST > 0
constexpr mirnet::ForSet<Scale*> scales[] = {MIRNET_EACH_SET(ROW)};
mirnet::Index sets_of_the_part();
#endif

#define REQUIRE(condition)                    \
  if (!(condition)) {                         \
    std::fprintf(stderr, "%s\n", #condition); \
    return 1;                                 \
  }

int main() {
  auto const sets = mirnet::kernel_sets();
  REQUIRE(sets.size() >= AT_LEAST);
#if defined(AT_MOST)
  REQUIRE(sets.size() <= AT_MOST);
#endif
  auto const kernels = mirnet::choose_kernels();
  auto const unknown = mirnet::choose_kernels("mmx");
  REQUIRE(!unknown);
  std::puts(unknown.error().message());
#if AT_LEAST == 0
  REQUIRE(!kernels);
  REQUIRE(std::strstr(kernels.error().message(), "mirnet_add_kernels") != nullptr);
#else
  REQUIRE(kernels);
  REQUIRE(std::strstr(unknown.error().message(), (*kernels)->isa) != nullptr);
  REQUIRE(sets_of_the_part() == 1);
  for (auto const& set : sets) {
    std::printf("%s%s\n", set.name, set.available() ? "" : ", which this machine lacks");
    auto const named = mirnet::choose_kernels(set.name);
    REQUIRE(named.ok() == set.available());
    auto const scale = mirnet::choose_for_machine(scales, set.name);
    REQUIRE(scale.ok() == set.available());
    if (!named) continue;
    alignas(64) float x[16] = {};
    (*named)->sigmoid(x, 16);
    REQUIRE(std::strcmp((*scale)(x, 16, 4.0f), set.name) == 0);
    for (float const one : x) REQUIRE(one == 2.0f);
  }
#endif
}

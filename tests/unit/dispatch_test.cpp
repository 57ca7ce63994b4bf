// The choice among instruction sets, for the library's kernels (kernels/table_test.cpp has those of this program) and
// of an application's own functions, for machines that have all, some or none of the sets.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/simd/instruction_set.hpp>

#include "dispatch/own_source.hpp"
#include "support/allocations.hpp"

using namespace mirnet;

namespace {

#define ROW(set) {#set, own::set::sum},
constexpr ForSet<OwnSum*> sums[] = {MIRNET_EACH_SET(ROW)};
#undef ROW

KernelSet named(char const* name) { return {name, name, nullptr, nullptr}; }

}  // namespace

TEST_CASE("an application's own source runs in the set that was asked for") {
  REQUIRE(std::size(sums) == kernel_sets().size());
  float const x[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f};
  for (auto const& one : sums) {
    std::string const name = one.set;
    CAPTURE(name);
    auto const sum = choose_for_machine(sums, name);
    REQUIRE(sum.ok() == machine_has(name));
    if (!sum) continue;
    CHECK((*sum == one.value));
    float result = 0.0f;
    CHECK((*sum)(x, 9, result) == name);
    CHECK(result == 45.0f);
  }
  auto const best = choose_for_machine(sums);
  REQUIRE(best);
  float result = 0.0f;
  CHECK((*best)(x, 0, result) == std::string(choose_kernel_set().value()->name));
}

TEST_CASE("an error names what was asked for, and what there is") {
  auto const message = [](std::vector<KernelSet> const& sets, std::optional<std::string_view> name) {
    auto const chosen = choose_kernel_set(sets, name);
    REQUIRE(!chosen.ok());
    CHECK(chosen.error().code() == ErrorCode::invalid_argument);
    return std::string(chosen.error().message());
  };
  std::vector const all{named("of the future"), named("scalar")};
  CHECK(message(all, "mmx") == "mmx: no instruction set of this program has that name; available are: scalar");
  CHECK(message(all, "") == ": no instruction set of this program has that name; available are: scalar");
  CHECK(message(all, "of the future") ==
        "of the future: this machine lacks that instruction set; available are: scalar");
  std::vector const none{named("of the future"), named("another")};
  CHECK(message(none, "another") == "another: this machine lacks that instruction set; available are: none");
  CHECK(message(none, {}) == "this machine has none of the instruction sets of this program: of the future, another");
  CHECK(message({}, {}).find("mirnet_add_kernels") != std::string::npos);
  CHECK(message({}, "avx2").find("mirnet_add_kernels") != std::string::npos);
  std::string const endless(10'000, 'x');
  CHECK(message(all, endless).starts_with("xxx"));
  CHECK(message(all, endless).ends_with("available are: scalar"));
}

TEST_CASE("the first of a list that the machine has is taken") {
  KernelSet const sets[] = {named("of the future"), named("scalar"), named("scalar")};
  CHECK(choose_kernel_set(sets, {}).value() == &sets[1]);
  CHECK(choose_kernel_set(sets, "scalar").value() == &sets[1]);
}

TEST_CASE("to choose takes nothing from the heap") {
  auto const before = test::allocations();
  CHECK(choose_kernels().ok());
  CHECK(!choose_kernels("mmx").ok());
  CHECK(choose_for_machine(sums).ok());
  CHECK(test::allocations() == before);
}

TEST_CASE("the table of instruction sets is consistent") {
  for (auto const& set : instruction_sets) {
    std::string const name = set.name;
    CAPTURE(name);
    CHECK(find_instruction_set(name) == &set);
    auto const* const floats = find_instruction_set(set.float_isa);
    REQUIRE(floats != nullptr);
    CHECK(floats->float_isa == std::string(floats->name));
    CHECK(floats->lanes == set.lanes);
    if (name != "scalar") CHECK(set.lanes * 4 == set.register_bytes);
  }
  CHECK(find_instruction_set("mmx") == nullptr);
  CHECK(own_set.name == std::string(MIRNET_STRINGIFY(MIRNET_REGISTER_ISA)));
  for (auto const& set : kernel_sets()) CHECK(find_instruction_set(set.name) != nullptr);
}

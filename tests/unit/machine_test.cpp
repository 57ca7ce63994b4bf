// What the program makes of a machine: cores, quotas and memory from files like those of Linux.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "machine.hpp"
#include "memory_limit.hpp"
#include "support/folder.hpp"

namespace fs = std::filesystem;

namespace {

/// A folder with files in it.
class Tree {
 public:
  Tree() { system.root = folder_.path; }

  void file(std::string const& path, std::string const& content) const {
    fs::create_directories((system.root / path).parent_path());
    std::ofstream(system.root / path) << content;
  }
  void processor(int number, int package, int core) const {
    auto const folder = "sys/devices/system/cpu/cpu" + std::to_string(number) + "/topology/";
    file(folder + "core_id", std::to_string(core) + "\n");
    file(folder + "physical_package_id", std::to_string(package) + "\n");
  }

  cli::SystemFiles system;

 private:
  test::Folder folder_;
};

}  // namespace

TEST_CASE("hardware threads of one core count once, and only those that are allowed") {
  Tree tree;
  for (int i = 0; i < 8; ++i) tree.processor(i, i % 4 / 2, i % 2);  // two packages of two cores of two threads
  tree.system.processors = {0, 1, 2, 3, 4, 5, 6, 7};
  CHECK(cli::usable_cores(tree.system) == 4);
  tree.system.processors = {0, 4};
  CHECK(cli::usable_cores(tree.system) == 1);
  tree.system.processors = {0, 3, 7};
  CHECK(cli::usable_cores(tree.system) == 2);
  tree.system.processors = {20, 21, 22};  // nothing is told of these
  CHECK(cli::usable_cores(tree.system) == 3);
  CHECK(cli::usable_cores() >= 1);
}

TEST_CASE("a quota limits the cores, wherever in the hierarchy it is") {
  Tree tree;
  tree.system.processors = {0, 1, 2, 3, 4, 5, 6, 7};
  tree.file("proc/self/cgroup", "0::/user/session\n");
  CHECK(cli::usable_cores(tree.system) == 8);
  tree.file("sys/fs/cgroup/user/session/cpu.max", "max 100000\n");
  CHECK(cli::usable_cores(tree.system) == 8);
  tree.file("sys/fs/cgroup/user/cpu.max", "300000 100000\n");
  CHECK(cli::usable_cores(tree.system) == 3);
  tree.file("sys/fs/cgroup/user/session/cpu.max", "20000 100000\n");
  CHECK(cli::usable_cores(tree.system) == 1);
  tree.file("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a\n");
  CHECK(cli::usable_cores(tree.system) == 8);
  tree.file("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  CHECK(cli::usable_cores(tree.system) == 8);
  tree.file("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n");
  tree.file("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  CHECK(cli::usable_cores(tree.system) == 2);
}

TEST_CASE("memory: what is available, or what a container leaves") {
  Tree tree;
  CHECK(!cli::available_memory(tree.system));
  tree.file("proc/meminfo", "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n");
  CHECK(cli::available_memory(tree.system) == 8000.0 * 1024);
  tree.file("proc/self/cgroup", "0::/box\n");
  tree.file("sys/fs/cgroup/box/memory.max", "max\n");
  tree.file("sys/fs/cgroup/box/memory.current", "1000\n");
  CHECK(cli::available_memory(tree.system) == 8000.0 * 1024);
  tree.file("sys/fs/cgroup/box/memory.max", "5000000\n");
  tree.file("sys/fs/cgroup/box/memory.stat", "anon 300\ninactive_file 400\n");
  CHECK(cli::available_memory(tree.system) == 5000000.0 - 1000 + 400);
  tree.file("sys/fs/cgroup/memory.max", "3000\n");
  tree.file("sys/fs/cgroup/memory.current", "4000\n");
  CHECK(cli::available_memory(tree.system) == 0.0);
  tree.file("proc/self/cgroup", "7:memory:/b\n");
  tree.file("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "9223372036854771712\n");
  tree.file("sys/fs/cgroup/memory/b/memory.usage_in_bytes", "500\n");
  CHECK(cli::available_memory(tree.system) == 8000.0 * 1024);
  tree.file("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "2500\n");
  CHECK(cli::available_memory(tree.system) == 2000.0);
  tree.file("proc/self/status", "Name:\tx\nVmHWM:\t  12 kB\nVmRSS:\t  10 kB\n");
  CHECK(cli::peak_memory(tree.system) == 12.0 * 1024);
  CHECK(cli::used_memory(tree.system) == 10.0 * 1024);
}

TEST_CASE("the processor and its largest cache") {
  Tree tree;
  CHECK(cli::processor_name(tree.system) == "unknown processor");
  CHECK(cli::largest_cache(tree.system) == 0.0);
  tree.file("proc/cpuinfo",
            "processor\t: 0\nmodel\t\t: 1\nmodel name\t: Abacus 3: the fast one\nmodel name\t: other\n");
  CHECK(cli::processor_name(tree.system) == "Abacus 3: the fast one");
  tree.file("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
  tree.file("sys/devices/system/cpu/cpu0/cache/index2/size", "2M\n");
  tree.file("sys/devices/system/cpu/cpu0/cache/index3/size", "nonsense\n");
  CHECK(cli::largest_cache(tree.system) == 2.0 * 1024 * 1024);
}

TEST_CASE("sizes of memory") {
  CHECK(cli::parse_bytes("1").value() == 1.0);
  CHECK(cli::parse_bytes("500M").value() == 500.0 * 1024 * 1024);
  CHECK(cli::parse_bytes("1.5g").value() == 1.5 * 1024 * 1024 * 1024);
  CHECK(cli::parse_bytes("2GiB").value() == 2.0 * 1024 * 1024 * 1024);
  CHECK(cli::parse_bytes("3kB").value() == 3.0 * 1024);
  for (auto const* wrong : {"", "M", "-1", "0", "1Q", "1MM", "nan", "inf", "1 M x"}) {
    CAPTURE(wrong);
    CHECK(!cli::parse_bytes(wrong));
  }
  CHECK(cli::bytes_text(1024.0 * 1024 * 10) == "10.0 MiB");
  CHECK(cli::bytes_text(1024.0 * 1024 * 1024 * 1.25) == "1.25 GiB");
}

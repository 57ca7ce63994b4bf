// What loading costs: a model of random weights from a file that the system has in memory, against reading the bytes of
// that file into fresh memory, in turn. The published network's sizes, in every type and arrangement that files have.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <mirnet/io/model_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/weight_writer.hpp"

namespace {

using mirnet::Index;
using mirnet::Mirnet;

/// Milliseconds of body().
template <class Body>
double time_of(Body&& body) {
  auto const begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class T>
void measure(char const* name, test::Storage storage, int rounds) {
  auto const path = (std::filesystem::temp_directory_path() / "mirnet-bench-load.mirw").string();
  mirnet::write_file(path.c_str(), test::make_weight_file(mirnet::MirnetConfig{}, 1, storage), true).value();
  auto const read = [&] { mirnet::read_file(path.c_str()).value(); };
  mirnet::ThreadPool two(2);
  mirnet::ParallelFor const threads[] = {{}, two};
  for (auto const& parallel : threads) {
    auto const load = [&] { mirnet::load_model<Mirnet<T>>(path.c_str(), parallel).value(); };
    read(), load();
    std::vector<double> loads, ratios;
    for (int round = 0; round < rounds; ++round) {
      double const reading = time_of(read);
      loads.push_back(time_of(load));
      ratios.push_back(loads.back() / reading);
    }
    std::printf("%-24s threads %lld: %7.1f ms, %5.2f of reading the file\n", name,
                static_cast<long long>(parallel.workers), median(loads), median(ratios));
  }
  std::filesystem::remove(path);
}

}  // namespace

int main(int count, char** arguments) {
  int const rounds = count > 1 ? std::max(std::atoi(arguments[1]), 1) : 11;
  using test::Storage;
  measure<float>("f32 as float", Storage::f32, rounds);
  measure<float>("f32 packed as float", Storage::f32_packed, rounds);
  measure<float>("bf16 as float", Storage::bf16, rounds);
  measure<mirnet::bfloat16>("f32 as bfloat16", Storage::f32, rounds);
  measure<mirnet::bfloat16>("bf16 as bfloat16", Storage::bf16, rounds);
  measure<mirnet::bfloat16>("bf16 packed as bfloat16", Storage::bf16_packed, rounds);
}

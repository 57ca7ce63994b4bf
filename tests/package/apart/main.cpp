// main WEIGHTS.mirw IMAGE.f32 HEIGHT WIDTH OUTPUT_FOLDER [NAME=LIBRARY.so...]
//
// Runs the network in every part that is linked into the program (run_a, run_b, run_c, as far as they are there) and in
// the libraries, all of which are loaded first, with their symbols for all to see. Prints "NAME VERSION ISA" for each
// and writes its result to OUTPUT_FOLDER/NAME.f32.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "part.hpp"

extern "C" [[gnu::weak]] PartRun run_a, run_b, run_c;

namespace {

std::vector<char> read(char const* path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  struct Named {
    std::string name;
    PartRun* run;
  };
  std::vector<Named> parts;
  for (Named const& part : {Named{"a", run_a}, Named{"b", run_b}, Named{"c", run_c}}) {
    if (part.run != nullptr) parts.push_back(part);
  }
  for (std::string const argument : std::span(argv + 6, argv + argc)) {
    auto const equals = argument.find('=');
    std::string const name = argument.substr(0, equals);
    void* const library = dlopen(argument.c_str() + equals + 1, RTLD_NOW | RTLD_GLOBAL);
    void* const run = library == nullptr ? nullptr : dlsym(library, ("run_" + name).c_str());
    if (run == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    parts.push_back({name, reinterpret_cast<PartRun*>(run)});
  }

  auto const weights = read(argv[1]);
  for (auto const& [name, run] : parts) {
    auto image = read(argv[2]);
    Part part{reinterpret_cast<std::byte const*>(weights.data()),
              weights.size(),
              std::atol(argv[3]),
              std::atol(argv[4]),
              reinterpret_cast<float*>(image.data()),
              nullptr,
              nullptr};
    if (!run(part)) {
      std::fprintf(stderr, "%s failed\n", name.c_str());
      return 1;
    }
    std::printf("%s %s %s\n", name.c_str(), part.version, part.isa);
    std::ofstream(std::string(argv[5]) + "/" + name + ".f32", std::ios::binary)
        .write(image.data(), static_cast<std::streamsize>(image.size()));
  }
}

// mirnet info: what a photograph is; what a weight file holds and what running it takes; the weights compiled into the
// program.
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/io/file.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "codecs/formats.hpp"
#include "commands.hpp"
#include "computing.hpp"
#include "engine.hpp"
#include "measure/size.hpp"
#include "naming.hpp"
#include "picture_info.hpp"
#include "plugins.hpp"
#include "system.hpp"
#include "weights.hpp"

namespace cli {
namespace {

/// What can be read and written here, and why not the rest.
void print_formats() {
  std::string reads, writes, missing;
  auto const add = [](std::string& list, std::string const& more, char const* between) {
    if (!list.empty()) list += between;
    list += more;
  };
  for (auto const& row : formats()) {
    auto const fault = why_not_read(row);
    if (fault.empty()) add(reads, row.name, ", ");
    if (row.encode != nullptr && fault.empty()) add(writes, row.name, ", ");
    if (!fault.empty()) add(missing, std::string(row.name) + " (" + fault + ')', ", ");
  }
  std::printf("%-26s %s\n%-26s %s\n", "reads", reads.c_str(), "writes", writes.c_str());
  if (!missing.empty()) std::printf("%-26s %s\n", "does not read", missing.c_str());
}

mirnet::Result<void> info(WeightsOptions const& options, std::string const& size) {
  auto const parsed = measure::parse_size(size);
  if (!parsed) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--size %s: expected a width and a height, as in 1920x1080", size.c_str());
  }
  auto const found = find_weights(options);
  if (!found) return found.error();
  auto const& path = *found;
  mirnet::ThreadPool pool;
  auto const set = mirnet::choose_kernel_set();
  if (!set) return set.error();
  auto const engine = load_engine(path, {*set, false}, mirnet::Algorithm::automatic, pool);
  if (!engine) return engine.error();
  auto const plan = (*engine)->plan(parsed->height, parsed->width);
  if (!plan) return plan.error();

  if (!path) {
    std::printf("mirnet %s\n", MIRNET_VERSION);
    std::printf("%-26s %s\n", "instruction sets built in", instruction_set_names().c_str());
    std::printf("%-26s %s", "instruction set in use", (*set)->float_isa);
    if (!(*set)->has_own_float_kernels()) std::printf(" (bf16: %s)", (*set)->name);
    std::printf("\n");
    print_formats();
  }
  auto const& facts = (*engine)->facts();
  auto const number = [](char const* name, mirnet::Index value) {
    std::printf("%-26s %lld\n", name, static_cast<long long>(value));
  };
  std::printf("%-26s %s\n", "weights", one_line(facts.weights).c_str());
  std::printf("%-26s %s\n", "checksum", weights_checksum(path).c_str());
  std::printf("%-26s %s\n", "network", facts.network);
  std::printf("%-26s %s\n", "task", name_of(facts.task));
  for (auto const& parameter : facts.hyper_parameters) {
    std::printf("%-26s %s\n", parameter.name, text(parameter).c_str());
  }
  number("parameters", facts.parameters);
  std::printf("%-26s %.1f MiB\n", "memory of the weights", static_cast<double>(facts.bytes) / (1 << 20));
  auto const pixels = static_cast<double>(parsed->width) * static_cast<double>(parsed->height);
  std::printf("%-26s %.0f\n", "multiply-adds a pixel", static_cast<double>(plan->macs) / pixels);
  std::printf("%-26s %.1f MiB for %lld x %lld pixels with %lld threads\n", "working memory",
              static_cast<double>(plan->bytes) / (1 << 20), static_cast<long long>(parsed->width),
              static_cast<long long>(parsed->height), static_cast<long long>(plan->workers));
  return {};
}

/// Whether a file begins as weight files do. What cannot be read is taken for one: to load it tells why.
bool is_weight_file(std::string const& path) {
  auto const file = mirnet::InputFile::open(path.c_str(), mirnet::ErrorCode::input);
  if (!file) return !std::filesystem::is_directory(path_of(path));
  std::array<std::byte, sizeof mirnet::detail::weight_magic> start{};
  return file->read(0, start) && std::memcmp(start.data(), mirnet::detail::weight_magic, start.size()) == 0;
}

}  // namespace

void add_info(CLI::App& program, Action& action) {
  struct Options {
    WeightsOptions weights;
    std::string size = "1920x1080";
    bool as_json = false;
    Reading reading;
  };
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("info", "Describe a photograph, a weight file or the program");
  auto* const file = command->add_option(
      "FILE", options->weights.file,
      "a photograph, whose noise is measured, or a weight file (.mirw); - is standard input; without "
      "a file, the program and the weights of --model");
  add_model(*command, *file, options->weights);
  add_old_quality(*command, options->weights);
  auto* const size = command
                         ->add_option("--size", options->size,
                                      "for weights: image size to give the working memory for (default: 1920x1080)")
                         ->type_name("WxH");
  command->add_flag("--json", options->as_json, "for a photograph: print one line of JSON");
  add_reading(*command, options->reading);
  command->callback([=, &action] {
    bool const sized = size->count() > 0;
    action = [=]() -> mirnet::Result<void> {
      auto const& path = options->weights.file;
      if (path && is_picture(*path)) {
        if (!sized) return print_picture_info(*path, options->reading, options->as_json);
        return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--size: %s is a photograph; expected a weight file",
                             path->c_str());
      }
      if (path && extension_of(*path) != "mirw" && !is_weight_file(*path)) {
        return mirnet::Error(mirnet::ErrorCode::input,
                             "%s: is neither a photograph in a known format nor a weight file", path->c_str());
      }
      if (!options->as_json) return info(options->weights, options->size);
      return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--json: %s; expected a photograph",
                           path ? (*path + " is none").c_str() : "there is no file");
    };
  });
}

}  // namespace cli

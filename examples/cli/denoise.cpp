// mirnet denoise: noisy photographs in, clean ones out.
#include <memory>

#include <CLI/CLI.hpp>

#include "batch.hpp"
#include "commands.hpp"
#include "restore_options.hpp"

namespace cli {

void add_denoise(CLI::App& program, Action& action) {
  auto const options = std::make_shared<RestoreOptions>();
  auto* const command = program.add_subcommand(denoise_task.verb, denoise_task.summary);
  command->footer(denoise_task.footer);
  add_restore_options(*command, denoise_task, *options);
  command->callback([=, &action] {
    action = [=] {
      auto const settled = settle(*options);
      return settled ? restore_all(*options, denoise_task) : settled;
    };
  });
}

}  // namespace cli

#include "server/main/command_line.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "server/main/version.h"

namespace berth {

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  CLI::App app("berthd serves containerd's API and runs containers.");
  app.name("berthd");
  app.footer(
      "Examples:\n"
      "  berthd\n"
      "  berthd --root /tmp/b/root --state /tmp/b/state --log-level debug\n"
      "  berthd config default > /etc/berth/config.toml");
  app.set_version_flag("-v,--version", absl::StrCat("berthd ", kBerthVersion));
  app.add_option("-c,--config", line.config_path,
                 "Configuration file (default: /etc/berth/config.toml where it exists)");
  app.add_option("--root", line.root, "Directory of what outlives a reboot");
  app.add_option("--state", line.state, "Directory of what belongs to running containers");
  app.add_option("-a,--address", line.address, "Unix socket of the API");
  app.add_option("-l,--log-level", line.log_level, "trace, debug, info, warn, error or fatal");
  app.require_subcommand(0, 1);
  CLI::App* config = app.add_subcommand("config", "Print the configuration as TOML");
  config->require_subcommand(1);
  CLI::App* config_default = config->add_subcommand("default", "The defaults, with comments");
  CLI::App* config_dump = config->add_subcommand("dump", "What this command line would run with");
  for (CLI::App* command : {config, config_default, config_dump}) command->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // the library's way to say --help and --version
    line.action = CommandLine::Action::kPrintText;
    const bool version = dynamic_cast<const CLI::CallForVersion*>(&asked) != nullptr;
    line.text = version ? absl::StrCat(asked.what(), "\n") : app.help();
    return line;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(error.what(), "; `berthd --help` shows what is understood"));
  }
  if (*config_default) line.action = CommandLine::Action::kPrintDefaultConfig;
  if (*config_dump) line.action = CommandLine::Action::kPrintEffectiveConfig;
  return line;
}

}  // namespace berth

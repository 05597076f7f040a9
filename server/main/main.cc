// berthd: reads its configuration, starts the daemon, and waits for the signal to stop.
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log/logger.h"
#include "base/os/lock_checks.h"
#include "base/os/prefault.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/main/command_line.h"
#include "server/main/config_file.h"
#include "server/main/config_text.h"
#include "server/main/daemon.h"
#include "server/main/process_setup.h"
#include "server/main/successor.h"
#include "server/main/systemd.h"
#include "server/main/version.h"

namespace berth {
namespace {

constexpr char kDefaultConfigPath[] = "/etc/berth/config.toml";

// The file, if any, with the flags on top.
absl::StatusOr<LoadedConfig> EffectiveConfig(const CommandLine& line) {
  LoadedConfig loaded;
  auto from_file = LoadConfig(line.config_path.value_or(kDefaultConfigPath));
  if (from_file.ok()) {
    loaded = *std::move(from_file);
  } else if (line.config_path.has_value() || ErrnoOf(from_file.status()) != ENOENT) {
    return from_file.status();
  }
  Config& config = loaded.config;
  if (line.root) config.root = *line.root;
  if (line.state) config.state = *line.state;
  if (line.address) config.grpc.socket.address = *line.address;
  if (line.log_level) config.debug.level = *line.log_level;
  BERTH_RETURN_IF_ERROR(CheckConfig(config)) << "command line";
  return loaded;
}

absl::StatusOr<Logger> MakeLogger(const Config& config) {
  LogLevel level = LogLevel::kInfo;
  if (!config.debug.level.empty()) {
    BERTH_ASSIGN_OR_RETURN(level, ParseLogLevel(config.debug.level));
  }
  return Logger(level, config.debug.format == "json" ? LogFormat::kJson : LogFormat::kText);
}

// A service manager that does not listen is no reason to stop serving.
void Notify(const ServiceManager& manager, absl::string_view state, const Logger& log) {
  const absl::Status status = manager.Notify(state);
  if (!status.ok()) {
    log.Warning("ignoring that the service manager cannot be told", {{"error", status}});
  }
}

// True: the successor serves, and this process may end.
bool HandOver(const Successor& successor, const ServiceManager& manager, const Logger& log,
              std::unique_ptr<Daemon>& daemon, absl::Status& failure) {
  const absl::Status fit = successor.Check();
  if (!fit.ok()) {
    log.Error("going on: the program that should take over is not fit", {{"error", fit}});
    return false;
  }
  log.Info("making place for a successor; containers run on");
  Notify(manager, "STATUS=making place for a successor", log);
  const std::vector<UniqueFd> listeners = daemon->Retire();
  daemon.reset();
  const absl::StatusOr<pid_t> pid = successor.Start(listeners, manager);
  failure = pid.status();
  if (!pid.ok()) return true;
  Notify(manager, absl::StrCat("MAINPID=", *pid), log);
  log.Info("a successor serves", {{"pid", *pid}});
  return true;
}

absl::Status Serve(const LoadedConfig& loaded, const Successor& successor) {
  const absl::Time begin = absl::Now();
  const Config& config = loaded.config;
  BERTH_ASSIGN_OR_RETURN(const Logger log, MakeLogger(config));
  for (const std::string& warning : loaded.warnings) log.Warning(warning);
  // Before any thread starts: threads inherit the signal mask.
  BERTH_ASSIGN_OR_RETURN(const UniqueFd signals, TakeSignals());
  SealInheritedDescriptors();
  const ServiceManager manager = ServiceManager::FromEnvironment();
  Predecessor predecessor = Predecessor::FromEnvironment();
  DaemonInheritance inheritance;
  BERTH_ASSIGN_OR_RETURN(inheritance.sockets, TakeInheritedSockets());
  BERTH_ASSIGN_OR_RETURN(inheritance.nofile, RaiseFileLimit());
  if (config.oom_score != 0) {
    const absl::Status status = SetOomScore(config.oom_score);
    if (!status.ok()) {
      log.Warning("ignoring oom_score: lowering it needs CAP_SYS_RESOURCE", {{"error", status}});
    }
  }
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon,
                         Daemon::Start(config, std::move(inheritance), log));
  log.Info("serving", {{"version", kBerthVersion},
                       {"address", GrpcAddress(config)},
                       {"root", config.root},
                       {"state", config.state},
                       {"duration", absl::Now() - begin}});
  predecessor.TellReady();
  Notify(manager, "READY=1", log);
  DropProgram();
  BERTH_ASSIGN_OR_RETURN(int signal, NextSignal(signals));
  while (signal == SIGUSR2) {
    absl::Status failure;
    if (HandOver(successor, manager, log, daemon, failure)) return failure;
    BERTH_ASSIGN_OR_RETURN(signal, NextSignal(signals));
  }
  log.Info("stopping; containers run on", {{"signal", ::strsignal(signal)}});
  Notify(manager, "STOPPING=1", log);
  RestoreSignals();  // a second one ends the process at once
  daemon->Stop();
  return absl::OkStatus();
}

absl::Status Run(int argc, char** argv) {
  BERTH_ASSIGN_OR_RETURN(const CommandLine line, ParseCommandLine(argc, argv));
  if (line.action == CommandLine::Action::kPrintText) {
    std::cout << line.text;
    return absl::OkStatus();
  }
  if (line.action == CommandLine::Action::kPrintDefaultConfig) {
    std::cout << ConfigText(Config());
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(const LoadedConfig loaded, EffectiveConfig(line));
  if (line.action == CommandLine::Action::kPrintEffectiveConfig) {
    for (const std::string& warning : loaded.warnings) std::cerr << warning << "\n";
    std::cout << ConfigText(loaded.config);
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(const Successor successor,
                         Successor::Prepare(std::vector<std::string>(argv, argv + argc)));
  return Serve(loaded, successor);
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  const absl::Status status = berth::Run(argc, argv);
  if (status.ok()) return 0;
  std::cerr << "berthd: " << status.message() << std::endl;
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}

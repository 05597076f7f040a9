// berth-runtime: Berth's container runtime behind runc's command line.
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/lock_checks.h"
#include "base/status/status_macros.h"
#include "shim/oci/arguments.h"
#include "shim/oci/commands.h"
#include "shim/oci/foreground.h"
#include "shim/oci/log.h"
#include "shim/oci/state_store.h"
#include "shim/security/self_image.h"

namespace berth::oci {
namespace {

const std::vector<OptionSpec>& GlobalOptions() {
  static const auto* const options = new std::vector<OptionSpec>{
      {"root", "", OptionKind::kValue, "directory for the state of containers"},
      {"log", "", OptionKind::kValue, "file that errors are written to as well"},
      {"log-format", "", OptionKind::kValue, "text or json"},
      {"debug", "", OptionKind::kSwitch, "log where the time goes as well"},
      {"systemd-cgroup", "", OptionKind::kSwitch, "use the systemd cgroup driver"},
      {"rootless", "", OptionKind::kValue,
       "go without a cgroup where none may be made: true, false, or auto"},
      {"criu", "", OptionKind::kValue, "accepted and ignored"},
      {"help", "h", OptionKind::kSwitch, "show help"},
      {"version", "v", OptionKind::kSwitch, "show the version"}};
  return *options;
}

std::vector<OptionSpec> CreateSpecs() {
  return {{"bundle", "b", OptionKind::kValue, "directory with config.json (default: .)"},
          {"console-socket", "", OptionKind::kValue, "unix socket that gets the terminal's master"},
          {"pidfd-socket", "", OptionKind::kValue, "unix socket that gets init's pidfd"},
          {"pid-file", "", OptionKind::kValue, "file that gets init's pid"},
          {"no-pivot", "", OptionKind::kSwitch, "move the root instead of pivot_root"},
          {"no-new-keyring", "", OptionKind::kSwitch, "keep the session keyring"},
          {"preserve-fds", "", OptionKind::kValue, "number of further descriptors to pass"}};
}

std::vector<OptionSpec> RunSpecs() {
  std::vector<OptionSpec> specs = CreateSpecs();
  specs.push_back({"detach", "d", OptionKind::kSwitch, "do not wait for the container"});
  specs.push_back({"keep", "", OptionKind::kSwitch, "keep the state after the end"});
  specs.push_back({"no-subreaper", "", OptionKind::kSwitch, "accepted and ignored"});
  return specs;
}

}  // namespace

const std::vector<CommandSpec>& AllCommands() {
  static const auto* const commands = new std::vector<CommandSpec>{
      {"create", "<container-id>", "create a container", RunCreate, CreateSpecs(), {}},
      {"start", "<container-id>", "run the program of a created container", RunStart, {}, {}},
      {"run",
       "<container-id>",
       "create and start a container, and wait for it",
       RunRun,
       RunSpecs(),
       {}},
      {"state", "<container-id>", "print the state of a container", RunState, {}, {}},
      {"kill",
       "<container-id> [signal]",
       "signal a container's init",
       RunKill,
       {{"all", "a", OptionKind::kSwitch, "signal all of its processes"}},
       {1, 2}},
      {"delete",
       "<container-id>",
       "remove a container",
       RunDelete,
       {{"force", "f", OptionKind::kSwitch, "kill it if it runs"}},
       {}},
      {"exec",
       "<container-id> <command> [args]",
       "run a further process in a container",
       RunExec,
       {{"process", "p", OptionKind::kValue, "file with the OCI process"},
        {"tty", "t", OptionKind::kSwitch, "give it a terminal"},
        {"user", "u", OptionKind::kValue, "uid[:gid]"},
        {"additional-gids", "g", OptionKind::kList, "additional group"},
        {"env", "e", OptionKind::kList, "KEY=value"},
        {"cwd", "", OptionKind::kValue, "working directory"},
        {"cap", "c", OptionKind::kList, "additional capability"},
        {"no-new-privs", "", OptionKind::kSwitch, "set no_new_privs"},
        {"process-label", "", OptionKind::kValue, "SELinux label"},
        {"apparmor", "", OptionKind::kValue, "AppArmor profile"},
        {"cgroup", "", OptionKind::kList, "[controllers:]cgroup below the container's"},
        {"ignore-paused", "", OptionKind::kSwitch, "exec into a paused container as well"},
        {"detach", "d", OptionKind::kSwitch, "do not wait for it"},
        {"pidfd-socket", "", OptionKind::kValue, "unix socket that gets its pidfd"},
        {"pid-file", "", OptionKind::kValue, "file that gets its pid"},
        {"console-socket", "", OptionKind::kValue, "unix socket that gets the terminal's master"},
        {"preserve-fds", "", OptionKind::kValue, "number of further descriptors to pass"}},
       {1, -1}},
      {"list",
       "",
       "list containers",
       RunList,
       {{"format", "f", OptionKind::kValue, "table or json"},
        {"quiet", "q", OptionKind::kSwitch, "ids only"}},
       {0, 0}},
      {"ps",
       "<container-id> [ps options]",
       "list a container's processes",
       RunPs,
       {{"format", "f", OptionKind::kValue, "table or json"}},
       {1, -1}},
      {"pause", "<container-id>", "freeze a container", RunPause, {}, {}},
      {"resume", "<container-id>", "thaw a container", RunResume, {}, {}},
      {"update",
       "<container-id>",
       "change a container's limits",
       RunUpdate,
       {{"resources", "r", OptionKind::kValue, "file with OCI resources, - for standard input"},
        {"memory", "", OptionKind::kValue, "bytes"},
        {"memory-swap", "", OptionKind::kValue, "bytes of memory and swap, -1 for no limit"},
        {"memory-reservation", "", OptionKind::kValue, "bytes"},
        {"cpu-share", "", OptionKind::kValue, "relative weight"},
        {"cpu-quota", "", OptionKind::kValue, "microseconds a period"},
        {"cpu-period", "", OptionKind::kValue, "microseconds"},
        {"cpu-burst", "", OptionKind::kValue, "microseconds"},
        {"cpu-rt-period", "", OptionKind::kValue, "microseconds"},
        {"cpu-rt-runtime", "", OptionKind::kValue, "microseconds"},
        {"cpu-idle", "", OptionKind::kValue, "0 or 1"},
        {"cpuset-cpus", "", OptionKind::kValue, "list of processors"},
        {"cpuset-mems", "", OptionKind::kValue, "list of memory nodes"},
        {"pids-limit", "", OptionKind::kValue, "number of processes, -1 for no limit"},
        {"blkio-weight", "", OptionKind::kValue, "10 to 1000"},
        {"l3-cache-schema", "", OptionKind::kValue, "of Intel RDT, as in L3:0=f"},
        {"mem-bw-schema", "", OptionKind::kValue, "of Intel RDT, as in MB:0=50"}},
       {}},
      {"events",
       "<container-id>",
       "print statistics",
       RunEvents,
       {{"stats", "", OptionKind::kSwitch, "once"},
        {"interval", "", OptionKind::kValue, "between two (default: 5s)"}},
       {}},
      {"spec",
       "",
       "write a config.json to start from",
       RunSpec,
       {{"bundle", "b", OptionKind::kValue, "directory (default: .)"},
        {"rootless", "", OptionKind::kSwitch, "for a container of an ordinary user's"}},
       {0, 0}},
      {"features", "", "print what this runtime can do", RunFeatures, {}, {0, 0}},
      {"checkpoint", "<container-id>", "not available yet", RunUnimplemented, {}, {0, -1}},
      {"restore", "<container-id>", "not available yet", RunUnimplemented, {}, {0, -1}}};
  return *commands;
}

namespace {

void PrintOptions(const std::vector<OptionSpec>& options) {
  for (const OptionSpec& option : options) {
    const std::string name =
        absl::StrCat(option.letter.empty() ? "    " : absl::StrCat("-", option.letter, ", "), "--",
                     option.name, option.kind == OptionKind::kSwitch ? "" : " value");
    ::printf("   %-28s %s\n", name.c_str(), std::string(option.help).c_str());
  }
}

void PrintHelp() {
  ::printf(
      "berth-runtime runs containers as the OCI runtime specification describes them.\n\n"
      "usage: berth-runtime [global options] command [options] [arguments]\n\ncommands:\n");
  for (const CommandSpec& command : AllCommands()) {
    ::printf("   %-12s %s\n", command.name, command.help);
  }
  ::printf("\nglobal options:\n");
  PrintOptions(GlobalOptions());
  ::printf("\nexample: berth-runtime run --bundle /tmp/bundle web\n");
}

void PrintCommandHelp(const CommandSpec& command) {
  ::printf("berth-runtime %s: %s\n\nusage: berth-runtime %s [options] %s\n\noptions:\n",
           command.name, command.help, command.name, command.arguments);
  PrintOptions(command.options);
}

Log MakeLog(const Options& global) {
  return Log(global.Get("log"),
             global.Get("log-format") == "json" ? LogForm::kJson : LogForm::kText,
             global.Has("debug") ? LogDepth::kDebug : LogDepth::kErrors);
}

// runc's exit codes: 255 when exec could not run its program, so that the program's own 1 stays
// apart from it; 3 for a command that does not exist.
constexpr int kFailed = 1;
constexpr int kUnknownCommand = 3;
constexpr int kExecFailed = 255;

absl::Status CheckArity(const CommandSpec& command, size_t count) {
  const int given = static_cast<int>(count);
  const Arity& arity = command.arity;
  if (given >= arity.least && (arity.most < 0 || given <= arity.most)) return absl::OkStatus();
  const std::string wanted = arity.least == arity.most ? absl::StrCat("exactly ", arity.least)
                             : given < arity.least     ? absl::StrCat("a minimum of ", arity.least)
                                                       : absl::StrCat("a maximum of ", arity.most);
  return absl::InvalidArgumentError(absl::StrCat("\"", command.name, "\" requires ", wanted,
                                                 " argument(s): ", command.name, " ",
                                                 command.arguments));
}

// Everybody but root of the host has a place of his own, if the system gives him one.
std::string DefaultRoot(launch::Authority authority) {
  const char* own = ::getenv("XDG_RUNTIME_DIR");
  // Who is root in a namespace of an ordinary user's has the user's environment.
  const char* user = ::getenv("USER");
  const bool is_root = authority == launch::Authority::kHost ||
                       (authority == launch::Authority::kUserNamespace && user != nullptr &&
                        absl::string_view(user) == "root");
  if (is_root || own == nullptr || *own == '\0') return "/run/berth-runtime";
  return absl::StrCat(own, "/berth-runtime");
}

absl::StatusOr<launch::CgroupDenied> DeniedCgroups(const Options& global,
                                                   launch::Authority authority) {
  const std::string wanted = global.Get("rootless", "auto");
  bool rootless = authority != launch::Authority::kHost;
  if (wanted != "auto" && !absl::SimpleAtob(wanted, &rootless)) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid value for --rootless: \"", wanted, "\": true, false or auto"));
  }
  return rootless ? launch::CgroupDenied::kGoWithout : launch::CgroupDenied::kFail;
}

// What is wrong with the command line itself is no failure of the command.
absl::StatusOr<Options> ReadOptions(const CommandSpec& command,
                                    const std::vector<std::string>& words, size_t& at) {
  std::vector<OptionSpec> specs = command.options;
  specs.push_back({"help", "h", OptionKind::kSwitch, "show help"});
  BERTH_ASSIGN_OR_RETURN(Options options, ParseOptions(specs, words, at));
  if (options.Has("help")) return options;
  BERTH_RETURN_IF_ERROR(CheckArity(command, words.size() - at));
  int count = 0;
  if (options.Has("preserve-fds") && !absl::SimpleAtoi(options.Get("preserve-fds"), &count)) {
    return absl::InvalidArgumentError("--preserve-fds: expected a number");
  }
  return options;
}

absl::StatusOr<int> Dispatch(const Options& global, const Log& log, const CommandSpec& command,
                             Options options, const std::vector<std::string>& words, size_t at,
                             char** argv) {
  const launch::Authority authority = launch::OwnAuthority();
  BERTH_ASSIGN_OR_RETURN(const launch::CgroupDenied denied, DeniedCgroups(global, authority));
  const StateStore store(global.Get("root", DefaultRoot(authority)));
  const auto driver = global.Has("systemd-cgroup") ? launch::CgroupDriver::kSystemd
                                                   : launch::CgroupDriver::kCgroupfs;
  // What clones into a container must not be there to be overwritten.
  const absl::string_view name = command.name;
  std::vector<UniqueFd> preserved;
  if (name == "create" || name == "run" || name == "exec") {
    BERTH_RETURN_IF_ERROR(security::ProtectSelfImage(argv));
    BERTH_ASSIGN_OR_RETURN(preserved,
                           PreservedDescriptors(options, name == "exec" ? 0 : ListenDescriptors()));
  }
  CommandContext context{store,
                         log,
                         driver,
                         authority,
                         denied,
                         std::move(options),
                         {words.begin() + static_cast<std::ptrdiff_t>(at), words.end()},
                         std::move(preserved)};
  return command.run(context);
}

int Run(const Options& global, const std::vector<std::string>& words, size_t at, char** argv) {
  const std::string name = words[at++];
  if (name == "help") {
    PrintHelp();
    return 0;
  }
  const std::vector<CommandSpec>& commands = AllCommands();
  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [&](const CommandSpec& spec) { return name == spec.name; });
  const std::string form = global.Get("log-format", "text");
  if (form != "text" && form != "json") {
    ::fprintf(stderr, "berth-runtime: invalid log-format: %s\n", form.c_str());
    return kFailed;
  }
  const Log log = MakeLog(global);
  if (const absl::Status writable = log.Check(); !writable.ok()) {
    ::fprintf(stderr, "berth-runtime: --log: %s\n", std::string(writable.message()).c_str());
    return kFailed;
  }
  if (command == commands.end()) {
    log.Error(absl::StrCat("no such command: ", name, "; see berth-runtime --help"));
    return kUnknownCommand;
  }
  absl::StatusOr<Options> options = ReadOptions(*command, words, at);
  if (!options.ok()) {
    log.Error(options.status().message());
    return kFailed;
  }
  if (options->Has("help")) {
    PrintCommandHelp(*command);
    return 0;
  }
  absl::StatusOr<int> code = Dispatch(global, log, *command, *std::move(options), words, at, argv);
  if (code.ok()) return *code;
  const bool launches = name == "create" || name == "run" || name == "exec";
  log.Error(absl::StrCat(launches ? absl::StrCat(name, " failed: ") : "", code.status().message()));
  return name == "exec" ? kExecFailed : kFailed;
}

int Main(int argc, char** argv) {
  // Nobody may look into a process that holds descriptors of both sides.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  size_t at = 0;
  absl::StatusOr<Options> global = ParseOptions(GlobalOptions(), words, at);
  if (!global.ok()) {
    ::fprintf(stderr, "berth-runtime: %s\n", std::string(global.status().message()).c_str());
    return kFailed;
  }
  if (global->Has("version")) {
    ::printf("berth-runtime version 0.1.0\nspec: 1.3.0\n");
    return 0;
  }
  if (global->Has("help") || at >= words.size()) {
    PrintHelp();
    return 0;
  }
  return Run(*global, words, at, argv);
}

}  // namespace
}  // namespace berth::oci

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  const int code = berth::oci::Main(argc, argv);
  // Nothing is left to do for destructors of what lives as long as the process.
  ::fflush(nullptr);
  ::_exit(code);
}

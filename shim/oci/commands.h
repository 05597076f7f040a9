// The runtime's commands. Each is a function from its context and arguments to an exit status.
//
// Thread-hostile: they clone, and one command is one process.
#ifndef BERTH_SHIM_OCI_COMMANDS_H_
#define BERTH_SHIM_OCI_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "shim/launch/container.h"
#include "shim/oci/arguments.h"
#include "shim/oci/log.h"
#include "shim/oci/state_store.h"

namespace berth::oci {

struct CommandContext {
  const StateStore& store;
  const Log& log;
  launch::CgroupDriver cgroup_driver;
  launch::Authority authority;
  launch::CgroupDenied cgroup_denied;
  Options options;                     // the command's own
  std::vector<std::string> arguments;  // behind its options
  // Of the caller for the container, taken before anything of ours could be among them.
  std::vector<UniqueFd> preserved_fds = {};
};

using Command = absl::StatusOr<int> (*)(CommandContext& context);

// How many arguments a command takes behind its options; a negative one is no limit.
struct Arity {
  int least = 1;
  int most = 1;
};

struct CommandSpec {
  const char* name;
  const char* arguments;  // for help
  const char* help;
  Command run;
  std::vector<OptionSpec> options;
  Arity arity;
};

const std::vector<CommandSpec>& AllCommands();

absl::StatusOr<int> RunCreate(CommandContext& context);
absl::StatusOr<int> RunRun(CommandContext& context);
absl::StatusOr<int> RunStart(CommandContext& context);
absl::StatusOr<int> RunState(CommandContext& context);
absl::StatusOr<int> RunKill(CommandContext& context);
absl::StatusOr<int> RunDelete(CommandContext& context);
absl::StatusOr<int> RunExec(CommandContext& context);
absl::StatusOr<int> RunList(CommandContext& context);
absl::StatusOr<int> RunPs(CommandContext& context);
absl::StatusOr<int> RunPause(CommandContext& context);
absl::StatusOr<int> RunResume(CommandContext& context);
absl::StatusOr<int> RunUpdate(CommandContext& context);
absl::StatusOr<int> RunEvents(CommandContext& context);
absl::StatusOr<int> RunSpec(CommandContext& context);
absl::StatusOr<int> RunFeatures(CommandContext& context);
absl::StatusOr<int> RunUnimplemented(CommandContext& context);

// The one container that a command's first argument names.
absl::StatusOr<std::string> ContainerArgument(const CommandContext& context);
// What the launch library needs to know of a recorded container.
launch::CleanupRecord ToCleanupRecord(const ContainerRecord& record);

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_COMMANDS_H_

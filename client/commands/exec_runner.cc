#include "client/commands/exec_runner.h"

#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/oci/capabilities.h"
#include "base/oci/user_lookup.h"
#include "base/status/status_macros.h"
#include "client/attach/session.h"
#include "client/commands/container_lookup.h"
#include "client/commands/task_starter.h"
#include "client/sdk/environment.h"
#include "client/sdk/json_access.h"
#include "client/sdk/random_id.h"
#include "client/sdk/rootfs_files.h"
#include "client/sdk/snapshot_client.h"

namespace berth::client {
namespace {

constexpr char kProcessType[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";

absl::StatusOr<oci::ProcessUser> FindUser(const Connection& connection,
                                          const ContainerRecord& container,
                                          const std::string& user) {
  std::string passwd;
  std::string group;
  if (!container.snapshot_key().empty()) {
    const SnapshotClient snapshots(connection, container.snapshotter());
    BERTH_ASSIGN_OR_RETURN(const Mounts mounts, snapshots.GetMounts(container.snapshot_key()));
    passwd = ReadRootfsFile(mounts, "etc/passwd").value_or("");
    group = ReadRootfsFile(mounts, "etc/group").value_or("");
  }
  return oci::LookUpUser(user, passwd, group);
}

// The container's own process with the parts that the user changed: what exec inherits.
absl::StatusOr<Json> MakeProcess(const Connection& connection, const ContainerRecord& container,
                                 const ExecOptions& options) {
  BERTH_ASSIGN_OR_RETURN(const Json spec, ParseJson(container.spec().value()),
                         _ << "the spec of container " << container.id());
  const Json* inherited = Find(spec, "process");
  Json process = inherited == nullptr ? Json::object() : *inherited;
  process["args"] = std::vector<std::string>(options.rest.begin() + 1, options.rest.end());
  process["terminal"] = options.has_terminal;
  process.erase("consoleSize");
  std::vector<std::string> environment = StringsAt(process, "env");
  if (options.has_terminal) SetDefault(environment, "TERM", "xterm");
  BERTH_ASSIGN_OR_RETURN(
      environment,
      MergeEnvironment(std::move(environment), options.environment, InheritedEnvironment()),
      _ << "-e");
  process["env"] = environment;
  if (!options.working_directory.empty()) process["cwd"] = options.working_directory;
  if (options.is_privileged) {
    for (const char* set : {"bounding", "effective", "permitted"}) {
      process["capabilities"][set] = oci::HostBoundingCapabilities();
    }
  }
  if (!options.user.empty()) {
    BERTH_ASSIGN_OR_RETURN(const oci::ProcessUser user,
                           FindUser(connection, container, options.user), _ << "--user");
    process["user"] = {{"uid", user.uid}, {"gid", user.gid}};
    if (!user.additional_gids.empty()) process["user"]["additionalGids"] = user.additional_gids;
    // As at the container's start: root has what the container may have, others nothing.
    Json& capabilities = process["capabilities"];
    for (const char* set : {"effective", "permitted"}) {
      capabilities[set] = user.uid == 0 ? capabilities["bounding"] : Json::array();
    }
  }
  return process;
}

absl::StatusOr<int> Execute(const Context& context, const Connection& connection,
                            const ExecOptions& options) {
  if (!options.is_detached) {
    BERTH_RETURN_IF_ERROR(connection.RequireSameMachine("`berth task exec` without -d"));
  }
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord container,
                         FindContainer(connection, options.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const Json process, MakeProcess(connection, container, options));
  const TaskClient tasks(connection);
  const ProcessId id = {container.id(), options.exec_id.empty() ? absl::StrCat("exec-", RandomId())
                                                                : options.exec_id};
  const WithTerminal terminal = options.has_terminal ? WithTerminal::kYes : WithTerminal::kNo;
  const WithStdin with_stdin = options.is_interactive ? WithStdin::kYes : WithStdin::kNo;

  std::optional<Session> session;
  std::optional<StdioFifos> fifos;
  containerd::services::tasks::v1::ExecProcessRequest request;
  request.set_container_id(id.container_id);
  request.set_exec_id(id.exec_id);
  request.set_terminal(options.has_terminal);
  request.mutable_spec()->set_type_url(kProcessType);
  request.mutable_spec()->set_value(process.dump());
  if (!options.is_detached) {
    BERTH_ASSIGN_OR_RETURN(Session prepared,
                           Session::Prepare({.terminal = terminal, .stdin_attached = with_stdin}));
    session.emplace(std::move(prepared));
    BERTH_ASSIGN_OR_RETURN(
        StdioFifos made, StdioFifos::Create(context.options().fifo_directory, with_stdin, terminal),
        _ << "make the pipes for stdio");
    fifos.emplace(std::move(made));
    request.set_stdin(fifos->paths().in);
    request.set_stdout(fifos->paths().out);
    request.set_stderr(fifos->paths().err);
  }
  const absl::Status added = tasks.Exec(request);
  if (absl::IsNotFound(added)) return NotRunning(options.rest[0]);
  BERTH_RETURN_IF_ERROR(added) << "add a process to container " << container.id();
  const auto start = [&]() -> absl::StatusOr<std::unique_ptr<PendingWait>> {
    BERTH_ASSIGN_OR_RETURN(std::unique_ptr<PendingWait> wait, tasks.StartWait(id));
    BERTH_RETURN_IF_ERROR(tasks.Start(id)) << "start a process in container " << container.id();
    return wait;
  };
  absl::StatusOr<std::unique_ptr<PendingWait>> wait = start();
  if (!wait.ok()) {
    tasks.Delete(id).IgnoreError();  // it never ran; the start's error is what counts
    return wait.status();
  }
  if (options.is_detached) return kExitOk;
  BERTH_ASSIGN_OR_RETURN(const ExitResult result,
                         session->Run(tasks, id, fifos->TakeEnds(), **wait));
  const absl::Status deleted = tasks.Delete(id).status();
  // The container may have ended with the process, and taken it along.
  if (!deleted.ok() && !absl::IsNotFound(deleted)) {
    std::fprintf(stderr, "berth exec: the program ended with %d, but cleaning up failed: %s\n",
                 result.exit_status, std::string(deleted.message()).c_str());
  }
  return result.exit_status;
}

}  // namespace

void BindExecOptions(Command& command, ExecOptions& options) {
  command.Flag("-i,--interactive", options.is_interactive, "Pass your standard input on")
      .Flag("-t,--tty", options.has_terminal, "Give the program a terminal")
      .Flag("-d,--detach", options.is_detached, "Do not wait, throw the output away")
      .Flag("--privileged", options.is_privileged, "All capabilities")
      .Option("-e,--env", options.environment, "KEY=value, or KEY to pass your own value on")
      .Option("-w,--workdir,--cwd", options.working_directory, "Working directory of the program")
      .Option("-u,--user", options.user, "NAME|UID[:GROUP|GID]")
      .Option("--exec-id", options.exec_id, "Id of the process (default: random)")
      .Rest({"CONTAINER COMMAND [ARG...]", 2, -1, OptionPlace::kBeforeArguments}, options.rest);
}

absl::StatusOr<int> RunExec(const Context& context, const ExecOptions& options) {
  absl::StatusOr<Connection> connection = context.Connect();
  absl::StatusOr<int> result =
      connection.ok() ? Execute(context, *connection, options) : connection.status();
  if (result.ok()) return result;
  std::fprintf(stderr, "berth exec: %s\n", std::string(result.status().message()).c_str());
  const int code = ExitCodeOfStartFailure(result.status(), options.rest[1]);
  // docker's own: a container that is missing or does not run is plain 1.
  const bool about_container =
      absl::IsNotFound(result.status()) || absl::IsFailedPrecondition(result.status());
  return code == kExitDaemonError && about_container ? kExitFailure : code;
}

}  // namespace berth::client

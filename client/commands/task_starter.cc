#include "client/commands/task_starter.h"

#include <fcntl.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/attach/session.h"
#include "client/commands/context.h"
#include "client/sdk/json_access.h"

namespace berth::client {
namespace {

containerd::services::tasks::v1::CreateTaskRequest MakeRequest(const StartOptions& options,
                                                               const StdioPaths& paths) {
  containerd::services::tasks::v1::CreateTaskRequest request;
  request.set_container_id(options.container_id);
  for (const containerd::types::Mount& mount : options.root_mounts) *request.add_rootfs() = mount;
  request.set_stdin(paths.in);
  request.set_stdout(paths.out);
  request.set_stderr(paths.err);
  request.set_terminal(options.terminal == WithTerminal::kYes);
  return request;
}

absl::StatusOr<UniqueFd> OpenLog(const std::string& path) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(std::filesystem::path(path).parent_path().string(), 0700));
  return OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

}  // namespace

absl::StatusOr<ExitResult> StartInForeground(const Connection& connection,
                                             const StartOptions& options) {
  const TaskClient tasks(connection);
  const ProcessId process = {options.container_id, ""};
  UniqueFd log;
  if (!options.log_path.empty()) {
    BERTH_ASSIGN_OR_RETURN(log, OpenLog(options.log_path), _ << "open the log");
  }
  BERTH_ASSIGN_OR_RETURN(
      Session session,
      Session::Prepare(
          {.terminal = options.terminal, .stdin_attached = options.stdin_attached, .log = log}));
  BERTH_ASSIGN_OR_RETURN(
      StdioFifos fifos,
      StdioFifos::Create(options.fifo_directory, options.stdin_attached, options.terminal),
      _ << "make the pipes for stdio");
  BERTH_RETURN_IF_ERROR(tasks.Create(MakeRequest(options, fifos.paths())))
      << "create the task of container " << options.container_id;
  const auto start = [&]() -> absl::StatusOr<std::unique_ptr<PendingWait>> {
    BERTH_ASSIGN_OR_RETURN(std::unique_ptr<PendingWait> wait, tasks.StartWait(process));
    BERTH_RETURN_IF_ERROR(tasks.Start(process)) << "start container " << options.container_id;
    return wait;
  };
  absl::StatusOr<std::unique_ptr<PendingWait>> wait = start();
  if (!wait.ok()) {
    tasks.Delete(process).IgnoreError();  // it never ran; the start's error is what counts
    return wait.status();
  }
  return session.Run(tasks, process, fifos.TakeEnds(), **wait);
}

absl::StatusOr<uint32_t> StartInBackground(const Connection& connection,
                                           const StartOptions& options) {
  const TaskClient tasks(connection);
  const ProcessId process = {options.container_id, ""};
  // Made here, so that a log directory that cannot be written is found before anything runs.
  BERTH_RETURN_IF_ERROR(OpenLog(options.log_path)) << "open the log";
  const std::string log_uri = absl::StrCat("file://", options.log_path);
  const StdioPaths paths = {
      .in = "",
      .out = log_uri,
      .err = options.terminal == WithTerminal::kYes ? "" : log_uri,
  };
  BERTH_RETURN_IF_ERROR(tasks.Create(MakeRequest(options, paths)))
      << "create the task of container " << options.container_id;
  absl::StatusOr<uint32_t> pid = tasks.Start(process);
  if (!pid.ok()) {
    tasks.Delete(process).IgnoreError();  // it never ran
    return Annotate(pid.status(), absl::StrCat("start container ", options.container_id));
  }
  return pid;
}

int ExitCodeOfStartFailure(const absl::Status& failure, absl::string_view program) {
  const absl::string_view text = failure.message();
  // The words may as well be about a mount or the bundle: they count only beside the program.
  if (program.empty() || !absl::StrContains(text, program)) return kExitDaemonError;
  for (absl::string_view words :
       {"executable file not found", "no such file or directory", "not a directory"}) {
    if (absl::StrContains(text, words)) return kExitNotFound;
  }
  for (absl::string_view words : {"permission denied", "is a directory", "exec format error"}) {
    if (absl::StrContains(text, words)) return kExitNotExecutable;
  }
  return kExitDaemonError;
}

bool SpecHasTerminal(absl::string_view spec_json) {
  absl::StatusOr<Json> spec = ParseJson(spec_json);
  if (!spec.ok()) return false;
  const Json* process = Find(*spec, "process");
  const Json* terminal = process == nullptr ? nullptr : Find(*process, "terminal");
  return terminal != nullptr && terminal->is_boolean() && terminal->get<bool>();
}

}  // namespace berth::client

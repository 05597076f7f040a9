#include "client/commands/container_stop.h"

#include <csignal>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/sdk/task_client.h"

namespace berth::client {
namespace {

// SIGKILL works at once, unless the kernel holds the process in an uninterruptible wait.
constexpr absl::Duration kKillTimeout = absl::Seconds(30);

// The process may end between any two calls.
absl::Status IgnoreEnded(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status SignalAndWait(const TaskClient& tasks, const ProcessId& process, int signal,
                           KillScope scope, absl::Duration timeout) {
  BERTH_RETURN_IF_ERROR(IgnoreEnded(tasks.Kill(process, signal, scope)))
      << "send signal " << signal;
  return IgnoreEnded(tasks.Wait(process, timeout).status());
}

}  // namespace

absl::Status StopContainer(const Connection& connection, const ContainerRecord& container,
                           int signal, absl::Duration grace) {
  const TaskClient tasks(connection);
  const ProcessId process = {container.id(), ""};
  BERTH_ASSIGN_OR_RETURN(const std::optional<containerd::v1::types::Process> task,
                         FindTask(connection, container.id()));
  if (!task.has_value()) return absl::OkStatus();
  if (task->status() == containerd::v1::types::CREATED) {
    BERTH_RETURN_IF_ERROR(
        SignalAndWait(tasks, process, SIGKILL, KillScope::kProcess, kKillTimeout));
  } else if (task->status() != containerd::v1::types::STOPPED) {
    if (task->status() == containerd::v1::types::PAUSED) {
      // A frozen process gets its signals when it thaws.
      BERTH_RETURN_IF_ERROR(IgnoreEnded(tasks.Resume(container.id()))) << "resume it first";
    }
    absl::Status ended = SignalAndWait(tasks, process, signal, KillScope::kProcess, grace);
    if (absl::IsDeadlineExceeded(ended)) {
      ended = SignalAndWait(tasks, process, SIGKILL, KillScope::kAllProcesses, kKillTimeout);
    }
    BERTH_RETURN_IF_ERROR(ended) << "stop container " << container.id();
  }
  return IgnoreEnded(ReapTask(connection, container.id()).status());
}

}  // namespace berth::client

#include "client/commands/container_stop.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
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

// Nobody likes to wait ten seconds without knowing why.
void ExplainWait(const ContainerRecord& container, uint32_t pid, int signal, absl::Duration grace) {
  if (grace < absl::Seconds(2)) return;
  const absl::StatusOr<std::string> status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  if (!status.ok() || !WillIgnore(*status, signal)) return;  // perhaps on another host
  const char* name = ::sigabbrev_np(signal);
  std::fprintf(stderr,
               "berth stop: the program of %s has no handler for SIG%s; it will be killed after %s "
               "(-t shortens that)\n",
               container.id().c_str(), name != nullptr ? name : "?",
               absl::FormatDuration(grace).c_str());
}

}  // namespace

bool WillIgnore(absl::string_view status, int signal) {
  bool is_init = false;
  uint64_t caught = ~uint64_t{0};
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (absl::ConsumePrefix(&line, "NSpid:")) {
      is_init = absl::EndsWith(line, "\t1");
    } else if (absl::ConsumePrefix(&line, "SigCgt:")) {
      if (!absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &caught)) return false;
    }
  }
  return is_init && signal != SIGKILL && signal != SIGSTOP && (caught >> (signal - 1) & 1) == 0;
}

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
    ExplainWait(container, task->pid(), signal, grace);
    absl::Status ended = SignalAndWait(tasks, process, signal, KillScope::kProcess, grace);
    if (absl::IsDeadlineExceeded(ended)) {
      ended = SignalAndWait(tasks, process, SIGKILL, KillScope::kAllProcesses, kKillTimeout);
    }
    BERTH_RETURN_IF_ERROR(ended) << "stop container " << container.id();
  }
  return IgnoreEnded(ReapTask(connection, container.id()).status());
}

}  // namespace berth::client

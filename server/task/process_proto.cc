#include "server/task/process_proto.h"

#include <algorithm>

#include "server/task/time_proto.h"

namespace berth {

containerd::v1::types::Process ToProcess(const containerd::task::v2::StateResponse& state) {
  containerd::v1::types::Process process;
  process.set_id(state.exec_id().empty() ? state.id() : state.exec_id());
  process.set_pid(state.pid());
  process.set_status(state.status());
  process.set_stdin(state.stdin());
  process.set_stdout(state.stdout());
  process.set_stderr(state.stderr());
  process.set_terminal(state.terminal());
  process.set_exit_status(state.exit_status());
  if (state.has_exited_at()) *process.mutable_exited_at() = state.exited_at();
  return process;
}

containerd::v1::types::Process FromJournal(const std::string& id,
                                           const journal::ProcessRecord& init) {
  containerd::v1::types::Process process;
  process.set_id(id);
  process.set_pid(std::max(init.process.pid, 0));
  switch (init.stage) {
    case journal::Stage::kCreated:
      process.set_status(containerd::v1::types::CREATED);
      break;
    case journal::Stage::kRunning:
      process.set_status(init.paused ? containerd::v1::types::PAUSED
                                     : containerd::v1::types::RUNNING);
      break;
    case journal::Stage::kExited:
    case journal::Stage::kDeleted:
      process.set_status(containerd::v1::types::STOPPED);
      process.set_exit_status(init.exit_status);
      *process.mutable_exited_at() = ToTimestamp(init.exited_at);
      break;
    default:
      process.set_status(containerd::v1::types::UNKNOWN);
      break;
  }
  return process;
}

std::optional<containerd::v1::types::Process> StateFromJournal(const std::string& id,
                                                               const journal::ProcessRecord& init,
                                                               const journal::Stdio& stdio) {
  if (init.stage != journal::Stage::kCreated && init.stage != journal::Stage::kRunning &&
      init.stage != journal::Stage::kExited) {
    return std::nullopt;
  }
  containerd::v1::types::Process process = FromJournal(id, init);
  process.set_stdin(stdio.in);
  process.set_stdout(stdio.out);
  process.set_stderr(stdio.err);
  process.set_terminal(stdio.terminal);
  process.mutable_exited_at();  // zero while it runs
  return process;
}

}  // namespace berth

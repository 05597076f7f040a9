// The Tasks service, typed: running containers and their processes. Thread-safe; borrows nothing
// (the Connection is copied).
#ifndef BERTH_CLIENT_SDK_TASK_CLIENT_H_
#define BERTH_CLIENT_SDK_TASK_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"

namespace berth::client {

// A process: a container's init when `exec_id` is empty.
struct ProcessId {
  std::string container_id;
  std::string exec_id;
};

struct ExitResult {
  int exit_status = 0;
  absl::Time exited_at;
};

enum class KillScope { kProcess, kAllProcesses };

// A Wait in flight. `ready()` becomes readable when Result() will not block. Outages of the daemon
// are waited out: the container lives on, and so does its exit status.
class PendingWait {
 public:
  virtual ~PendingWait() = default;
  virtual BorrowedFd ready() const = 0;
  // Errors: NOT_FOUND when the process was deleted meanwhile.
  virtual absl::StatusOr<ExitResult> Result() = 0;
};

class TaskClient {
 public:
  explicit TaskClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<uint32_t> Create(
      const containerd::services::tasks::v1::CreateTaskRequest& request) const;
  absl::StatusOr<uint32_t> Start(const ProcessId& process) const;
  absl::Status Exec(const containerd::services::tasks::v1::ExecProcessRequest& request) const;
  absl::Status Kill(const ProcessId& process, int signal, KillScope scope) const;
  absl::StatusOr<ExitResult> Delete(const ProcessId& process) const;
  absl::Status Resize(const ProcessId& process, int columns, int rows) const;
  absl::Status CloseStdin(const ProcessId& process) const;
  absl::Status Pause(absl::string_view container_id) const;
  absl::Status Resume(absl::string_view container_id) const;
  absl::StatusOr<containerd::v1::types::Process> Get(const ProcessId& process) const;
  absl::StatusOr<std::vector<containerd::v1::types::Process>> List() const;
  absl::StatusOr<std::vector<containerd::v1::types::ProcessInfo>> Pids(
      absl::string_view container_id) const;
  absl::StatusOr<std::vector<containerd::types::Metric>> Metrics(
      const std::vector<std::string>& filters) const;

  // Sends the Wait before it returns, so that a Start that follows cannot lose the exit.
  absl::StatusOr<std::unique_ptr<PendingWait>> StartWait(const ProcessId& process) const;
  // Blocks: until the process ends, or `timeout`. Errors: DEADLINE_EXCEEDED.
  absl::StatusOr<ExitResult> Wait(const ProcessId& process, absl::Duration timeout) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TASK_CLIENT_H_

#include "shim/service/delete_command.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/journal/journal.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/status_macros.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "shim/launch/container.h"
#include "shim/launch/foreign_container.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

constexpr absl::Duration kShimEndTimeout = absl::Seconds(5);
constexpr absl::Duration kCleanupTimeout = absl::Seconds(20);
constexpr uint32_t kKilledStatus = 128 + SIGKILL;

absl::StatusOr<std::string> BundleOf(const Arguments& arguments) {
  if (!arguments.bundle.empty()) return arguments.bundle;
  char buffer[4096];
  if (::getcwd(buffer, sizeof(buffer)) == nullptr) {
    return absl::NotFoundError("the working directory has been removed and -bundle is not given");
  }
  return std::string(buffer);
}

// Ends the shim and waits until it has gone, so that it does nothing behind our back.
void EndShim(const ProcessIdentity& shim) {
  const auto pidfd = OpenPidFd(shim);
  if (!pidfd.ok()) return;  // gone already
  ::syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0);
  struct pollfd waiting = {pidfd->get(), POLLIN, 0};
  (void)::poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(kShimEndTimeout)));
}

// The socket that `start` made for containerd, when no other shim serves on it any more.
void RemoveSocket(const std::string& bundle) {
  const auto address = ReadFile(bundle + "/address", 4096);
  if (!address.ok()) return;
  const std::string path(absl::StripPrefix(*address, "unix://"));
  if (ConnectUnix(path, SOCK_NONBLOCK).ok()) return;  // its group lives on
  ::unlink(path.c_str());
}

absl::Status Answer(pid_t pid, uint32_t status, absl::Time exited_at) {
  containerd::task::v2::DeleteResponse response;
  response.set_pid(pid < 0 ? 0 : pid);
  response.set_exit_status(status);
  SetTimestamp(exited_at, response.mutable_exited_at());
  return WriteAll(BorrowedFd(STDOUT_FILENO), response.SerializeAsString());
}

}  // namespace

absl::Status RunDelete(const Arguments& arguments) {
  const auto bundle = BundleOf(arguments);
  if (!bundle.ok()) return Answer(0, kKilledStatus, absl::Now());
  const auto state = journal::ReadJournal(*bundle);
  if (absl::IsNotFound(state.status())) {
    RemoveSocket(*bundle);
    return Answer(0, kKilledStatus, absl::Now());
  }
  launch::CleanupRecord record;
  record.bundle = *bundle;
  pid_t pid = 0;
  uint32_t status = kKilledStatus;
  absl::Time exited_at = absl::Now();
  if (state.ok()) {
    const journal::ProcessRecord& init = state->init;
    // A shim that serves a group holds other containers too: only one that is alone is ended.
    if (state->this_boot && init.stage != journal::Stage::kDeleted &&
        state->header.container_id == arguments.id) {
      EndShim(state->header.shim);
    }
    pid = init.process.pid;
    if (init.exited_at != absl::InfinitePast()) {
      status = init.exit_status;
      exited_at = init.exited_at;
    }
    if (state->this_boot) {
      record.init_pid = init.process.pid;
      record.init_start_time_ticks = init.process.start_time_ticks;
    }
    record.cgroup_paths = state->resources.cgroup_paths;
  }
  // A damaged journal still leaves the bundle to go by.
  BERTH_RETURN_IF_ERROR(launch::Container::CleanupFromRecord(record, kCleanupTimeout));
  BERTH_RETURN_IF_ERROR(launch::CleanupForeign(*bundle, kCleanupTimeout));
  RemoveSocket(*bundle);
  return Answer(pid, status, exited_at);
}

}  // namespace berth::service

#include "shim/launch/user_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"

namespace berth::launch {
namespace {

std::string MapText(const std::vector<spec::IdMapping>& mappings) {
  std::string text;
  for (const spec::IdMapping& mapping : mappings) {
    absl::StrAppend(&text, mapping.container_id, " ", mapping.host_id, " ", mapping.size, "\n");
  }
  return text;
}

}  // namespace

absl::Status WriteUserMaps(pid_t pid, const std::vector<spec::IdMapping>& uids,
                           const std::vector<spec::IdMapping>& gids) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd proc,
                         OpenFile(absl::StrCat("/proc/", pid), O_PATH | O_DIRECTORY));
  if (!uids.empty()) {
    BERTH_RETURN_IF_ERROR(WriteControlFileAt(proc, "uid_map", MapText(uids)))
        << "$.linux.uidMappings";
  }
  if (!gids.empty()) {
    BERTH_RETURN_IF_ERROR(WriteControlFileAt(proc, "gid_map", MapText(gids)))
        << "$.linux.gidMappings";
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<spec::IdMapping>& uids,
                                           const std::vector<spec::IdMapping>& gids) {
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(CLONE_NEWUSER, BorrowedFd(-1)),
                         _ << "make a user namespace for an id-mapped mount");
  if (child.pid == 0) {
    while (true) ::pause();
  }
  absl::Status status = WriteUserMaps(child.pid, uids, gids);
  absl::StatusOr<UniqueFd> ns =
      status.ok() ? OpenFile(absl::StrCat("/proc/", child.pid, "/ns/user"), O_RDONLY)
                  : absl::StatusOr<UniqueFd>(status);
  ::syscall(SYS_pidfd_send_signal, child.pidfd.get(), SIGKILL, nullptr, 0);
  Reap(child.pidfd);
  return ns;
}

}  // namespace berth::launch

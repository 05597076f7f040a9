#include "shim/service/shim_cgroup.h"

#include <fcntl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/hierarchy.h"

namespace berth::service {

absl::Status JoinCgroup(absl::string_view path, pid_t pid) {
  BERTH_ASSIGN_OR_RETURN(const auto hierarchies, cgroup::FindHierarchies());
  for (const cgroup::Hierarchy& hierarchy : hierarchies) {
    const std::string directory = absl::StrCat(hierarchy.mount_point, cgroup::CleanPath(path));
    BERTH_RETURN_IF_ERROR(EnsureDirectory(directory, 0755));
    const absl::Status joined = WriteControlFileAt(
        BorrowedFd(AT_FDCWD), absl::StrCat(directory, "/cgroup.procs"), absl::StrCat(pid));
    // A new cpuset group takes nobody before it is given processors; the shim needs no such limit.
    if (!joined.ok() && !absl::IsResourceExhausted(joined)) return joined;
  }
  return absl::OkStatus();
}

}  // namespace berth::service

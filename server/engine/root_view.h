// A container's root filesystem, opened by descriptor: of one that runs as it sees it, of one that
// does not through a mount that is attached nowhere.
//
// Paths below it are opened with OpenInRoot only, so that no link leads to the host.
// Thread-compatible; owned by the function that looks.
#ifndef BERTH_SERVER_ENGINE_ROOT_VIEW_H_
#define BERTH_SERVER_ENGINE_ROOT_VIEW_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::engine {

class RootView {
 public:
  enum class Access { kReadOnly, kReadWrite };

  // Of a snapshot. Read-only views may exist beside a running container; of a writable one the
  // caller makes sure that the container does not start meanwhile. Blocks.
  static absl::StatusOr<RootView> OfMounts(const std::vector<snapshots::Mount>& mounts,
                                           Access access);
  // Of a process. Errors: NOT_FOUND when it is gone.
  static absl::StatusOr<RootView> OfProcess(pid_t pid);

  BorrowedFd root() const { return root_; }

 private:
  explicit RootView(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_ROOT_VIEW_H_

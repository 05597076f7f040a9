// A filesystem that is mounted for one thread's eyes only.
//
// Invariant: nothing appears in the host's mount table. fsopen/fsmount give a mount that is
// attached nowhere; where the kernel cannot take the options that way (overlay before 6.8), the
// calling thread leaves for a mount namespace of its own and mounts there. Everything is read-only.
// Thread-hostile: changes the mount namespace of the calling thread, so that it runs on a thread
// of the job's own.
#ifndef BERTH_SERVER_WORKER_DETACHED_MOUNT_H_
#define BERTH_SERVER_WORKER_DETACHED_MOUNT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "server/worker/mount_plan.h"

namespace berth::worker {

// The root of an overlay of `layers`, from the top down (at least two). Blocks.
absl::StatusOr<UniqueFd> MountOverlay(const std::vector<std::string>& layers,
                                      MountPlan::Marks marks, BorrowedFd mount_point);
// The root of any other filesystem. Blocks.
absl::StatusOr<UniqueFd> MountOther(const MountSpec& mount);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_DETACHED_MOUNT_H_

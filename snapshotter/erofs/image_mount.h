// Mounting EROFS images from their files, without loop devices, and finding out whether this
// kernel can.
//
// Thread-safe functions; they change the mount table of the caller's mount namespace.
#ifndef BERTH_SNAPSHOTTER_EROFS_IMAGE_MOUNT_H_
#define BERTH_SNAPSHOTTER_EROFS_IMAGE_MOUNT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::erofs {

// The image's tree, read-only and attached nowhere. Errors: those of the system, EUCLEAN for a
// damaged image. Blocks.
absl::StatusOr<UniqueFd> MountDetached(const std::string& image);
// Puts it at `directory`. Blocks.
absl::Status MountAt(const std::string& image, const std::string& directory);
// Whether `directory` is the root of a mounted EROFS image.
absl::StatusOr<bool> IsMounted(const std::string& directory);
// Takes the mount away from `directory`; what still uses it keeps it. Nothing when there is none.
absl::Status Unmount(const std::string& directory);

// Makes and mounts a small image below `directory`. Errors: FAILED_PRECONDITION saying why this
// kernel cannot. Blocks.
absl::Status ProbeFileMounts(const std::string& directory);

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_IMAGE_MOUNT_H_

// Reads a small file of a container's root without mounting it: looks through the layers that the
// snapshot's mounts name, top first, as overlayfs would.
//
// Invariant: a path is resolved below its layer only; a link in an image never leads to a file of
// the host. Thread-safe function.
#ifndef BERTH_CLIENT_SDK_ROOTFS_FILES_H_
#define BERTH_CLIENT_SDK_ROOTFS_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/snapshot_client.h"

namespace berth::client {

// `path` is relative ("etc/passwd"). Errors: NOT_FOUND when no layer has it, or a higher one
// removed it.
absl::StatusOr<std::string> ReadRootfsFile(const Mounts& mounts, absl::string_view path);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_ROOTFS_FILES_H_

#include "client/sdk/rootfs_files.h"

#include <vector>

#include "base/oci/layered_file.h"

namespace berth::client {

absl::StatusOr<std::string> ReadRootfsFile(const Mounts& mounts, absl::string_view path) {
  if (mounts.empty()) return absl::NotFoundError("the root has no mounts");
  const containerd::types::Mount& root = mounts.front();
  const std::vector<std::string> options(root.options().begin(), root.options().end());
  return oci::ReadLayeredFile(oci::LayersOf(root.type(), root.source(), options), path);
}

}  // namespace berth::client

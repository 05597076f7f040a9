#include "server/engine/copy_up.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/engine/root_view.h"
#include "server/engine/tree_copy.h"
#include "server/metadata/snapshot_store.h"
#include "snapshotter/store/tree_seal.h"

namespace berth::engine {
namespace {

absl::Status MakeDurable(BorrowedFd parent, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd tree, OpenAt(parent, name, O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const snapshots::Usage usage, snapshots::MeasureTree(tree));
  return snapshots::SealTree(tree, usage, {});
}

}  // namespace

absl::Status CopyUp(const EngineParts& parts, const ContainerKey& key,
                    const std::string& snapshotter, const std::string& target,
                    const std::string& volume) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd old, OpenFile(volume, O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const auto names, ListDirectory(old));
  if (!names.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const auto mounts,
                         parts.snapshots.GetMounts(metadata::Caller{key.ns}, snapshotter, key.id));
  BERTH_ASSIGN_OR_RETURN(const RootView view,
                         RootView::OfMounts(mounts, RootView::Access::kReadOnly));
  const auto source = OpenInRoot(view.root(), target, O_RDONLY | O_DIRECTORY);
  if (!source.ok()) {
    const bool nothing =
        absl::IsNotFound(source.status()) || absl::IsFailedPrecondition(source.status());
    return nothing ? absl::OkStatus() : source.status();
  }
  // Beside it, and then in its place: renaming over an empty directory is atomic.
  const std::string parent = std::filesystem::path(volume).parent_path();
  BERTH_ASSIGN_OR_RETURN(const UniqueFd parent_fd, OpenFile(parent, O_RDONLY | O_DIRECTORY));
  const std::string fresh = absl::StrCat("_copy-", key.id);
  BERTH_RETURN_IF_ERROR(RemoveTreeAt(parent_fd, fresh));
  absl::Status copied = CopyTree(*source, parent_fd, fresh);
  // A volume that holds anything is never filled again: after a power cut all of it must be there.
  if (copied.ok()) copied = MakeDurable(parent_fd, fresh);
  if (copied.ok() && ::renameat(parent_fd.get(), fresh.c_str(), AT_FDCWD, volume.c_str()) != 0 &&
      errno != ENOTEMPTY && errno != EEXIST) {
    copied = ErrnoStatus(errno, absl::StrCat("rename the copy to ", volume));
  }
  RemoveTreeAt(parent_fd, fresh).IgnoreError();  // somebody was faster, or it failed
  BERTH_RETURN_IF_ERROR(copied) << "copy " << target << " of the image into the volume";
  return SyncDirectory(parent);
}

}  // namespace berth::engine

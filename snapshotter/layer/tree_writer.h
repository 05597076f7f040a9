// Writes the members of a layer into a directory: the part of an unpacking that a hostile archive
// talks to.
//
// Invariant: nothing outside the root is created, changed or removed, whatever the members say, and
// in whatever order. Every step is relative to an open directory that openat2 found inside the root
// (see ParentDirectories); a member is never opened through an existing name: what stands there is
// unlinked, and the new file is made with O_EXCL. Memory grows with the number of directories
// (their times are set at the end) and, with WhiteoutStyle::kDelete, by eight bytes a member.
// Thread-compatible. Owned by one apply job.
#ifndef BERTH_SNAPSHOTTER_LAYER_TREE_WRITER_H_
#define BERTH_SNAPSHOTTER_LAYER_TREE_WRITER_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/entry_sink.h"
#include "snapshotter/layer/layer_path.h"
#include "snapshotter/layer/parent_directories.h"

namespace berth::layer {

enum class WhiteoutStyle {
  // The root is an overlay's upper directory: 0/0 devices and trusted.overlay.opaque.
  kOverlay,
  // The same with user.overlay.opaque (mount option userxattr).
  kOverlayUserXattr,
  // The root holds the layers below as well: what a whiteout names is deleted.
  kDelete,
};

class TreeWriter final : public EntrySink {
 public:
  // `lowers` as in ParentDirectories.
  TreeWriter(UniqueFd root, WhiteoutStyle style, std::vector<UniqueFd> lowers,
             Below below = Below::kShown);

  absl::Status Add(const Entry& entry, DataWriter write_data) override;
  // Sets the times of directories. Blocks.
  absl::Status Finish() override;
  bool needs_parent() const override { return needs_parent_; }

  BorrowedFd root() const { return root_; }

 private:
  enum class Found { kNothing, kDirectory, kWhiteout, kOther };

  absl::Status AddChecked(const Entry& entry, const LayerPath& path, DataWriter write_data);
  absl::Status AddFile(const Entry& entry, BorrowedFd parent, const std::string& name,
                       DataWriter write_data);
  absl::Status AddDirectory(const Entry& entry, const LayerPath& path, BorrowedFd parent,
                            const std::string& name);
  absl::Status AddHardlink(const Entry& entry, const LayerPath& path);
  absl::Status AddSpecial(const Entry& entry, BorrowedFd parent, const std::string& name);
  // Runs `create`; when the name is taken, removes what has it and tries once more.
  absl::Status Replace(BorrowedFd parent, const std::string& name,
                       absl::FunctionRef<absl::Status()> create);

  absl::Status Whiteout(const LayerPath& path, BorrowedFd parent);
  absl::Status HideInOverlay(BorrowedFd parent, const std::string& name);
  absl::Status DeleteOlder(BorrowedFd parent, absl::string_view parent_path,
                           const std::string& name);
  // Deletes whatever below the directory did not come with this layer.
  absl::Status DeleteOlderBelow(BorrowedFd directory, absl::string_view path, int depth);
  absl::Status MarkOpaque(BorrowedFd directory);
  absl::Status NeedParent();
  // Brings a file of the layers below up into this one, as overlayfs does before it links it.
  absl::Status CopyUp(const LayerPath& path);
  absl::StatusOr<Found> Look(BorrowedFd parent, const std::string& name) const;
  void NoteCreated(absl::string_view path);
  bool IsCreated(absl::string_view path) const;

  const UniqueFd root_;
  const WhiteoutStyle style_;
  const Below below_;
  ParentDirectories parents_;
  std::vector<std::pair<std::string, struct timespec>> directory_times_;
  bool needs_parent_ = false;
  absl::flat_hash_set<uint64_t> created_;  // hashes of paths, kDelete only
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_TREE_WRITER_H_

// Opens the directories that archive members go into, and makes the missing ones.
//
// Invariant: every directory it returns lies below the root: paths are resolved by openat2 with
// RESOLVE_IN_ROOT, so a link in a path (of this archive, or of a layer below) leads where it would
// lead inside the container and never out of it. A missing directory that exists in a layer below
// gets that one's owner, mode, attributes and times, since overlayfs shows the upper one's.
// Thread-compatible. Owned by TreeWriter.
#ifndef BERTH_SNAPSHOTTER_LAYER_PARENT_DIRECTORIES_H_
#define BERTH_SNAPSHOTTER_LAYER_PARENT_DIRECTORIES_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::layer {

class ParentDirectories {
 public:
  // Where the attributes of a directory made on the way are from.
  enum class Origin { kNowhere, kLayerBelow };
  // Called with each directory made on the way: its path, and an open descriptor of it.
  using OnMade = absl::AnyInvocable<absl::Status(const std::string& path, BorrowedFd directory,
                                                 Origin origin)>;

  // `root` is borrowed. `lowers`: roots of the layers below, the nearest first.
  ParentDirectories(BorrowedFd root, std::vector<UniqueFd> lowers, OnMade on_made);

  // The open directory `path` (LayerPath text; empty: the root), valid until the next call. Errors:
  // INVALID_ARGUMENT when a part of it is a file.
  absl::StatusOr<BorrowedFd> OpenOrMake(absl::string_view path);
  // The open directory `path`; NOT_FOUND where it is missing.
  absl::StatusOr<UniqueFd> Open(absl::string_view path) const;
  // Something was removed or replaced: what was opened may no longer be what its path means. The
  // descriptor itself stays valid until the next OpenOrMake.
  void Forget() { is_cached_ = false; }
  const std::vector<UniqueFd>& lowers() const { return lowers_; }

 private:
  absl::StatusOr<UniqueFd> Make(absl::string_view path);
  absl::StatusOr<UniqueFd> MakeOne(BorrowedFd parent, const std::string& path,
                                   absl::string_view name);
  absl::StatusOr<Origin> CopyFromBelow(const std::string& path, BorrowedFd directory) const;

  BorrowedFd root_;
  const std::vector<UniqueFd> lowers_;
  OnMade on_made_;
  std::string cached_path_;
  UniqueFd cached_;
  bool is_cached_ = false;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_PARENT_DIRECTORIES_H_

// Writes the members of a foreign tar archive below a directory of a container.
//
// Invariant: nothing outside the container's root is created, changed or removed, whatever the
// members and the links in the container say: each parent is found anew by openat2 within the root,
// what stands under a name is removed and never written through, names with ".." are refused.
// Thread-compatible; owned by one upload.
#ifndef BERTH_SERVER_ENGINE_TREE_EXTRACT_H_
#define BERTH_SERVER_ENGINE_TREE_EXTRACT_H_

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "server/engine/tar_reader.h"
#include "snapshotter/layer/layer_path.h"

namespace berth::engine {

class TreeExtract final : public TarReader::Handler {
 public:
  enum class Owners { kRoot, kArchived };         // kArchived: devices are taken as well
  enum class Replacing { kAnything, kSameKind };  // a directory by another thing, and vice versa

  // `directory`: an existing one, an absolute path as the container has it. `root` is borrowed.
  TreeExtract(BorrowedFd root, absl::string_view directory, Owners owners, Replacing replacing);

  absl::Status OnEntry(const layer::Entry& entry) override;
  absl::Status OnData(absl::string_view data) override;
  absl::Status OnEntryEnd() override;
  // Sets the times of directories.
  absl::Status Finish();

 private:
  // The directory that a member lies in; made where it is missing.
  absl::StatusOr<UniqueFd> OpenParent(const layer::LayerPath& path);
  // Makes room for the member. True when it is a directory that is there already.
  absl::StatusOr<bool> Clear(BorrowedFd parent, const std::string& name);
  absl::Status Create(BorrowedFd parent, const std::string& name);
  absl::Status Link(BorrowedFd parent, const std::string& name);
  absl::Status SetAttributes(BorrowedFd created);
  std::string PathOf(absl::string_view below) const;

  const BorrowedFd root_;
  const std::string directory_;  // "" for the root
  const Owners owners_;
  const Replacing replacing_;
  layer::Entry entry_;
  UniqueFd file_;
  UniqueFd node_;  // what was made, but for files and links to files
  std::vector<std::pair<std::string, struct timespec>> directory_times_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_TREE_EXTRACT_H_

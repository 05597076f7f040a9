#include "snapshotter/store/tree_walk.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {
namespace {

struct Level {
  UniqueFd directory;
  std::vector<std::string> names;  // still to visit, taken from the back
};

absl::StatusOr<Level> EnterDirectory(BorrowedFd parent, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd directory,
                         OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory), _ << name);
  return Level{std::move(directory), std::move(names)};
}

bool HasVanished(const absl::Status& status) {
  return ErrnoOf(status) == ENOENT || ErrnoOf(status) == ENOTDIR;
}

}  // namespace

absl::Status WalkTree(BorrowedFd root, TreeVisitor visit) {
  BERTH_ASSIGN_OR_RETURN(Level top, EnterDirectory(root, "."));
  std::vector<Level> stack;
  stack.push_back(std::move(top));
  while (!stack.empty()) {
    if (stack.back().names.empty()) {
      stack.pop_back();
      continue;
    }
    const std::string name = std::move(stack.back().names.back());
    stack.back().names.pop_back();
    const BorrowedFd directory = stack.back().directory;
    struct stat info;
    if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, "stat", name);
    }
    BERTH_RETURN_IF_ERROR(visit(directory, name, info));
    if (!S_ISDIR(info.st_mode)) continue;
    absl::StatusOr<Level> below = EnterDirectory(directory, name);
    if (!below.ok()) {
      if (HasVanished(below.status())) continue;
      return below.status();
    }
    stack.push_back(*std::move(below));
  }
  return absl::OkStatus();
}

}  // namespace berth::snapshots

#include "snapshotter/native/native_snapshotter.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/native/tree_copy.h"
#include "snapshotter/store/directory_snapshotter.h"
#include "snapshotter/store/layer_format.h"

namespace berth::snapshots {
namespace {

class NativeFormat final : public LayerFormat {
 public:
  // A view shows its parent's tree, which is immutable.
  bool ViewNeedsDirectory() const override { return false; }
  bool CanRebase() const override { return false; }

  absl::Status Fill(BorrowedFd directory, Kind kind, BorrowedFd parent,
                    const Labels& labels) const override {
    if (parent.valid()) return CopyTree(parent, directory);
    if (::fchmod(directory.get(), 0755) != 0) return ErrnoStatus(errno, "chmod");
    return absl::OkStatus();
  }

  absl::StatusOr<UniqueFd> OpenContent(BorrowedFd directory) const override {
    return OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  }

  std::vector<Mount> MountsOf(const LayerStack& stack) const override {
    const char* access = stack.kind == Kind::kView ? "ro" : "rw";
    const std::string& source = stack.path.empty() ? stack.ancestors.front() : stack.path;
    return {Mount{"bind", source, "", {"rbind", access}}};
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshotter>> OpenNativeSnapshotter(const NativeOptions& options,
                                                                   sqlite::Database& database) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(options.root, 0700));
  return DirectorySnapshotter::Open(Snapshotter::Description{"native", options.root, {}}, database,
                                    std::make_unique<NativeFormat>());
}

}  // namespace berth::snapshots

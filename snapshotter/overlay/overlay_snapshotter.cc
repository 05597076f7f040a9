#include "snapshotter/overlay/overlay_snapshotter.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/overlay/overlay_features.h"
#include "snapshotter/store/directory_snapshotter.h"
#include "snapshotter/store/layer_format.h"

namespace berth::snapshots {
namespace {

constexpr char kContent[] = "fs";
constexpr char kWork[] = "work";

std::string ContentPath(const std::string& layer) { return absl::StrCat(layer, "/", kContent); }

Mount BindMount(std::string source, const char* access) {
  return Mount{"bind", std::move(source), "", {access, "rbind"}};
}

class OverlayFormat final : public LayerFormat {
 public:
  explicit OverlayFormat(std::vector<std::string> options) : options_(std::move(options)) {}

  bool ViewNeedsDirectory() const override { return false; }
  bool CanRebase() const override { return true; }

  absl::Status Fill(BorrowedFd directory, Kind kind, BorrowedFd parent) const override {
    BERTH_RETURN_IF_ERROR(Make(directory, kContent, 0755));
    if (kind == Kind::kActive) {
      BERTH_RETURN_IF_ERROR(Make(directory, kWork, 0711));
    }
    return parent.valid() ? InheritRoot(directory, parent) : absl::OkStatus();
  }

  absl::StatusOr<UniqueFd> OpenContent(BorrowedFd directory) const override {
    return OpenAt(directory, kContent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  std::vector<Mount> MountsOf(const LayerStack& stack) const override {
    const bool is_view = stack.kind == Kind::kView;
    // overlayfs wants two layers at least; one alone is shown by a bind mount.
    if (stack.ancestors.empty()) {
      return {BindMount(ContentPath(stack.path), is_view ? "ro" : "rw")};
    }
    if (is_view && stack.ancestors.size() == 1) {
      return {BindMount(ContentPath(stack.ancestors.front()), "ro")};
    }
    std::vector<std::string> options = options_;
    if (!is_view) {
      options.push_back(absl::StrCat("workdir=", stack.path, "/", kWork));
      options.push_back(absl::StrCat("upperdir=", ContentPath(stack.path)));
    }
    options.push_back(absl::StrCat(
        "lowerdir=",
        absl::StrJoin(stack.ancestors, ":", [](std::string* out, const std::string& layer) {
          out->append(ContentPath(layer));
        })));
    return {Mount{"overlay", "overlay", "", std::move(options)}};
  }

 private:
  static absl::Status Make(BorrowedFd directory, const char* name, mode_t mode) {
    // By chmod, because mkdir's mode is cut by the umask.
    if (::mkdirat(directory.get(), name, 0700) != 0) return ErrnoStatus(errno, "mkdir", name);
    if (::fchmodat(directory.get(), name, mode, 0) != 0) return ErrnoStatus(errno, "chmod", name);
    return absl::OkStatus();
  }

  // The root of an overlay is that of its top layer, so a new one takes owner and mode over.
  absl::Status InheritRoot(BorrowedFd directory, BorrowedFd parent) const {
    struct stat info;
    if (::fstatat(parent.get(), kContent, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "stat", "parent's fs");
    }
    if (::fchownat(directory.get(), kContent, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "chown", kContent);
    }
    if (::fchmodat(directory.get(), kContent, info.st_mode & 07777, 0) != 0) {
      return ErrnoStatus(errno, "chmod", kContent);
    }
    return absl::OkStatus();
  }

  const std::vector<std::string> options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshotter>> OpenOverlaySnapshotter(const OverlayOptions& options,
                                                                    sqlite::Database& database) {
  if (options.root.find_first_of(",:\\") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("the overlayfs root \"", options.root,
                                                   "\" contains a comma, colon or backslash, which "
                                                   "mount data cannot express; choose another"));
  }
  BERTH_RETURN_IF_ERROR(EnsureDirectory(options.root, 0700));
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> mount_options,
                         RequiredOverlayOptions(options.root));
  BERTH_RETURN_IF_ERROR(ProbeOverlay(options.root, mount_options));
  mount_options.insert(mount_options.end(), options.mount_options.begin(),
                       options.mount_options.end());
  return DirectorySnapshotter::Open(Snapshotter::Description{"overlayfs", options.root, {"rebase"}},
                                    database,
                                    std::make_unique<OverlayFormat>(std::move(mount_options)));
}

}  // namespace berth::snapshots

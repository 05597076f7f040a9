#include "snapshotter/overlay/overlay_format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/overlay/id_maps.h"

namespace berth::snapshots {
namespace {

Mount BindMount(std::string source, const char* access) {
  return Mount{"bind", std::move(source), "", {access, "rbind"}};
}

absl::Status Make(BorrowedFd directory, const char* name, mode_t mode) {
  // By chmod, because mkdir's mode is cut by the umask.
  if (::mkdirat(directory.get(), name, 0700) != 0) return ErrnoStatus(errno, "mkdir", name);
  if (::fchmodat(directory.get(), name, mode, 0) != 0) return ErrnoStatus(errno, "chmod", name);
  return absl::OkStatus();
}

// The root of an overlay is that of its top layer, so a new one takes owner and mode over.
absl::Status InheritRoot(BorrowedFd directory, BorrowedFd parent) {
  struct stat info;
  if (::fstatat(parent.get(), OverlayFormat::kContent, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "stat", "parent's fs");
  }
  if (::fchownat(directory.get(), OverlayFormat::kContent, info.st_uid, info.st_gid,
                 AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "chown", OverlayFormat::kContent);
  }
  if (::fchmodat(directory.get(), OverlayFormat::kContent, info.st_mode & 07777, 0) != 0) {
    return ErrnoStatus(errno, "chmod", OverlayFormat::kContent);
  }
  return absl::OkStatus();
}

absl::Status GiveToNamespace(BorrowedFd directory, const IdMaps& maps) {
  struct stat info;
  if (::fstatat(directory.get(), OverlayFormat::kContent, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "stat", OverlayFormat::kContent);
  }
  BERTH_ASSIGN_OR_RETURN(const uid_t uid, maps.HostUser(info.st_uid));
  BERTH_ASSIGN_OR_RETURN(const gid_t gid, maps.HostGroup(info.st_gid));
  if (::fchownat(directory.get(), OverlayFormat::kContent, uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "chown", OverlayFormat::kContent);
  }
  // chown takes the setuid bits away.
  if (::fchmodat(directory.get(), OverlayFormat::kContent, info.st_mode & 07777, 0) != 0) {
    return ErrnoStatus(errno, "chmod", OverlayFormat::kContent);
  }
  return absl::OkStatus();
}

}  // namespace

std::string OverlayFormat::ContentPath(const std::string& layer) {
  return absl::StrCat(layer, "/", kContent);
}

absl::Status OverlayFormat::Fill(BorrowedFd directory, Kind kind, BorrowedFd parent,
                                 const Labels& labels) const {
  BERTH_RETURN_IF_ERROR(Make(directory, kContent, 0755));
  if (kind == Kind::kActive) {
    BERTH_RETURN_IF_ERROR(Make(directory, kWork, 0711));
  }
  if (parent.valid()) {
    BERTH_RETURN_IF_ERROR(InheritRoot(directory, parent));
  }
  BERTH_ASSIGN_OR_RETURN(const std::optional<IdMaps> maps, IdMaps::FromLabels(labels));
  return maps.has_value() ? GiveToNamespace(directory, *maps) : absl::OkStatus();
}

absl::StatusOr<UniqueFd> OverlayFormat::OpenContent(BorrowedFd directory) const {
  return OpenAt(directory, kContent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

std::vector<Mount> OverlayFormat::MountsOf(const LayerStack& stack) const {
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

}  // namespace berth::snapshots

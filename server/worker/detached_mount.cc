#include "server/worker/detached_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

absl::StatusOr<UniqueFd> OpenFilesystem(const std::string& type) {
  UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(errno, "fsopen", type);
  return context;
}

absl::Status SetString(BorrowedFd context, const char* key, const std::string& value) {
  if (::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, absl::StrCat("fsconfig ", key), value);
}

absl::StatusOr<UniqueFd> CreateMount(BorrowedFd context, const std::string& type) {
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return ErrnoStatus(errno, "fsconfig create", type);
  }
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
  if (!mount.valid()) return ErrnoStatus(errno, "fsmount", type);
  // O_PATH is what fsmount gives; reading the directory wants a real descriptor of it.
  return OpenAt(mount, ".", O_RDONLY | O_DIRECTORY);
}

absl::StatusOr<UniqueFd> MountOverlayDetached(const std::vector<std::string>& layers,
                                              MountPlan::Marks marks) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd context, OpenFilesystem("overlay"));
  for (const std::string& layer : layers) {
    BERTH_RETURN_IF_ERROR(SetString(context, "lowerdir+", layer));
  }
  if (marks == MountPlan::Marks::kUser &&
      ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) != 0) {
    return ErrnoStatus(errno, "fsconfig userxattr");
  }
  return CreateMount(context, "overlay");
}

// The directory that all paths lie below.
std::string CommonDirectory(const std::vector<std::string>& paths) {
  std::string common = paths[0].substr(0, paths[0].rfind('/') + 1);
  for (const std::string& path : paths) {
    while (path.compare(0, common.size(), common) != 0) {
      common.resize(common.rfind('/', common.size() - 2) + 1);
    }
  }
  return common;
}

absl::StatusOr<UniqueFd> MountOverlayPrivately(const std::vector<std::string>& layers,
                                               MountPlan::Marks marks, BorrowedFd mount_point) {
  // CLONE_FS: a working directory that the other threads do not share.
  if (::unshare(CLONE_NEWNS | CLONE_FS) != 0) return ErrnoStatus(errno, "unshare");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return ErrnoStatus(errno, "mount (make slave)", "/");
  }
  const std::string target = absl::StrCat("/proc/self/fd/", mount_point.get());
  // mount(2) takes one page of options: 128 layers fit only with paths relative to their directory.
  const std::string directory = CommonDirectory(layers);
  if (::chdir(directory.c_str()) != 0) return ErrnoStatus(errno, "chdir", directory);
  const std::string lowers =
      absl::StrJoin(layers, ":", [&](std::string* out, const std::string& layer) {
        absl::StrAppend(out, absl::StrReplaceAll(layer.substr(directory.size()),
                                                 {{"\\", "\\\\"}, {":", "\\:"}}));
      });
  const std::string options =
      absl::StrCat("lowerdir=", lowers, marks == MountPlan::Marks::kUser ? ",userxattr" : "");
  if (options.size() >= static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", layers.size(), " layers are too many for one mount"));
  }
  if (::mount("overlay", target.c_str(), "overlay", MS_RDONLY, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount overlay", options);
  }
  // The magic link would still be the directory below the mount; its path is the mount's root.
  char path[PATH_MAX];
  const ssize_t size = ::readlink(target.c_str(), path, sizeof(path));
  if (size < 0) return ErrnoStatus(errno, "readlink", target);
  return OpenFile(absl::string_view(path, static_cast<size_t>(size)), O_RDONLY | O_DIRECTORY);
}

}  // namespace

absl::StatusOr<UniqueFd> MountOverlay(const std::vector<std::string>& layers,
                                      MountPlan::Marks marks, BorrowedFd mount_point) {
  absl::StatusOr<UniqueFd> detached = MountOverlayDetached(layers, marks);
  if (detached.ok()) return detached;
  // EINVAL: "lowerdir+" is unknown here. ENOSYS and EPERM: filtered by somebody's seccomp.
  const int error = ErrnoOf(detached.status());
  if (error != EINVAL && error != ENOSYS && error != EPERM) return detached;
  absl::StatusOr<UniqueFd> mounted = MountOverlayPrivately(layers, marks, mount_point);
  if (!mounted.ok()) return Annotate(mounted.status(), detached.status().message());
  return mounted;
}

absl::StatusOr<UniqueFd> MountOther(const MountSpec& mount) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd context, OpenFilesystem(mount.type));
  if (!mount.source.empty()) {
    BERTH_RETURN_IF_ERROR(SetString(context, "source", mount.source));
  }
  for (const std::string& option : mount.options) {
    if (option == "ro" || option == "rw") continue;  // it is read-only here in any case
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(option, absl::MaxSplits('=', 1));
    if (option.find('=') != std::string::npos) {
      BERTH_RETURN_IF_ERROR(SetString(context, pair.first.c_str(), pair.second));
    } else if (::fsconfig(context.get(), FSCONFIG_SET_FLAG, option.c_str(), nullptr, 0) != 0) {
      return ErrnoStatus(errno, "fsconfig", option);
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0) {
    return ErrnoStatus(errno, "fsconfig", "ro");
  }
  return CreateMount(context, mount.type);
}

}  // namespace berth::worker

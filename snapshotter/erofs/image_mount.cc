#include "snapshotter/erofs/image_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/disk_format.h"
#include "snapshotter/erofs/image_writer.h"

namespace berth::erofs {
namespace {

// fsconfig(2) takes strings of up to 255 bytes.
constexpr size_t kMaxValueBytes = 255;

absl::Status Probe(const std::string& path) {
  {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd image,
                           OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    Attributes root;
    root.mode = S_IFDIR | 0755;
    ImageWriter writer(image, root);
    Attributes file;
    file.mode = S_IFREG | 0644;
    writer.tree().Make(ImageTree::kRoot, "probe", file);
    BERTH_RETURN_IF_ERROR(writer.Finish());
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd mount, MountDetached(path));
  struct stat info;
  if (::fstatat(mount.get(), "probe", &info, 0) != 0) return ErrnoStatus(errno, "stat", "probe");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> MountDetached(const std::string& image) {
  const UniqueFd context(::fsopen("erofs", FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(errno, "fsopen", "erofs");
  UniqueFd file;
  std::string source = image;
  if (source.size() > kMaxValueBytes) {
    BERTH_ASSIGN_OR_RETURN(file, OpenFile(image, O_RDONLY));
    source = absl::StrCat("/proc/self/fd/", file.get());
  }
  if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "fsconfig source", image);
  }
  if (::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0) {
    return ErrnoStatus(errno, "fsconfig", "ro");
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return ErrnoStatus(errno, "mount the EROFS image", image);
  }
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
  if (!mount.valid()) return ErrnoStatus(errno, "fsmount", image);
  return mount;
}

absl::Status MountAt(const std::string& image, const std::string& directory) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd mount, MountDetached(image));
  if (::move_mount(mount.get(), "", AT_FDCWD, directory.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, "move_mount", directory);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsMounted(const std::string& directory) {
  struct statfs info;
  if (::statfs(directory.c_str(), &info) != 0) return ErrnoStatus(errno, "statfs", directory);
  return static_cast<uint32_t>(info.f_type) == kMagic;
}

absl::Status Unmount(const std::string& directory) {
  if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return absl::OkStatus();
  if (errno == EINVAL || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "unmount", directory);
}

absl::Status ProbeFileMounts(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/probe.erofs");
  const absl::Cleanup remove = [&] { ::unlink(path.c_str()); };
  const absl::Status probed = Probe(path);
  if (probed.ok()) return probed;
  return absl::FailedPreconditionError(absl::StrCat(
      "this kernel does not mount EROFS images from files: ", probed.message(),
      "; it needs Linux 6.12 or later with EROFS and its option for file-backed mounts "
      "(CONFIG_EROFS_FS_BACKED_BY_FILE): use the overlayfs snapshotter"));
}

}  // namespace berth::erofs

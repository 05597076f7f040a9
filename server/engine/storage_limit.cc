#include "server/engine/storage_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr uint64_t kBlockBytes = 512;  // of the quota calls, whatever the filesystem's block is
constexpr uint32_t kFirstProject = 0x10000000;
constexpr uint32_t kProjects = 0x10000000;
constexpr int kAttempts = 1000;

// By descriptor (Linux 5.14), so that no block device needs to be found.
int Quota(BorrowedFd fd, int command, uint32_t project, void* argument) {
  return static_cast<int>(
      ::syscall(SYS_quotactl_fd, fd.get(), QCMD(command, PRJQUOTA), project, argument));
}

absl::Status CheckFilesystem(BorrowedFd directory) {
  const absl::Status refused = absl::UnimplementedError(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option: mount the "
      "filesystem of berthd's root directory so, or leave the option out");
  struct statfs status = {};
  if (::fstatfs(directory.get(), &status) != 0) return ErrnoStatus(errno, "statfs of the layer");
  if (status.f_type != XFS_SUPER_MAGIC) return refused;
  fs_quota_stat state = {};
  if (Quota(directory, Q_XGETQSTAT, 0, &state) != 0) return refused;
  return (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0 ? absl::OkStatus() : refused;
}

bool IsFree(BorrowedFd directory, uint32_t project) {
  fs_disk_quota quota = {};
  if (Quota(directory, Q_XGETQUOTA, project, &quota) != 0) return errno == ENOENT;
  return quota.d_blk_hardlimit == 0 && quota.d_bcount == 0 && quota.d_icount == 0;
}

absl::Status SetHardLimit(BorrowedFd directory, uint32_t project, uint64_t blocks) {
  fs_disk_quota quota = {};
  quota.d_version = FS_DQUOT_VERSION;
  quota.d_flags = FS_PROJ_QUOTA;
  quota.d_id = project;
  quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
  quota.d_blk_hardlimit = blocks;
  quota.d_blk_softlimit = blocks;
  if (Quota(directory, Q_XSETQLIM, project, &quota) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("set the quota of project ", project));
}

// What is made below the directory belongs to the project as well.
absl::Status Join(BorrowedFd directory, uint32_t project) {
  fsxattr attributes = {};
  if (::ioctl(directory.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, "read the project of the layer");
  }
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(directory.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, "set the project of the layer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> ParseStorageLimit(const std::map<std::string, std::string>& options) {
  uint64_t bytes = 0;
  for (const auto& [key, value] : options) {
    if (absl::AsciiStrToLower(key) != "size") {
      return absl::InvalidArgumentError(
          absl::StrCat("--storage-opt: Unknown option ", key, " (known: size)"));
    }
    const std::string low = absl::AsciiStrToLower(value);
    absl::string_view number = low;
    absl::ConsumeSuffix(&number, "b");
    int shift = 0;
    const size_t unit =
        number.empty() ? std::string::npos : absl::string_view("kmgt").find(number.back());
    if (unit != std::string::npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      number.remove_suffix(1);
    }
    double amount = 0;
    if (!absl::SimpleAtod(number, &amount) || !(amount > 0) || amount > 1e15) {
      return absl::InvalidArgumentError(
          absl::StrCat("--storage-opt size: invalid size: '", value, "'"));
    }
    bytes = static_cast<uint64_t>(amount * static_cast<double>(uint64_t{1} << shift));
    if (bytes < kBlockBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("--storage-opt size: invalid size: '", value, "'"));
    }
  }
  return bytes;
}

std::vector<std::string> DirectoriesOfLayer(absl::string_view mount_type,
                                            const std::vector<std::string>& mount_options) {
  std::vector<std::string> directories;
  if (mount_type != "overlay") return directories;
  for (absl::string_view option : mount_options) {
    for (absl::string_view prefix : {"upperdir=", "workdir="}) {
      absl::string_view path = option;
      if (absl::ConsumePrefix(&path, prefix)) directories.emplace_back(path);
    }
  }
  return directories;
}

absl::Status SetStorageLimit(const std::vector<std::string>& directories, uint64_t bytes,
                             absl::string_view seed) {
  if (directories.empty()) {
    return absl::UnimplementedError(
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option; the "
        "snapshotter of this container is another");
  }
  std::vector<UniqueFd> opened;
  for (const std::string& directory : directories) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(directory, O_RDONLY | O_DIRECTORY));
    BERTH_RETURN_IF_ERROR(CheckFilesystem(fd));
    opened.push_back(std::move(fd));
  }
  const uint32_t first = static_cast<uint32_t>(absl::HashOf(seed) % kProjects);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const uint32_t project = kFirstProject + (first + static_cast<uint32_t>(attempt)) % kProjects;
    if (!IsFree(opened[0], project)) continue;
    // The limit first: with it the number is taken.
    BERTH_RETURN_IF_ERROR(SetHardLimit(opened[0], project, bytes / kBlockBytes));
    for (const UniqueFd& fd : opened) BERTH_RETURN_IF_ERROR(Join(fd, project));
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("--storage-opt: no project number is free");
}

void ClearStorageLimit(const std::vector<std::string>& directories) {
  if (directories.empty()) return;
  const absl::StatusOr<UniqueFd> fd = OpenFile(directories[0], O_RDONLY | O_DIRECTORY);
  if (!fd.ok() || !CheckFilesystem(*fd).ok()) return;
  fsxattr attributes = {};
  if (::ioctl(fd->get(), FS_IOC_FSGETXATTR, &attributes) != 0) return;
  const uint32_t project = attributes.fsx_projid;
  if (project < kFirstProject || project >= kFirstProject + kProjects) return;
  // A limit that stays is in nobody's way but that of the number.
  SetHardLimit(*fd, project, 0).IgnoreError();
}

}  // namespace berth::engine

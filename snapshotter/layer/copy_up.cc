#include "snapshotter/layer/copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

constexpr size_t kCopyBytes = 256 * 1024;

enum class Look { kGoOn, kEnd };

bool IsOpaque(BorrowedFd directory) {
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    const absl::StatusOr<std::string> value = ReadXattr(directory, name);
    if (value.ok() && *value == "y") return true;
  }
  return false;
}

// Looks into one layer; `file` is set where it has the file. kEnd: what lies further below is
// hidden by it.
absl::StatusOr<Look> LookInto(BorrowedFd layer, const std::vector<std::string>& parts,
                              UniqueFd& file) {
  UniqueFd directory;
  Look otherwise = Look::kGoOn;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    absl::StatusOr<UniqueFd> next = OpenAt(i == 0 ? layer : BorrowedFd(directory), parts[i],
                                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!next.ok()) {
      if (ErrnoOf(next.status()) == ENOENT) return otherwise;
      // A whiteout, a file or a link: no directory of the layers below shows through it.
      if (ErrnoOf(next.status()) == ENOTDIR || ErrnoOf(next.status()) == ELOOP) return Look::kEnd;
      return next.status();
    }
    directory = *std::move(next);
    if (IsOpaque(directory)) otherwise = Look::kEnd;
  }
  const BorrowedFd parent = parts.size() == 1 ? layer : BorrowedFd(directory);
  struct stat info;
  if (::fstatat(parent.get(), parts.back().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return otherwise;
    return ErrnoStatus(errno, "fstatat", parts.back());
  }
  if (!S_ISREG(info.st_mode)) return Look::kEnd;
  BERTH_ASSIGN_OR_RETURN(file, OpenAt(parent, parts.back(), O_RDONLY | O_NOFOLLOW));
  return Look::kEnd;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenFileBelow(absl::Span<const UniqueFd> lowers, absl::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  for (const UniqueFd& layer : lowers) {
    UniqueFd file;
    BERTH_ASSIGN_OR_RETURN(const Look look, LookInto(layer, parts, file));
    if (file.valid()) return file;
    if (look == Look::kEnd) break;
  }
  return ErrnoStatus(ENOENT, "find in the layers below", path);
}

absl::StatusOr<UniqueFd> OpenDirectoryBelow(absl::Span<const UniqueFd> lowers,
                                            absl::string_view path) {
  for (const UniqueFd& lower : lowers) {
    absl::StatusOr<UniqueFd> found = OpenInRoot(lower, path, O_RDONLY | O_DIRECTORY);
    if (found.ok()) return found;
    // A file or whiteout stands there: what lies further below does not show through it.
    if (ErrnoOf(found.status()) == ENOTDIR) break;
  }
  return ErrnoStatus(ENOENT, "find in the layers below", path);
}

absl::Status CopyBytes(BorrowedFd from, BorrowedFd to, int64_t begin) {
  std::vector<char> buffer(kCopyBytes);
  for (;;) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read");
    if (got == 0) return absl::OkStatus();
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = ::pwrite(to.get(), buffer.data() + done, got - done, begin);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "write");
      done += written;
      begin += written;
    }
  }
}

}  // namespace berth::layer

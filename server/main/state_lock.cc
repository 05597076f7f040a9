#include "server/main/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {

absl::StatusOr<DirectoryLock> DirectoryLock::Acquire(absl::string_view directory) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(directory, 0711));
  const std::string path = absl::StrCat(directory, "/berthd.lock");
  BERTH_ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", path);
    const auto holder = ReadFile(path, 64);
    return absl::FailedPreconditionError(absl::StrCat(
        "\"", directory, "\" is in use by another berthd (pid ",
        holder.ok() && !holder->empty() ? absl::StripAsciiWhitespace(*holder) : "unknown",
        "): stop that one, or give this one a --root and --state of its own"));
  }
  if (::ftruncate(file.get(), 0) != 0) return ErrnoStatus(errno, "ftruncate", path);
  BERTH_RETURN_IF_ERROR(WriteAll(file, absl::StrCat(::getpid(), "\n"))) << "write " << path;
  return DirectoryLock(std::move(file));
}

}  // namespace berth

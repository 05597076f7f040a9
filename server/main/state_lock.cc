#include "server/main/state_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

// A program that a daemon was about to start when it was killed holds the daemon's descriptors
// until it is executed, and is nobody's to end.
constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr int kRetryMs = 5;

// Whether the daemon that wrote `content` has ended. An empty one is of a daemon that had just
// taken the lock, or died there.
bool HasEnded(absl::string_view content) {
  pid_t pid = 0;
  if (!absl::SimpleAtoi(content, &pid)) return true;
  const auto pidfd = OpenPidFd(pid);
  if (!pidfd.ok()) return true;
  pollfd ended = {.fd = pidfd->get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) == 1;
}

}  // namespace

absl::StatusOr<DirectoryLock> DirectoryLock::Acquire(absl::string_view directory) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(directory, 0711));
  const std::string path = absl::StrCat(directory, "/berthd.lock");
  BERTH_ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT, 0600));
  const absl::Time deadline = absl::Now() + kPatience;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", path);
    const auto holder = ReadFile(path, 64);
    if (holder.ok() && HasEnded(*holder) && absl::Now() < deadline) {
      (void)::poll(nullptr, 0, kRetryMs);
      continue;
    }
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

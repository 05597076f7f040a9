#include "shim/handover/unpacker.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::handover {
namespace {

absl::Status Wrong(absl::string_view what, int fd, absl::string_view problem) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": descriptor ", fd, " ", problem));
}

mode_t TypeOf(Kind kind) {
  switch (kind) {
    case Kind::kAny:
      return 0;
    case Kind::kSocket:
      return S_IFSOCK;
    case Kind::kPipe:
      return S_IFIFO;
    case Kind::kDirectory:
      return S_IFDIR;
    case Kind::kFile:
      return S_IFREG;
  }
  return 0;
}

absl::StatusOr<UniqueFd> StandIn() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "eventfd");
  return fd;
}

// The process that a pidfd names; -1: it has been reaped; 0: that is no pidfd.
pid_t PidOf(int fd) {
  const auto text = ReadFile(absl::StrCat("/proc/self/fdinfo/", fd), 4096);
  if (!text.ok()) return 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int pid = 0;
    if (absl::ConsumePrefix(&line, "Pid:") && absl::SimpleAtoi(line, &pid)) return pid;
  }
  return 0;
}

}  // namespace

absl::StatusOr<UniqueFd> Unpacker::Take(int32_t fd, Kind kind, absl::string_view what) {
  if (descriptors_.erase(fd) == 0) return Wrong(what, fd, "did not travel, or is somebody else's");
  UniqueFd taken(fd);
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    (void)taken.Release();  // not open: not ours to close either
    return Wrong(what, fd, "is not open");
  }
  if (kind != Kind::kAny && (info.st_mode & S_IFMT) != TypeOf(kind)) {
    return Wrong(what, fd, "is not of the kind that it should be");
  }
  if (kind == Kind::kSocket && mode_ == Mode::kCheck) return StandIn();
  return taken;
}

absl::StatusOr<UniqueFd> Unpacker::TakeIfAny(int32_t fd, Kind kind, absl::string_view what) {
  if (fd == 0) return UniqueFd();
  return Take(fd, kind, what);
}

absl::StatusOr<UniqueFd> Unpacker::TakePidFd(int32_t fd, pid_t pid, absl::string_view what) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd taken, Take(fd, Kind::kAny, what));
  const pid_t named = PidOf(fd);
  if (pid > 0 && named != pid && named != -1) {
    return Wrong(what, fd, absl::StrCat("is not the process ", pid));
  }
  if (mode_ == Mode::kCheck) return StandIn();
  return taken;
}

absl::Status Unpacker::CheckAllTaken() const {
  if (descriptors_.empty()) return absl::OkStatus();
  return Wrong("the state", *descriptors_.begin(), "travelled and is nobody's");
}

}  // namespace berth::handover

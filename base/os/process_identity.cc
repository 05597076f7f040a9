#include "base/os/process_identity.h"

#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {

absl::StatusOr<ProcessIdentity> ReadProcessIdentity(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  const auto stat = ReadFile(path, 4096);
  if (!stat.ok()) {
    // ESRCH: it ended between open and read.
    const int error = ErrnoOf(stat.status());
    if (error == ENOENT || error == ESRCH) {
      return absl::NotFoundError(absl::StrCat("no process ", pid));
    }
    return stat.status();
  }
  // The second field is the command in parentheses and may hold any character, so count from the
  // last one. Field 3 is the first after it.
  const size_t command_end = stat->rfind(')');
  if (command_end == std::string::npos) return absl::InternalError("malformed " + path);
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(*stat).substr(command_end + 1), ' ', absl::SkipEmpty());
  ProcessIdentity identity{.pid = pid, .start_time_ticks = 0};
  constexpr size_t kStartTime = 22 - 3;
  if (fields.size() <= kStartTime ||
      !absl::SimpleAtoi(fields[kStartTime], &identity.start_time_ticks)) {
    return absl::InternalError("malformed " + path);
  }
  return identity;
}

absl::StatusOr<UniqueFd> OpenPidFd(const ProcessIdentity& identity) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd pidfd, OpenPidFd(identity.pid));
  // Read after the open: a pid cannot be given to another while the pidfd's process is unreaped,
  // and if it was reused before, the start time tells.
  BERTH_ASSIGN_OR_RETURN(const ProcessIdentity now, ReadProcessIdentity(identity.pid));
  if (now.start_time_ticks != identity.start_time_ticks) {
    return absl::NotFoundError(
        absl::StrCat("process ", identity.pid, " has ended and its pid is another's now"));
  }
  return pidfd;
}

absl::StatusOr<std::string> ReadBootId() {
  // It cannot change while this process lives.
  static const absl::StatusOr<std::string> text = ReadFile("/proc/sys/kernel/random/boot_id", 128);
  if (!text.ok()) return text.status();
  return std::string(absl::StripTrailingAsciiWhitespace(*text));
}

}  // namespace berth

#include "client/attach/stdio_fifos.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

enum class End { kRead, kWrite };

absl::StatusOr<UniqueFd> OpenEnd(const std::string& path, End end) {
  // A pipe without a reader refuses O_WRONLY | O_NONBLOCK; opening it both ways does not wait and
  // keeps the pipe alive until the shim has come.
  return OpenFile(path, (end == End::kRead ? O_RDONLY : O_RDWR) | O_NONBLOCK);
}

absl::StatusOr<UniqueFd> MakeAndOpen(const std::string& path, End end) {
  if (::mkfifo(path.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkfifo", path);
  return OpenEnd(path, end);
}

absl::Status RequireFifo(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISFIFO(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the process's stdio is \"", path, "\", which is no named pipe"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StdioFifos> StdioFifos::Create(absl::string_view parent, WithStdin with_stdin,
                                              WithTerminal with_terminal) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(parent, 0711));
  std::string directory = absl::StrCat(parent, "/XXXXXX");
  if (::mkdtemp(directory.data()) == nullptr) return ErrnoStatus(errno, "mkdtemp", directory);
  StdioFifos fifos;
  fifos.directory_ = directory;
  if (with_stdin == WithStdin::kYes) {
    fifos.paths_.in = absl::StrCat(directory, "/stdin");
    BERTH_ASSIGN_OR_RETURN(fifos.ends_.in, MakeAndOpen(fifos.paths_.in, End::kWrite));
  }
  fifos.paths_.out = absl::StrCat(directory, "/stdout");
  BERTH_ASSIGN_OR_RETURN(fifos.ends_.out, MakeAndOpen(fifos.paths_.out, End::kRead));
  if (with_terminal == WithTerminal::kNo) {
    fifos.paths_.err = absl::StrCat(directory, "/stderr");
    BERTH_ASSIGN_OR_RETURN(fifos.ends_.err, MakeAndOpen(fifos.paths_.err, End::kRead));
  }
  return fifos;
}

absl::StatusOr<StdioFifos> StdioFifos::Open(const StdioPaths& paths, WithTerminal with_terminal) {
  StdioFifos fifos;
  fifos.paths_ = paths;
  if (!paths.in.empty()) {
    BERTH_RETURN_IF_ERROR(RequireFifo(paths.in));
    BERTH_ASSIGN_OR_RETURN(fifos.ends_.in, OpenEnd(paths.in, End::kWrite));
  }
  BERTH_RETURN_IF_ERROR(RequireFifo(paths.out));
  BERTH_ASSIGN_OR_RETURN(fifos.ends_.out, OpenEnd(paths.out, End::kRead));
  if (!paths.err.empty() && with_terminal == WithTerminal::kNo) {
    BERTH_RETURN_IF_ERROR(RequireFifo(paths.err));
    BERTH_ASSIGN_OR_RETURN(fifos.ends_.err, OpenEnd(paths.err, End::kRead));
  }
  return fifos;
}

StdioFifos::StdioFifos(StdioFifos&& other) noexcept
    : paths_(std::move(other.paths_)), ends_(std::move(other.ends_)) {
  directory_.swap(other.directory_);
}

StdioFifos::~StdioFifos() {
  if (directory_.empty()) return;
  // Best effort: the directory is below /run and empty of anything but pipes.
  for (const char* name : {"/stdin", "/stdout", "/stderr"}) {
    ::unlink(absl::StrCat(directory_, name).c_str());
  }
  ::rmdir(directory_.c_str());
}

}  // namespace berth::client

#include "shim/io/output.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

absl::StatusOr<bool> IsFifo(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  return S_ISFIFO(info.st_mode);
}

}  // namespace

absl::StatusOr<Output> OpenOutput(const Target& target) {
  BERTH_ASSIGN_OR_RETURN(const bool fifo, IsFifo(target.path));
  Output output;
  auto sink = OpenFile(target.path, O_WRONLY | O_NONBLOCK | O_NOCTTY | (fifo ? 0 : O_APPEND));
  if (fifo && ErrnoOf(sink.status()) == ENXIO) {
    return absl::UnavailableError(absl::StrCat("nobody reads the FIFO \"", target.path, "\""));
  }
  BERTH_ASSIGN_OR_RETURN(output.sink, std::move(sink));
  if (fifo) {
    BERTH_ASSIGN_OR_RETURN(output.keep, OpenFile(target.path, O_RDONLY | O_NONBLOCK));
  }
  return output;
}

absl::StatusOr<Input> OpenInput(const Target& target) {
  if (target.kind != TargetKind::kPath && target.kind != TargetKind::kFile) {
    return absl::InvalidArgumentError("stdin must be a FIFO's path");
  }
  Input input;
  BERTH_ASSIGN_OR_RETURN(const bool fifo, IsFifo(target.path));
  // A FIFO's reading end opens at once in this mode, and makes the writing end possible.
  BERTH_ASSIGN_OR_RETURN(input.source, OpenFile(target.path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (fifo) {
    BERTH_ASSIGN_OR_RETURN(input.keep, OpenFile(target.path, O_WRONLY | O_NONBLOCK));
  }
  return input;
}

}  // namespace berth::io

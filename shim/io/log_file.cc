#include "shim/io/log_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

constexpr mode_t kMode = 0640;
constexpr mode_t kRawMode = 0644;  // as containerd makes them for file://
constexpr mode_t kDirectoryMode = 0755;
// No record is longer: every byte of its text may become six.
constexpr off_t kMostUnfinishedBytes = 128 << 10;

}  // namespace

absl::StatusOr<LogFile> LogFile::Open(Options options) {
  LogFile log(std::move(options));
  const std::string& path = log.options_.path;
  if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0) {
    BERTH_RETURN_IF_ERROR(EnsureDirectory(path.substr(0, slash), kDirectoryMode));
  }
  BERTH_RETURN_IF_ERROR(log.OpenCurrent());
  return log;
}

absl::Status LogFile::OpenCurrent() {
  const bool raw = options_.records == Options::Records::kRaw;
  // Read as well, to find an unfinished record. Never waits for a FIFO's reader or a terminal.
  BERTH_ASSIGN_OR_RETURN(
      file_, OpenFile(options_.path,
                      (raw ? O_WRONLY : O_RDWR) | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY,
                      raw ? kRawMode : kMode));
  struct stat info;
  if (::fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "fstat", options_.path);
  size_ = info.st_size;
  if (raw) return absl::OkStatus();
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the log \"", options_.path, "\" is no regular file"));
  }
  return CutUnfinished();
}

absl::Status LogFile::CutUnfinished() {
  const off_t begin = std::max<off_t>(0, static_cast<off_t>(size_) - kMostUnfinishedBytes);
  std::string tail(size_ - begin, '\0');
  const ssize_t got = ::pread(file_.get(), tail.data(), tail.size(), begin);
  if (got < 0) return ErrnoStatus(errno, "read", options_.path);
  tail.resize(got);
  const size_t newline = tail.rfind('\n');
  // A file that was somebody else's and has no line end is left as it is.
  if (newline == std::string::npos ? begin > 0 : newline + 1 == tail.size()) {
    return absl::OkStatus();
  }
  size_ = newline == std::string::npos ? 0 : begin + newline + 1;
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
    return ErrnoStatus(errno, "ftruncate", options_.path);
  }
  return absl::OkStatus();
}

uint64_t LogFile::RoomBytes() const {
  if (options_.max_size_bytes == 0) return std::numeric_limits<uint64_t>::max();
  return options_.max_size_bytes - std::min(options_.max_size_bytes, size_);
}

absl::Status LogFile::Append(absl::string_view bytes) {
  if (bytes.size() > RoomBytes() && size_ > 0) {
    BERTH_RETURN_IF_ERROR(Rotate());
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(file_.get(), bytes.data() + done, bytes.size() - done);
    if (written > 0) {
      done += written;
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    const absl::Status failed = ErrnoStatus(written < 0 ? errno : EIO, "write", options_.path);
    // Half a record would spoil the next one.
    if (done > 0 && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
      return Annotate(failed, "half a record remains, which the next start cuts off");
    }
    return failed;
  }
  size_ += done;
  return absl::OkStatus();
}

absl::Status LogFile::Rotate() {
  const auto name = [this](uint32_t number) {
    return number == 0 ? options_.path : absl::StrCat(options_.path, ".", number);
  };
  // Missing: an earlier rotation got as far as the renames and could not open the new file.
  const bool present = ::access(options_.path.c_str(), F_OK) == 0;
  if (present && options_.max_files == 1) {
    // A new file, not an emptied one: readers tell them apart by the inode.
    if (::unlink(options_.path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "unlink", options_.path);
    }
  }
  for (uint32_t number = options_.max_files - 1; present && number > 0; --number) {
    if (::rename(name(number - 1).c_str(), name(number).c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "rename", name(number - 1));
    }
  }
  BERTH_RETURN_IF_ERROR(OpenCurrent());
  ++rotations_;
  return absl::OkStatus();
}

}  // namespace berth::io

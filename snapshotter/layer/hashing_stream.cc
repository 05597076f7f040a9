#include "snapshotter/layer/hashing_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::layer {

FileSource::FileSource(BorrowedFd file) : file_(file) {
  // Doubles the kernel's read-ahead window; a failure costs speed only.
  (void)::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

absl::StatusOr<size_t> FileSource::Read(char* buffer, size_t capacity) {
  for (;;) {
    const ssize_t got = ::pread(file_.get(), buffer, capacity, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    offset_ += static_cast<uint64_t>(got);
    return static_cast<size_t>(got);
  }
}

absl::StatusOr<size_t> HashingSource::Read(char* buffer, size_t capacity) {
  BERTH_ASSIGN_OR_RETURN(const size_t got, below_.Read(buffer, capacity));
  hasher_.Update(absl::string_view(buffer, got));
  read_ += got;
  return got;
}

absl::Status HashingFileSink::Write(absl::string_view bytes) {
  BERTH_RETURN_IF_ERROR(WriteAll(file_, bytes));
  hasher_.Update(bytes);
  written_ += bytes.size();
  return absl::OkStatus();
}

absl::Status HashingSink::Write(absl::string_view bytes) {
  hasher_.Update(bytes);
  written_ += bytes.size();
  return below_.Write(bytes);
}

}  // namespace berth::layer

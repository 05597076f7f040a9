#include "snapshotter/layer/hashing_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::layer {
namespace {

constexpr size_t kDrainBytes = 256 * 1024;

}  // namespace

HashingFileSource::HashingFileSource(BorrowedFd file, DigestAlgorithm algorithm)
    : file_(file), hasher_(algorithm) {
  // Doubles the kernel's read-ahead window; a failure costs speed only.
  (void)::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

absl::StatusOr<size_t> HashingFileSource::Read(char* buffer, size_t capacity) {
  for (;;) {
    const ssize_t got = ::pread(file_.get(), buffer, capacity, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    hasher_.Update(absl::string_view(buffer, static_cast<size_t>(got)));
    offset_ += static_cast<uint64_t>(got);
    return static_cast<size_t>(got);
  }
}

absl::Status HashingFileSource::Drain() {
  std::vector<char> buffer(kDrainBytes);
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const size_t got, Read(buffer.data(), buffer.size()));
    if (got == 0) return absl::OkStatus();
  }
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

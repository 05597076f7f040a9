#include "server/registry/upload_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::registry {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
// Whoever follows a slow transfer is not kept waiting for a full buffer.
constexpr absl::Duration kLongestHold = absl::Milliseconds(200);
// The kernel begins to write behind the upload, so that the sync at its end finds little to do.
constexpr uint64_t kWriteBackBytes = 8u << 20;

}  // namespace

UploadFile::UploadFile(UniqueFd file, const Digest& digest, uint64_t size, UploadObserver observer)
    : file_(std::move(file)),
      digest_(digest),
      size_(size),
      observer_(std::move(observer)),
      hasher_(digest.algorithm()),
      flushed_(absl::Now()) {
  buffer_.reserve(kBufferBytes);
}

absl::Status UploadFile::Resume() {
  struct stat info;
  if (::fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "fstat", "the upload");
  const auto there = static_cast<uint64_t>(info.st_size);
  // Without the size nobody could tell whether the rest belongs to it.
  if (size_ == 0 || there > size_) {
    if (::ftruncate(file_.get(), 0) != 0) return ErrnoStatus(errno, "ftruncate", "the upload");
  } else {
    BERTH_RETURN_IF_ERROR(hasher_.UpdateFromFile(file_, 0, there)) << "hash the upload";
    offset_ = there;
  }
  written_back_ = offset_;
  observer_.on_progress(offset_, size_);
  return absl::OkStatus();
}

absl::Status UploadFile::Append(absl::string_view bytes) {
  if (size_ > 0 && offset() + bytes.size() > size_) {
    return absl::DataLossError(
        absl::StrCat("more bytes came than the ", size_, " that ", digest_.text(), " has"));
  }
  buffer_.append(bytes.data(), bytes.size());
  if (buffer_.size() < kBufferBytes && absl::Now() - flushed_ < kLongestHold) {
    return absl::OkStatus();
  }
  return Flush();
}

absl::Status UploadFile::Flush() {
  flushed_ = absl::Now();
  absl::string_view rest = buffer_;
  uint64_t at = offset_;
  while (!rest.empty()) {
    const ssize_t written = ::pwrite(file_.get(), rest.data(), rest.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      buffer_.clear();
      if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0) {
        return ErrnoStatus(errno, "ftruncate", "the upload");
      }
      const absl::Status status = ErrnoStatus(error, "write", "the upload");
      if (error != ENOSPC && error != EDQUOT) return status;
      return Annotate(status,
                      "the filesystem of the content store is full; free space (remove "
                      "unused images), then pull again: it goes on where it stopped");
    }
    rest.remove_prefix(static_cast<size_t>(written));
    at += static_cast<uint64_t>(written);
  }
  hasher_.Update(buffer_);
  offset_ = at;
  buffer_.clear();
  observer_.on_progress(offset_, size_);
  if (offset_ - written_back_ >= kWriteBackBytes) {
    // Only a hint: the sync at the commit is what counts.
    (void)::sync_file_range(file_.get(), static_cast<off_t>(written_back_),
                            static_cast<off_t>(offset_ - written_back_), SYNC_FILE_RANGE_WRITE);
    written_back_ = offset_;
  }
  return absl::OkStatus();
}

absl::Status UploadFile::Restart() {
  observer_.on_restart();
  buffer_.clear();
  if (::ftruncate(file_.get(), 0) != 0) return ErrnoStatus(errno, "ftruncate", "the upload");
  hasher_.Reset();
  offset_ = 0;
  written_back_ = 0;
  return absl::OkStatus();
}

absl::Status UploadFile::CheckDigest() {
  BERTH_RETURN_IF_ERROR(Flush());
  const Digest actual = hasher_.Current();
  if (actual == digest_) return absl::OkStatus();
  const uint64_t bytes = offset_;
  BERTH_RETURN_IF_ERROR(Restart());
  return absl::DataLossError(absl::StrCat("the ", bytes, " bytes that came hash to ", actual.text(),
                                          " and not to ", digest_.text(),
                                          "; nothing of them was kept"));
}

}  // namespace berth::registry

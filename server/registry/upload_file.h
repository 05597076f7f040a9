// The upload that a blob is fetched into.
//
// Invariant: the file holds offset() bytes, which are hashed, and progress says no more than that.
// Bytes are appended in order, only, and never beyond the size of the blob. Thread-compatible.
// Owned by one fetch.
#ifndef BERTH_SERVER_REGISTRY_UPLOAD_FILE_H_
#define BERTH_SERVER_REGISTRY_UPLOAD_FILE_H_

#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/os/unique_fd.h"

namespace berth::registry {

// Told after bytes were written: how many there are, of how many.
struct UploadObserver {
  absl::AnyInvocable<void(uint64_t offset, uint64_t total)> on_progress;
  // What was told before is void: the file begins anew.
  absl::AnyInvocable<void()> on_restart;
};

class UploadFile {
 public:
  // `size` 0: not known.
  UploadFile(UniqueFd file, const Digest& digest, uint64_t size, UploadObserver observer);

  // Takes up what the file holds already. Errors: those of the system. Blocks: hashes it.
  absl::Status Resume();
  // Errors: DATA_LOSS beyond the size; RESOURCE_EXHAUSTED for a full disk.
  absl::Status Append(absl::string_view bytes);
  // What was appended is in the file when this returns.
  absl::Status Flush();
  // Throws everything away.
  absl::Status Restart();
  // Errors: DATA_LOSS, after which the file is empty.
  absl::Status CheckDigest();

  uint64_t offset() const { return offset_ + buffer_.size(); }
  uint64_t size() const { return size_; }
  bool IsComplete() const { return size_ > 0 && offset() == size_; }
  const Digest& digest() const { return digest_; }

 private:
  const UniqueFd file_;
  const Digest digest_;
  const uint64_t size_;
  UploadObserver observer_;
  Hasher hasher_;
  std::string buffer_;
  uint64_t offset_ = 0;        // in the file
  uint64_t written_back_ = 0;  // up to here the kernel was asked to write already
  absl::Time flushed_;
};

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_UPLOAD_FILE_H_

// One upload while it is being written.
//
// Invariant: the hash is that of the first offset() bytes of the file, always; a write that fails
// in the middle is cut off again. The ref is locked until the writer is destroyed; what was written
// stays for the next writer unless Commit succeeded. A shared writer has no bytes of its own: it
// stands for a blob of another namespace until something is written. Thread-compatible. Owned by
// the stream that writes; must not outlive the ContentStore.
#ifndef BERTH_SERVER_CONTENT_INGEST_WRITER_H_
#define BERTH_SERVER_CONTENT_INGEST_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/os/unique_fd.h"
#include "server/content/content_store.h"
#include "server/metadata/content_table.h"
#include "server/metadata/labels.h"

namespace berth::content {

class IngestWriter {
 public:
  ~IngestWriter();
  IngestWriter(const IngestWriter&) = delete;
  IngestWriter& operator=(const IngestWriter&) = delete;

  uint64_t offset() const { return offset_; }
  const std::string& ref() const { return row_.ref; }
  absl::Time started_at() const { return row_.started_at; }
  absl::Time updated_at() const { return updated_at_; }
  // Of the bytes so far.
  std::string CurrentDigest() const;
  // The upload's file, for whoever writes it without Write; call Reload afterwards. Not for a
  // shared writer.
  absl::StatusOr<std::string> FileName();

  // Appends. Errors: RESOURCE_EXHAUSTED when the disk is full; what was there before stays. Blocks.
  absl::Status Write(absl::string_view data);
  // Throws away all bytes. Blocks.
  absl::Status Truncate();
  // Takes up what the file holds now. Blocks: hashes it.
  absl::Status Reload();

  // Makes the upload a blob of the caller's namespace. `total` 0 and `expected` empty mean no
  // check. Errors: FAILED_PRECONDITION for another size or digest; ALREADY_EXISTS when the
  // namespace has the blob (the upload is gone then, and the labels are not applied);
  // INVALID_ARGUMENT for labels. Blocks: waits for the disk.
  absl::StatusOr<metadata::ContentInfo> Commit(int64_t total, absl::string_view expected,
                                               metadata::Labels labels);
  // Gives up the upload.
  absl::Status Abort();

 private:
  friend class ContentStore;
  IngestWriter(ContentStore& store, ContentStore::Caller caller, metadata::IngestRow row);
  absl::Status OpenFile(DigestAlgorithm algorithm);
  // Copies the shared blob's first `size` bytes into a file of its own.
  absl::Status Unshare(uint64_t size);
  absl::StatusOr<Digest> CheckedDigest(int64_t total, absl::string_view expected);
  absl::Status Publish(const Digest& digest);
  absl::StatusOr<bool> Record(const metadata::ContentInfo& info);

  ContentStore& store_;
  const ContentStore::Caller caller_;
  metadata::IngestRow row_;
  std::optional<Digest> shared_;  // the blob that this writer stands for
  UniqueFd file_;
  Hasher hasher_;
  uint64_t offset_ = 0;
  uint64_t written_back_ = 0;  // up to here the kernel was asked to write already
  absl::Time updated_at_;
};

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_INGEST_WRITER_H_

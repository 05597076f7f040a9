// The bytes of the content store: a directory of blobs, one of uploads, one of damaged blobs.
//
//   content/blobs/<algorithm>/<hex>    complete, read-only, never changed
//   content/ingest/<random>            uploads under way
//   content/quarantine/<algorithm>-<hex>.<time>   blobs that were not their digest
//
// Invariant: a file in blobs/ was synced to the disk before it got its name there, and the name
// before Publish returns. Knows nothing of namespaces or records. Thread-safe. Owned by
// ContentStore.
#ifndef BERTH_SERVER_CONTENT_BLOB_FILES_H_
#define BERTH_SERVER_CONTENT_BLOB_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest/digest.h"
#include "base/os/unique_fd.h"

namespace berth::content {

struct BlobFile {
  UniqueFd fd;
  uint64_t size = 0;
};

struct IngestFile {
  uint64_t size = 0;
  absl::Time modified;
};

class BlobFiles {
 public:
  // Makes what is missing of the directories. Blocks.
  static absl::StatusOr<std::unique_ptr<BlobFiles>> Open(absl::string_view directory);

  // For reading. Errors: NOT_FOUND.
  absl::StatusOr<BlobFile> OpenBlob(const Digest& digest) const;
  // Gives the complete upload `file` the name of `digest`; the upload keeps its name too, until
  // RemoveIngest. `data` is the open upload. On the disk when it returns. Blocks.
  absl::Status Publish(absl::string_view file, BorrowedFd data, const Digest& digest) const;
  // A missing blob is no error.
  absl::Status RemoveBlob(const Digest& digest) const;
  // Takes a blob out of use but keeps it for inspection. Errors: NOT_FOUND.
  absl::Status Quarantine(const Digest& digest, absl::Time now) const;

  // For reading and writing; made when it is missing.
  absl::StatusOr<UniqueFd> OpenIngest(absl::string_view file) const;
  // Errors: NOT_FOUND.
  absl::StatusOr<IngestFile> StatIngest(absl::string_view file) const;
  // A missing upload is no error.
  absl::Status RemoveIngest(absl::string_view file) const;

  absl::StatusOr<std::vector<Digest>> ListBlobs() const;
  absl::StatusOr<std::vector<std::string>> ListIngests() const;

  const std::string& directory() const { return directory_; }

 private:
  BlobFiles(std::string directory, UniqueFd blobs, UniqueFd ingest, UniqueFd quarantine)
      : directory_(std::move(directory)),
        blobs_(std::move(blobs)),
        ingest_(std::move(ingest)),
        quarantine_(std::move(quarantine)) {}
  static std::string PathOf(const Digest& digest);  // below blobs/

  const std::string directory_;
  const UniqueFd blobs_;
  const UniqueFd ingest_;
  const UniqueFd quarantine_;
};

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_BLOB_FILES_H_

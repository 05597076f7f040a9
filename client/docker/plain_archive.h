// The bytes of an archive, whatever it is compressed with (gzip, bzip2, xz, zstd, lz4 or nothing).
//
// Thread-compatible; owned by the copy that reads it.
#ifndef BERTH_CLIENT_DOCKER_PLAIN_ARCHIVE_H_
#define BERTH_CLIENT_DOCKER_PLAIN_ARCHIVE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

struct archive;

namespace berth::client {

class PlainArchive {
 public:
  // Reads from `fd`, which the caller keeps open. Blocks for the first bytes.
  static absl::StatusOr<PlainArchive> Open(BorrowedFd fd);

  // At most `limit_bytes` of what is packed; empty at the end. Errors: DATA_LOSS. Blocks.
  absl::StatusOr<std::string> Read(size_t limit_bytes);

 private:
  struct Free {
    void operator()(archive* reader) const;
  };
  explicit PlainArchive(archive* reader) : archive_(reader) {}

  std::unique_ptr<archive, Free> archive_;
  bool is_empty_ = false;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_PLAIN_ARCHIVE_H_

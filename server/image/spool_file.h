// A temporary file in the content store: an archive on its way in.
//
// Invariant: the file is an upload of its own, so that the worker can reach it and a crash leaves
// nothing; it is removed with the object. Thread-compatible; owned by the import.
#ifndef BERTH_SERVER_IMAGE_SPOOL_FILE_H_
#define BERTH_SERVER_IMAGE_SPOOL_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "server/content/content_store.h"
#include "server/content/ingest_writer.h"
#include "server/metadata/caller.h"

namespace berth::image {

class SpoolFile {
 public:
  // `purpose` begins its reference. Blocks.
  static absl::StatusOr<std::unique_ptr<SpoolFile>> Create(content::ContentStore& content,
                                                           const metadata::Caller& caller,
                                                           absl::string_view purpose);
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  // Name below the store's ingest directory.
  const std::string& file() const { return file_; }
  BorrowedFd fd() const { return fd_; }
  // At the end. Errors: RESOURCE_EXHAUSTED for a full disk. Blocks.
  absl::Status Append(absl::string_view bytes);
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  SpoolFile(std::unique_ptr<content::IngestWriter> upload, std::string file, UniqueFd fd)
      : upload_(std::move(upload)), file_(std::move(file)), fd_(std::move(fd)) {}
  const std::unique_ptr<content::IngestWriter> upload_;
  const std::string file_;
  const UniqueFd fd_;
  uint64_t size_bytes_ = 0;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_SPOOL_FILE_H_

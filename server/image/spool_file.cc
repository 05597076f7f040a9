#include "server/image/spool_file.h"

#include <errno.h>
#include <unistd.h>

#include <utility>

#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/image/blob_writer.h"

namespace berth::image {

absl::StatusOr<std::unique_ptr<SpoolFile>> SpoolFile::Create(content::ContentStore& content,
                                                             const metadata::Caller& caller,
                                                             absl::string_view purpose) {
  const std::string ref = RandomRef(purpose);
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<content::IngestWriter> upload,
                         content.OpenWriter(caller, {.ref = ref, .total = 0, .expected = ""}));
  BERTH_ASSIGN_OR_RETURN(std::string file, upload->FileName());
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, content.files().OpenIngest(file));
  return std::unique_ptr<SpoolFile>(
      new SpoolFile(std::move(upload), std::move(file), std::move(fd)));
}

SpoolFile::~SpoolFile() { upload_->Abort().IgnoreError(); }

absl::Status SpoolFile::Append(absl::string_view bytes) {
  const absl::Status status = WriteAll(fd_, bytes);
  size_bytes_ += bytes.size();
  if (ErrnoOf(status) == ENOSPC || ErrnoOf(status) == EDQUOT) {
    return Annotate(status,
                    "the filesystem of the store is full; free space (remove unused images), then "
                    "try again");
  }
  return status;
}

}  // namespace berth::image

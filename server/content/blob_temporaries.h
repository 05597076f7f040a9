// The names that blobs have between the two steps of a commit; only a crash leaves one.
//
// Thread-safe functions; ContentStore calls them with the digest's lock, which whoever is between
// those steps holds.
#ifndef BERTH_SERVER_CONTENT_BLOB_TEMPORARIES_H_
#define BERTH_SERVER_CONTENT_BLOB_TEMPORARIES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest/digest.h"

namespace berth::content {

inline constexpr char kTemporarySuffix[] = ".new";

struct BlobTemporary {
  Digest digest;
  std::string path;
};

// Those below `blobs`, the directory of the algorithms' directories.
absl::StatusOr<std::vector<BlobTemporary>> ListBlobTemporaries(absl::string_view blobs);
// A missing one is no error.
absl::Status RemoveBlobTemporary(const BlobTemporary& temporary);

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_BLOB_TEMPORARIES_H_

// Brings the images of an archive (`docker save`'s or an OCI layout in a tar) into the store,
// through the API.
//
// Invariant: a record is made only when everything that its manifest names is in the store; an
// import that fails leaves no record and, once its lease has ended, nothing else. Thread-safe
// function.
#ifndef BERTH_CLIENT_SDK_IMAGE_IMPORT_H_
#define BERTH_CLIENT_SDK_IMAGE_IMPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_client.h"

namespace berth::client {

struct ImportOptions {
  // Repository for images that the archive does not name, or names by a tag only.
  std::string default_repository;
};

// Reads the archive from `fd` once, front to back (it may be a pipe). `connection` must carry a
// lease. Answers the records made. Errors: DATA_LOSS for a damaged archive, INVALID_ARGUMENT for
// one that is no image.
absl::StatusOr<std::vector<ImageRecord>> ImportImages(const Connection& connection, BorrowedFd fd,
                                                      const ImportOptions& options);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_IMPORT_H_

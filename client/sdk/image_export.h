// Writes images into one tar archive that is an OCI layout and a `docker save` archive at once, so
// that every tool can read it. Thread-safe function.
#ifndef BERTH_CLIENT_SDK_IMAGE_EXPORT_H_
#define BERTH_CLIENT_SDK_IMAGE_EXPORT_H_

#include <vector>

#include "absl/status/status.h"
#include "base/os/unique_fd.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_client.h"

namespace berth::client {

// Exports this machine's platform of each image to `fd`. Blocks: reads every blob.
absl::Status ExportImages(const Connection& connection, const std::vector<ImageRecord>& images,
                          BorrowedFd fd);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_EXPORT_H_

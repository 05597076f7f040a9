// From a name to what this machine runs: the manifest and the config of an image.
// Thread-safe functions.
#ifndef BERTH_CLIENT_SDK_IMAGE_READER_H_
#define BERTH_CLIENT_SDK_IMAGE_READER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_client.h"
#include "client/sdk/image_document.h"

namespace berth::client {

struct ResolvedImage {
  ImageRecord record;
  Descriptor manifest_descriptor;
  ImageManifest manifest;
  ImageConfig config;

  // The snapshot that a container's root starts from; empty for an image without layers.
  std::string chain_id() const {
    return config.diff_ids.empty() ? "" : ChainId(config.diff_ids, config.diff_ids.size());
  }
};

// The stored record of `name`, which may be short ("busybox"), full, or no reference at all.
// Errors: NOT_FOUND, saying how to get the image.
absl::StatusOr<ImageRecord> FindImage(const Connection& connection, absl::string_view name);

// Reads the documents below `record` and picks the manifest for this machine. Errors: NOT_FOUND
// when none fits or a blob is missing.
absl::StatusOr<ResolvedImage> ResolveImage(const Connection& connection, const ImageRecord& record);

// Bytes of the manifest, the config and the layers.
int64_t ContentSize(const ResolvedImage& image);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_READER_H_

// The JSON documents an image is made of: index, manifest, config. Parsing only; fetching is in
// image_reader.h.
//
// Invariant: a parsed document has what its users need (a manifest has a config, digests are
// valid), so they need not check again. Immutable values, thread-safe functions.
#ifndef BERTH_CLIENT_SDK_IMAGE_DOCUMENT_H_
#define BERTH_CLIENT_SDK_IMAGE_DOCUMENT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/platform.h"
#include "proto/containerd/types/descriptor.pb.h"

namespace berth::client {

using Descriptor = containerd::types::Descriptor;

// No document of an image is larger; a hostile one is refused before it is parsed.
inline constexpr int64_t kMaxDocumentBytes = 8 << 20;

inline constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kDockerManifestList[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerConfig[] = "application/vnd.docker.container.image.v1+json";
inline constexpr char kDockerLayer[] = "application/vnd.docker.image.rootfs.diff.tar";

bool IsIndexType(absl::string_view media_type);
bool IsManifestType(absl::string_view media_type);

struct IndexEntry {
  Descriptor descriptor;
  Platform platform;  // empty fields when the index does not say
};
struct ImageIndex {
  std::vector<IndexEntry> manifests;
};
struct ImageManifest {
  Descriptor config;
  std::vector<Descriptor> layers;
};
struct HistoryEntry {
  std::string created;  // RFC 3339, as written
  std::string created_by;
  std::string comment;
  bool empty_layer = false;
};
// What a container inherits from its image, and the layers' identities.
struct ImageConfig {
  Platform platform;
  std::string created;
  std::vector<std::string> environment;  // "KEY=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string user;
  std::string working_directory;
  std::string stop_signal;
  std::vector<std::string> volumes;
  std::map<std::string, std::string> labels;
  std::vector<std::string> diff_ids;
  std::vector<HistoryEntry> history;  // oldest first
};

// Errors: INVALID_ARGUMENT, naming the missing or malformed field.
absl::StatusOr<ImageIndex> ParseImageIndex(absl::string_view json);
absl::StatusOr<ImageManifest> ParseImageManifest(absl::string_view json);
absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json);

// The name of the snapshot that holds layers 0..n-1: the first diffID, then the hash of
// "<chainID of the layers below> <diffID>". Requires: `count` is at least 1 and at most the number
// of diffIDs.
std::string ChainId(const std::vector<std::string>& diff_ids, size_t count);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_DOCUMENT_H_

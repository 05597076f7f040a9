// The JSON documents an image is made of: index, manifest, config. Parsing only; finding them is in
// image_catalog.h.
//
// Invariant: a parsed document has what its users need (digests are valid, sizes are not negative),
// so they need not check again. Documents are foreign: each is limited in size and depth. Immutable
// values, thread-safe functions.
#ifndef BERTH_SERVER_IMAGE_IMAGE_DOCUMENT_H_
#define BERTH_SERVER_IMAGE_IMAGE_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/containerd/types/descriptor.pb.h"
#include "server/image/platform.h"

namespace berth::image {

using Descriptor = containerd::types::Descriptor;

// No document of an image is larger; a hostile one is refused before it is read.
inline constexpr int64_t kMaxDocumentBytes = 8 << 20;
// An index may point to indexes; real ones are one or two deep.
inline constexpr int kMaxIndexDepth = 4;

inline constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayer[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kDockerManifestList[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerConfig[] = "application/vnd.docker.container.image.v1+json";
inline constexpr char kDockerLayer[] = "application/vnd.docker.image.rootfs.diff.tar";

bool IsIndexType(absl::string_view media_type);
bool IsManifestType(absl::string_view media_type);
// Whether a manifest's layer is one of a root filesystem, and not of an artifact.
bool IsLayerType(absl::string_view media_type);

struct IndexEntry {
  Descriptor descriptor;
  std::optional<Platform> platform;  // none when the index does not say
  // Attestations and the like, which no machine runs.
  bool is_attachment() const;
};
struct ImageIndex {
  std::string media_type;  // as the document says; may be empty
  std::vector<IndexEntry> manifests;
};
struct ImageManifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::optional<Descriptor> subject;
};

struct HistoryEntry {
  std::string created;  // RFC 3339, as written
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};
struct HealthCheck {
  std::vector<std::string> test;  // {"CMD", ...}, {"CMD-SHELL", "..."} or {"NONE"}
  int64_t interval_ns = 0;
  int64_t timeout_ns = 0;
  int64_t start_period_ns = 0;
  int64_t start_interval_ns = 0;
  int64_t retries = 0;
};
// What a container inherits from its image, and the layers' identities.
struct ImageConfig {
  Platform platform;
  std::string created;  // RFC 3339, as written
  std::string author;
  std::string comment;                   // Docker's
  std::string docker_version;            // Docker's
  std::vector<std::string> environment;  // "KEY=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> shell;     // Docker's
  std::vector<std::string> on_build;  // Docker's
  bool args_escaped = false;
  std::string user;
  std::string working_directory;
  std::string stop_signal;
  std::optional<int64_t> stop_timeout_s;
  std::vector<std::string> volumes;        // sorted paths
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::map<std::string, std::string> labels;
  std::optional<HealthCheck> health_check;
  std::vector<std::string> diff_ids;
  std::vector<HistoryEntry> history;  // oldest first
  std::string raw;                    // the whole document
};

// Errors: INVALID_ARGUMENT, naming the missing or malformed field.
absl::StatusOr<ImageIndex> ParseImageIndex(absl::string_view json);
absl::StatusOr<ImageManifest> ParseImageManifest(absl::string_view json);
absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json);

// The entry whose platform suits `wanted` best, the first of equals; nullptr when none does.
const IndexEntry* BestEntry(const ImageIndex& index, const Platform& wanted);
// "linux/amd64, linux/arm64", for messages.
std::string OfferedPlatforms(const ImageIndex& index);

// The name of the snapshot that holds layers 0..n-1: the first diffID, then the hash of
// "<chainID of the layers below> <diffID>". Empty for no layers.
std::string ChainId(absl::Span<const std::string> diff_ids);

// The labels by which a document keeps what it names from being collected.
std::map<std::string, std::string> GcLabels(const ImageIndex& index);
std::map<std::string, std::string> GcLabels(const ImageManifest& manifest);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_DOCUMENT_H_

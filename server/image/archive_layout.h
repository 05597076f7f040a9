// What an archive of images holds, by its documents: an OCI layout's index.json, or docker save's
// manifest.json.
//
// Pure: works on the table of the archive's members and the text of its documents, and names the
// members that are to be stored. Immutable after Parse; thread-safe.
#ifndef BERTH_SERVER_IMAGE_ARCHIVE_LAYOUT_H_
#define BERTH_SERVER_IMAGE_ARCHIVE_LAYOUT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/image/image_document.h"

namespace berth::image {

inline constexpr char kOciIndexFile[] = "index.json";
inline constexpr char kDockerManifestFile[] = "manifest.json";

// Where a file's bytes are in the archive.
struct ArchiveFile {
  int64_t offset = 0;
  int64_t size_bytes = 0;
};

class ArchiveFiles {
 public:
  explicit ArchiveFiles(const worker::v1::ReadArchiveResponse& members);
  // The file at `path`, through links. Errors: INVALID_ARGUMENT when the archive has none.
  absl::StatusOr<ArchiveFile> Find(absl::string_view path) const;
  // "blobs/<algorithm>/<hex>". Errors: NOT_FOUND.
  absl::StatusOr<ArchiveFile> FindBlob(absl::string_view digest) const;

 private:
  absl::flat_hash_map<std::string, ArchiveFile> files_;
  absl::flat_hash_map<std::string, std::string> links_;
};

// An image of an OCI layout.
struct OciArchiveImage {
  Descriptor target;               // without annotations
  std::vector<std::string> names;  // as the archive says: a full name, or only a tag
};
// Errors: INVALID_ARGUMENT.
absl::StatusOr<std::vector<OciArchiveImage>> ParseOciLayout(absl::string_view index_json);

// An image of docker save's archive: paths in the archive.
struct DockerArchiveImage {
  std::string config;
  std::vector<std::string> layers;
  std::vector<std::string> names;  // "repository:tag"
};
// Errors: INVALID_ARGUMENT.
absl::StatusOr<std::vector<DockerArchiveImage>> ParseDockerArchive(absl::string_view manifest_json);

// The manifest of an image that came without one.
std::string MakeDockerManifest(const Descriptor& config, const std::vector<Descriptor>& layers);
// By the layer's first bytes.
std::string DockerLayerType(absl::string_view magic);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_ARCHIVE_LAYOUT_H_

// Writes images into one tar archive that is an OCI layout and a `docker save` archive at once, so
// that every tool can read it.
//
// Invariant: the bytes depend only on the images and the request; a name's target keeps its digest,
// also that of an index of which only some platforms are written. Thread-safe; owned by
// server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_EXPORTER_H_
#define BERTH_SERVER_IMAGE_IMAGE_EXPORTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/content/content_store.h"
#include "server/image/image_catalog.h"
#include "server/metadata/caller.h"

namespace berth::image {

struct ExportRequest {
  std::vector<std::string> names;   // as Find takes them
  std::vector<Platform> platforms;  // none: this machine's
  enum class Extent { kChosenPlatforms, kAllPlatforms } extent = Extent::kChosenPlatforms;
  enum class DockerManifest { kWrite, kLeaveOut } docker_manifest = DockerManifest::kWrite;
  enum class Foreign { kWrite, kLeaveOut } foreign_layers = Foreign::kWrite;
};

// An archive that is read front to back. Holds every blob open, so that none can vanish meanwhile.
// Thread-compatible.
class ArchiveSource {
 public:
  virtual ~ArchiveSource() = default;
  // Up to `capacity` bytes; 0 at the end. Blocks.
  virtual absl::StatusOr<size_t> Read(char* buffer, size_t capacity) = 0;
  virtual int64_t size_bytes() const = 0;
};

class ImageExporter {
 public:
  using Caller = metadata::Caller;

  ImageExporter(ImageCatalog& catalog, content::ContentStore& content)
      : catalog_(catalog), content_(content) {}

  // Errors: as ImageCatalog::Find; NOT_FOUND for a blob that is not here. Blocks.
  absl::StatusOr<std::unique_ptr<ArchiveSource>> Export(const Caller& caller,
                                                        const ExportRequest& request);

 private:
  ImageCatalog& catalog_;
  content::ContentStore& content_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_EXPORTER_H_

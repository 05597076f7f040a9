// Makes another form of an image: documents of another kind (OCI, Docker), layers packed otherwise,
// fewer platforms.
//
// Invariant: the config and the layers' plain archives stay the same, byte for byte, so that the
// result has the same chain ids and needs no unpacking of its own; the new name appears when all of
// it is here. Manifests of platforms that are not here are left out of a converted index, and so
// are the attestations of those that became others. Thread-safe; `done` runs on the executor. Owned
// by server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_CONVERTER_H_
#define BERTH_SERVER_IMAGE_IMAGE_CONVERTER_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "server/content/content_store.h"
#include "server/image/image_catalog.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"

namespace berth::worker {
class WorkerClient;
}  // namespace berth::worker

namespace berth::image {

enum class DocumentFormat { kKeep, kOci, kDocker };
enum class LayerPacking { kKeep, kNone, kGzip, kZstd };

struct ConvertRequest {
  std::string source;  // as ImageCatalog::Find takes it
  std::string target;  // a name; empty: that of the source
  DocumentFormat format = DocumentFormat::kKeep;
  LayerPacking packing = LayerPacking::kKeep;
  std::vector<Platform> platforms;  // of an index; none: all that are here
};

class ImageConverter {
 public:
  using Caller = metadata::Caller;
  using Done = absl::AnyInvocable<void(absl::StatusOr<ImageRecord>)>;
  struct Parts {
    ImageCatalog& catalog;
    content::ContentStore& content;
    metadata::LeaseStore& leases;
    worker::WorkerClient& worker;
    Executor& executor;
  };

  explicit ImageConverter(Parts parts) : parts_(parts) {}

  // Errors (to `done`): as ImageCatalog::Find; INVALID_ARGUMENT for zstd in Docker's format, which
  // has no such type; NOT_FOUND for a layer or a platform that is not here; RESOURCE_EXHAUSTED for
  // a full disk.
  void Convert(const Caller& caller, ConvertRequest request, Done done);

 private:
  const Parts parts_;
};

// The media type of a layer in the wanted form; empty when the layer stays as it is (foreign ones,
// and what is no layer).
std::string ConvertedLayerType(absl::string_view media_type, DocumentFormat format,
                               LayerPacking packing);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_CONVERTER_H_

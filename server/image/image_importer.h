// Brings the images of an archive (docker save's, or an OCI layout in a tar; compressed or not)
// into the store.
//
// The archive is spooled to a file, its members are found by berth-worker, which alone parses the
// foreign tar; berthd copies byte ranges and checks digests. Invariant: a record is made only when
// everything that its manifest names is here and, if asked, unpacked; an import that fails leaves
// no record and, once its lease has ended, nothing else. Layers are unpacked while later ones are
// still copied. Thread-safe; `done` runs on the executor. Owned by server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_IMPORTER_H_
#define BERTH_SERVER_IMAGE_IMAGE_IMPORTER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "server/content/content_store.h"
#include "server/image/blob_writer.h"
#include "server/image/image_catalog.h"
#include "server/image/image_unpacker.h"
#include "server/image/import_naming.h"
#include "server/image/spool_file.h"
#include "server/image/transfer_progress.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"

namespace berth::image {

struct UnpackTarget {
  std::string snapshotter;
  std::optional<Platform> platform;  // none: this machine's
};

struct ImportRequest {
  ImportNaming naming;
  std::vector<Platform> platforms;  // none: all that the archive holds
  LabelMap labels;                  // of the records
  std::vector<UnpackTarget> unpacks;
  OnProgress on_progress;  // may be empty
};

class ImageImporter {
 public:
  using Caller = metadata::Caller;
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<ImageRecord>>)>;
  struct Parts {
    ImageCatalog& catalog;
    ImageUnpacker& unpacker;
    content::ContentStore& content;
    metadata::LeaseStore& leases;
    worker::WorkerClient& worker;
    Executor& executor;
  };

  explicit ImageImporter(Parts parts) : parts_(parts) {}

  // An archive on its way in: append to it, then Import it. Blocks.
  absl::StatusOr<std::unique_ptr<SpoolFile>> OpenSpool(const Caller& caller) {
    return SpoolFile::Create(parts_.content, caller, "import-archive");
  }
  // Errors (to `done`): INVALID_ARGUMENT for what is no archive of images; DATA_LOSS for a damaged
  // one; NOT_FOUND when it has none of the platforms; RESOURCE_EXHAUSTED for a full disk.
  void Import(const Caller& caller, ImportRequest request, std::unique_ptr<SpoolFile> archive,
              Done done);

 private:
  const Parts parts_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_IMPORTER_H_

// One import: find the members, read the documents, copy the blobs, unpack, make the records.
//
// Invariant: the steps run one after the other, on the executor or as the worker's answers;
// unpacking runs beside the copying. `done` runs once, when nothing of the import runs any more.
// Owned by itself while it runs.
#ifndef BERTH_SERVER_IMAGE_IMPORT_RUN_H_
#define BERTH_SERVER_IMAGE_IMPORT_RUN_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/content/ingest_writer.h"
#include "server/image/archive_layout.h"
#include "server/image/image_importer.h"
#include "server/image/layer_gate.h"
#include "server/image/work_lease.h"

namespace berth::image {

class ImportRun : public std::enable_shared_from_this<ImportRun> {
 public:
  ImportRun(const ImageImporter::Parts& parts, metadata::Caller caller, ImportRequest request,
            std::unique_ptr<SpoolFile> archive, ImageImporter::Done done);
  void Start();

 private:
  // A manifest of the archive, chosen to be stored.
  struct Chosen {
    Descriptor manifest;
    std::vector<Descriptor> layers;
    std::vector<std::string> layer_paths;  // in docker save's archives, else empty
  };

  absl::Status Begin();
  void OnMembers(absl::StatusOr<worker::v1::ReadArchiveResponse> members);
  absl::Status Store(const worker::v1::ReadArchiveResponse& members);
  absl::Status StoreOci(absl::string_view index_json);
  absl::StatusOr<bool> StoreTree(const Descriptor& target, const std::optional<Platform>& platform,
                                 int depth);
  absl::Status StoreManifest(const Descriptor& target, const std::string& json);
  absl::Status StoreDocker(absl::string_view manifest_json);
  absl::StatusOr<Descriptor> StoreDockerImage(const DockerArchiveImage& image);
  absl::Status AddRecords(const std::vector<std::string>& given, const Descriptor& target);
  void StartUnpacking(const Descriptor& target);
  absl::Status StoreLayers();
  // Copies the file into the store as a blob. `expected` empty: whatever it hashes to.
  absl::StatusOr<Descriptor> CopyBlob(const ArchiveFile& file, const std::string& expected);
  // ... its bytes, which may be unpacked while they come.
  absl::Status CopyBytes(const ArchiveFile& file, const std::string& expected,
                         content::IngestWriter& writer);
  absl::StatusOr<std::string> ReadText(const ArchiveFile& file) const;
  absl::StatusOr<std::string> ReadBlobText(const Descriptor& descriptor) const;
  bool IsWanted(const Platform& platform) const;
  void Tell(const char* event, const Descriptor& descriptor);
  void OnUnpacked(const absl::Status& status);
  void EndStoring(const absl::Status& status);
  // Ends the import when neither storing nor unpacking is left.
  void MaybeFinish();
  absl::Status PutRecords();

  const ImageImporter::Parts parts_;
  const metadata::Caller original_caller_;
  const ImportRequest request_;
  std::unique_ptr<SpoolFile> archive_;
  std::unique_ptr<SpoolFile> plain_;
  ImageImporter::Done done_;
  std::unique_ptr<WorkLease> lease_;
  BorrowedFd bytes_{-1};  // of archive_ or plain_: where the members are
  std::unique_ptr<ArchiveFiles> files_;
  std::vector<Chosen> chosen_;
  std::set<std::string> seen_;  // manifests
  std::vector<ImageRecord> records_;
  std::vector<std::shared_ptr<LayerGate>> gates_;

  Mutex mutex_;
  int unpacking_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_storing_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMPORT_RUN_H_

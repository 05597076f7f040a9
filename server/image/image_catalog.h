// The images of a namespace, as people speak of them: found by short name, id or prefix, listed
// with sizes, tagged, removed, pruned. Over the stores of records, blobs and snapshots, which stay
// the only truth: the catalogue keeps nothing.
//
// Every change is durable when the call returns and is published as containerd's image events. All
// calls block (database, small files): call them on the executor. Thread-safe; owned by
// server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_CATALOG_H_
#define BERTH_SERVER_IMAGE_IMAGE_CATALOG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/content/content_store.h"
#include "server/events/event_sink.h"
#include "server/image/image_document.h"
#include "server/image/platform.h"
#include "server/metadata/caller.h"
#include "server/metadata/container_store.h"
#include "server/metadata/image_store.h"
#include "server/metadata/snapshot_store.h"

namespace berth::image {

using ImageRecord = metadata::ImageStore::Image;

// An image with all that one platform runs of it. A plain value: valid whatever becomes of the
// record.
struct ResolvedImage {
  std::string name;     // of the record; for one found by id, the first of its names
  Descriptor target;    // what the record points to: a manifest or an index
  Descriptor manifest;  // of the platform
  Descriptor config_descriptor;
  std::vector<Descriptor> layers;
  ImageConfig config;
  Platform platform;
  std::string chain_id;  // the snapshot a container's root starts from; empty without layers
  std::map<std::string, std::string> labels;  // of the record

  const std::string& id() const { return config_descriptor.digest(); }  // Docker's image id
};

struct ImageSize {
  int64_t content_bytes = 0;   // blobs of the manifest, once each
  int64_t unpacked_bytes = 0;  // snapshots of all its layers; 0 when it is not unpacked
  int64_t shared_bytes = 0;    // of both, what images of other targets have, too; if asked for
};

// One manifest of an image, and what of it is here.
struct PlatformEntry {
  Descriptor manifest;
  Platform platform;
  bool is_complete = false;
  ImageSize size;
};

struct ImageSummary {
  ImageRecord record;
  // For the asked platform; not when the namespace lacks its manifest or config.
  std::optional<ResolvedImage> resolved;
  ImageSize size;
  int64_t containers = 0;  // that use this name or its target
};

class ImageCatalog {
 public:
  using Caller = metadata::Caller;

  struct Stores {
    metadata::ImageStore& images;
    metadata::ContainerStore& containers;
    metadata::SnapshotStore& snapshots;
    content::ContentStore& content;
    EventSink& events;
  };
  explicit ImageCatalog(Stores stores) : stores_(stores) {}
  ImageCatalog(const ImageCatalog&) = delete;
  ImageCatalog& operator=(const ImageCatalog&) = delete;

  // `reference`: a name ("busybox", "docker.io/library/busybox:latest", any stored name), a digest
  // of target, manifest or config ("sha256:..."), or at least kMinIdPrefix hexadecimal digits of
  // one. `platform`: none means this machine's. Errors: NOT_FOUND for no such image, for none of
  // that platform (saying which there are), or for a blob that is not here; INVALID_ARGUMENT for a
  // malformed or ambiguous reference.
  static constexpr size_t kMinIdPrefix = 4;
  absl::StatusOr<ResolvedImage> Find(const Caller& caller, absl::string_view reference,
                                     const std::optional<Platform>& platform = std::nullopt);
  // The record alone, whatever of it is here. Errors: as Find.
  absl::StatusOr<ImageRecord> FindRecord(const Caller& caller, absl::string_view reference);
  // Errors: NOT_FOUND for a platform or a blob that is not here.
  absl::StatusOr<ResolvedImage> Resolve(const Caller& caller, const ImageRecord& record,
                                        const std::optional<Platform>& platform = std::nullopt);
  // All manifests below the record's target, of whatever platform, attachments left out.
  absl::StatusOr<std::vector<PlatformEntry>> Platforms(const Caller& caller,
                                                       const ImageRecord& record);

  struct ListOptions {
    std::vector<std::string> filters;  // containerd's, on records
    std::optional<Platform> platform;
    // Measuring reads one record per layer; names alone are cheaper.
    enum class Measure { kNothing, kSizes, kShares } measure = Measure::kSizes;
    std::string snapshotter = "overlayfs";
  };
  absl::StatusOr<std::vector<ImageSummary>> List(const Caller& caller, const ListOptions& options);
  absl::StatusOr<ImageSize> Measure(const Caller& caller, const ResolvedImage& image,
                                    absl::string_view snapshotter);

  // Gives what `source` names a further name, taking it from whatever had it; answers the new
  // record. Errors: as Find; INVALID_ARGUMENT for a malformed name.
  absl::StatusOr<ImageRecord> Tag(const Caller& caller, absl::string_view source,
                                  absl::string_view name);
  // Creates the record or points the existing one to `record.target`. Labels are added to those
  // there are.
  absl::StatusOr<ImageRecord> Put(const Caller& caller, const ImageRecord& record);

  // What Remove and Prune did, in order, as Docker's clients are told.
  struct Removal {
    std::string untagged;  // a name that went
    std::string deleted;   // a target that no name has any more
  };
  enum class InUse { kRefuse, kRemove };
  // A name goes alone; an id goes with all its names. Nothing of a running container is touched:
  // its snapshot keeps its layers. Errors: as Find; FAILED_PRECONDITION when a container uses the
  // last name of the image, or an id has several names, unless kRemove.
  absl::StatusOr<std::vector<Removal>> Remove(const Caller& caller, absl::string_view reference,
                                              InUse in_use);

  struct PruneOptions {
    enum class Which { kDangling, kUnused } which = Which::kDangling;
    std::optional<absl::Time> until;  // only what was made before
    // "key", "key=value"; negated ones exclude.
    std::vector<std::string> labels;
    std::vector<std::string> without_labels;
  };
  // Dangling: made-up names (see IsDangling) of images that no other name has. Unused: of no
  // container. The blobs go with the next collection.
  struct PruneResult {
    std::vector<Removal> removals;
    int64_t reclaimed_bytes = 0;  // of blobs that nothing but what was removed named
  };
  absl::StatusOr<PruneResult> Prune(const Caller& caller, const PruneOptions& options);

  struct HistoryLine {
    std::string id;  // of the image for the newest line, else "<missing>"
    std::string created;
    std::string created_by;
    std::string comment;
    int64_t size_bytes = 0;  // of the layer, unpacked where it is, else compressed
    std::vector<std::string> tags;
  };
  // Newest first.
  absl::StatusOr<std::vector<HistoryLine>> History(const Caller& caller, const ResolvedImage& image,
                                                   absl::string_view snapshotter);

  // What Docker's `df` counts.
  struct DiskUsage {
    int64_t images = 0;
    int64_t active = 0;          // used by a container
    int64_t content_bytes = 0;   // each blob once
    int64_t unpacked_bytes = 0;  // each snapshot once
    int64_t reclaimable_bytes = 0;
  };
  absl::StatusOr<DiskUsage> MeasureAll(const Caller& caller, absl::string_view snapshotter);

  // The bytes of a small blob. Errors: NOT_FOUND; INVALID_ARGUMENT when it is larger than
  // kMaxDocumentBytes.
  absl::StatusOr<std::string> ReadDocument(const Caller& caller, const Descriptor& descriptor);

 private:
  struct Match {
    ImageRecord record;
    enum class By { kName, kId } by = By::kName;
  };
  absl::StatusOr<Match> FindMatch(const Caller& caller, absl::string_view reference);
  absl::StatusOr<std::optional<ImageRecord>> FindByName(const Caller& caller,
                                                        absl::string_view reference);
  absl::StatusOr<std::optional<ImageRecord>> FindById(const Caller& caller, absl::string_view id);
  // The digests by which an image is known: target, and what can be read below it.
  std::vector<std::string> IdsOf(const Caller& caller, const ImageRecord& record);
  absl::Status DeleteRecord(const Caller& caller, const std::string& name);

  const Stores stores_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_CATALOG_H_

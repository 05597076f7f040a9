// Turns the layers of an image into snapshots, through berth-worker, each layer once however many
// ask.
//
// Invariant: a snapshot named by a chainID holds exactly the layers that the chainID names: what
// was applied is compared with the config's diffIDs before it is committed. While it runs a lease
// keeps the parts; afterwards the config blob's label containerd.io/gc.ref.snapshot.<snapshotter>
// does. No thread waits while the worker works. Thread-safe; `done` runs on the executor. Owned by
// server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_
#define BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/grpc/executor.h"
#include "server/content/content_store.h"
#include "server/events/event_sink.h"
#include "server/image/image_catalog.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/snapshot_store.h"

namespace berth::worker {
class WorkerClient;
}  // namespace berth::worker

namespace berth::image {

// Whether compressed blobs stay once they are unpacked.
enum class LayerPolicy { kKeep, kDropUnpacked };

class ImageUnpacker {
 public:
  using Caller = metadata::Caller;
  using Done = absl::AnyInvocable<void(absl::Status)>;

  struct Parts {
    metadata::SnapshotStore& snapshots;
    metadata::LeaseStore& leases;
    content::ContentStore& content;
    worker::WorkerClient& worker;
    Executor& executor;
    EventSink& events;
    LayerPolicy layers = LayerPolicy::kKeep;
  };

  // Where the bytes of a layer are: its blob, or an upload that a fetch still writes.
  struct LayerAccess {
    std::string upload;          // empty: the blob is in the store
    uint32_t slot = 0;           // of the fetch
    std::shared_ptr<void> keep;  // held while the layer is read
  };
  // Lets a layer be unpacked as soon as its bytes come. Methods are called on the executor and must
  // not block; their callbacks may run on any thread.
  class LayerFeed {
   public:
    virtual ~LayerFeed() = default;
    virtual void WhenReadable(size_t layer,
                              absl::AnyInvocable<void(absl::StatusOr<LayerAccess>)> ready) = 0;
    // Once the blob is in the store, or never will be.
    virtual void WhenComplete(size_t layer, absl::AnyInvocable<void(absl::Status)> complete) = 0;
    virtual void OnUnpacking(size_t layer) = 0;
    virtual void OnUnpacked(size_t layer) = 0;
  };

  explicit ImageUnpacker(Parts parts);
  ~ImageUnpacker();
  ImageUnpacker(const ImageUnpacker&) = delete;
  ImageUnpacker& operator=(const ImageUnpacker&) = delete;

  // Does nothing for layers that are there; joins what is running already. `feed` may be null: all
  // blobs are here. Errors (to `done`): INVALID_ARGUMENT for a malformed image or layer; DATA_LOSS
  // when a layer's bytes are not those that the config promises; NOT_FOUND for a blob that is not
  // here; RESOURCE_EXHAUSTED for a full disk; the feed's.
  void Unpack(const Caller& caller, const ResolvedImage& image, absl::string_view snapshotter,
              std::shared_ptr<LayerFeed> feed, Done done);
  void Unpack(const Caller& caller, const ResolvedImage& image, absl::string_view snapshotter,
              Done done) {
    Unpack(caller, image, snapshotter, nullptr, std::move(done));
  }
  // How many layers, from the bottom, have their snapshots. Blocks.
  size_t CountUnpacked(const Caller& caller, const ResolvedImage& image,
                       absl::string_view snapshotter);

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;  // also held by what runs
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_

// Turns the layers of an image into snapshots, through berth-worker, each layer once however many
// ask.
//
// Invariant: a snapshot named by a chainID holds exactly the layers that the chainID names: what
// was applied is compared with the config's diffIDs before it is committed. Layers are applied in
// parallel where the snapshotter can put a layer on its parent at commit ("rebase"). While it runs
// a lease keeps the parts; afterwards the config blob's label
// containerd.io/gc.ref.snapshot.<snapshotter> does. No thread waits while the worker works.
// Thread-safe; `done` runs on the executor. Owned by server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_
#define BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/grpc/executor.h"
#include "server/content/content_store.h"
#include "server/image/image_catalog.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/snapshot_store.h"

namespace berth::worker {
class WorkerClient;
}  // namespace berth::worker

namespace berth::image {

class ImageUnpacker {
 public:
  using Caller = metadata::Caller;
  using Done = absl::AnyInvocable<void(absl::Status)>;
  // How many bytes of which layer were unpacked; called from any thread, must not block.
  struct Parts {
    metadata::SnapshotStore& snapshots;
    metadata::LeaseStore& leases;
    content::ContentStore& content;
    worker::WorkerClient& worker;
    Executor& executor;
  };

  explicit ImageUnpacker(Parts parts);
  ~ImageUnpacker();
  ImageUnpacker(const ImageUnpacker&) = delete;
  ImageUnpacker& operator=(const ImageUnpacker&) = delete;

  // Does nothing for layers that are there; joins what is running already. Errors (to `done`):
  // INVALID_ARGUMENT for a malformed image or layer; DATA_LOSS when a layer's bytes are not those
  // that the config promises; NOT_FOUND for a blob that is not here; RESOURCE_EXHAUSTED for a full
  // disk.
  void Unpack(const Caller& caller, const ResolvedImage& image, absl::string_view snapshotter,
              Done done);
  // Whether the image's top snapshot is there. Blocks.
  absl::StatusOr<bool> IsUnpacked(const Caller& caller, const ResolvedImage& image,
                                  absl::string_view snapshotter);

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;  // also held by what runs
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_UNPACKER_H_

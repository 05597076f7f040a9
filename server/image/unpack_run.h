// One unpacking of one image: its layers claimed, prepared, applied by the worker, checked, and
// committed in their order.
//
// Where the snapshotter can put a layer on its parent at commit ("rebase"), several layers are with
// the worker at a time, those above the lowest without their parents; one that turns out to need
// its parent is begun again once that is committed. Elsewhere one follows the other.
//
// Invariant: a layer is committed only after the one below it; what was prepared and not committed
// is removed; a claim is held only by a run that needs nothing of runs which wait for it (layers
// are waited for upwards only); `done` runs once, when nothing of the run is with the worker any
// more. Everything happens on the run's strand. Owned by itself while it runs.
#ifndef BERTH_SERVER_IMAGE_UNPACK_RUN_H_
#define BERTH_SERVER_IMAGE_UNPACK_RUN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/image/image_unpacker.h"
#include "server/image/single_flight.h"
#include "server/image/strand.h"
#include "server/image/work_lease.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::image {

class UnpackRun : public std::enable_shared_from_this<UnpackRun> {
 public:
  struct Task {
    metadata::Caller caller;
    ResolvedImage image;
    std::string snapshotter;
    std::shared_ptr<ImageUnpacker::LayerFeed> feed;
    ImageUnpacker::Done done;
  };

  UnpackRun(const ImageUnpacker::Parts& parts, std::shared_ptr<SingleFlight> flights, Task task);
  void Start();

 private:
  enum class Stage {
    kIdle,      // to be begun
    kClaimed,   // by another run, which wakes this one
    kReading,   // its bytes are awaited
    kApplying,  // with the worker
    kStoring,   // unpacked, or to be read again: the whole blob is awaited
    kUnpacked,  // to be committed
    kDone,      // committed, by whomever
  };
  struct Layer {
    Descriptor blob;
    std::string diff_id;
    std::string chain_id;
    std::string parent;  // chain id of the layer below
    Stage stage = Stage::kIdle;
    ImageUnpacker::LayerAccess access;
    uint64_t job = 0;
    std::string key;  // of the active snapshot
    std::string unpacked_diff_id;
    bool is_standalone = false;  // that snapshot has no parent yet
    bool needs_parent = false;
    bool is_claimed = false;
  };

  // Runs `step` on the strand.
  template <typename Function>
  void Post(Function step) {
    strand_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(*self); });
  }

  void Begin();
  absl::Status PrepareRun();
  // Does whatever can be done now. Every step ends here.
  void Advance();
  void SkipPresent();
  // Begins layers until enough are being unpacked.
  void BeginLayers();
  absl::Status CommitLayers();
  void BeginLayer(size_t index);
  void ApplyLayer(size_t index, absl::StatusOr<ImageUnpacker::LayerAccess> access);
  absl::Status SendLayer(size_t index);
  absl::Status PrepareSnapshot(size_t index, worker::v1::ApplyRequest& request);
  // Of the snapshot that is prepared already.
  absl::Status AddMounts(const Layer& layer, worker::v1::ApplyRequest& request);
  void OnApplied(size_t index, absl::StatusOr<worker::v1::ApplyResponse> result);
  absl::Status TakeResult(size_t index, absl::StatusOr<worker::v1::ApplyResponse> result);
  // Once the blob is in the store: is then unpacked, or read again from there.
  void AwaitBlob(size_t index);
  absl::Status Commit(Layer& layer);
  absl::Status KeepSnapshots();
  absl::Status DropLayers();
  void RemoveSnapshot(Layer& layer);
  // Gives up what the run holds of the layer.
  void Release(Layer& layer);
  void MoveOn();
  void Fail(absl::Status status);
  void MaybeFinish();
  bool HasSnapshot(const std::string& chain_id);
  std::string FlightKey(const Layer& layer) const;

  const ImageUnpacker::Parts parts_;
  const std::shared_ptr<SingleFlight> flights_;
  const std::shared_ptr<Strand> strand_;
  Task task_;
  std::unique_ptr<WorkLease> lease_;
  snapshots::Snapshotter::Description snapshotter_;
  std::vector<Layer> layers_;
  size_t current_ = 0;  // the lowest that is not committed
  bool looks_ = true;   // others may have committed layers
  size_t with_worker_ = 0;
  absl::Status status_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_UNPACK_RUN_H_

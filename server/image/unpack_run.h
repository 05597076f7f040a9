// One unpacking of one image: the layers in their order, each claimed, prepared, applied by the
// worker, checked and committed.
//
// Invariant: a layer is committed only after the one below it; what was prepared and not committed
// is removed; `done` runs once, when nothing of the run is with the worker any more. Everything
// happens on the run's strand. Owned by itself while it runs.
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
  struct Layer {
    Descriptor blob;
    std::string diff_id;
    std::string chain_id;
    std::string parent;  // chain id of the layer below
    ImageUnpacker::LayerAccess access;
    std::string key;  // of the active snapshot
    bool is_claimed = false;
  };

  // Runs `step` on the strand.
  template <typename Function>
  void Post(Function step) {
    strand_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(*self); });
  }

  void Begin();
  absl::Status PrepareRun();
  void NextLayer();
  void ReadLayer();
  void ApplyLayer(absl::StatusOr<ImageUnpacker::LayerAccess> access);
  absl::Status PrepareSnapshot(Layer& layer, worker::v1::ApplyRequest& request);
  // Of the snapshot that is prepared already.
  absl::Status AddMounts(const Layer& layer, worker::v1::ApplyRequest& request);
  void OnApplied(absl::StatusOr<worker::v1::ApplyResponse> result);
  void ReadWhole();
  void OnComplete(std::string diff_id, absl::Status complete);
  absl::Status Commit(Layer& layer, const std::string& diff_id);
  absl::Status KeepSnapshots();
  absl::Status DropLayers();
  void RemoveSnapshot();
  void ReleaseLayer();
  void Finish(absl::Status status);
  bool HasSnapshot(const std::string& chain_id);
  std::string FlightKey(const Layer& layer) const;

  const ImageUnpacker::Parts parts_;
  const std::shared_ptr<SingleFlight> flights_;
  const std::shared_ptr<Strand> strand_;
  Task task_;
  std::unique_ptr<WorkLease> lease_;
  std::vector<Layer> layers_;
  size_t current_ = 0;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_UNPACK_RUN_H_

#include "server/image/unpack_run.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "server/image/blob_writer.h"
#include "server/worker/client/worker_client.h"

namespace berth::image {
namespace {

constexpr char kUncompressedLabel[] = "containerd.io/uncompressed";
constexpr char kLayerLabelPrefix[] = "containerd.io/gc.ref.content.l.";

void CopyMounts(const std::vector<snapshots::Mount>& mounts, worker::v1::ApplyRequest& request) {
  for (const snapshots::Mount& mount : mounts) {
    worker::v1::Mount& copy = *request.add_mounts();
    copy.set_type(mount.type);
    copy.set_source(mount.source);
    copy.set_target(mount.target);
    for (const std::string& option : mount.options) copy.add_options(option);
  }
}

}  // namespace

UnpackRun::UnpackRun(const ImageUnpacker::Parts& parts, std::shared_ptr<SingleFlight> flights,
                     Task task)
    : parts_(parts),
      flights_(std::move(flights)),
      strand_(std::make_shared<Strand>(parts.executor)),
      task_(std::move(task)) {}

void UnpackRun::Start() {
  Post([](UnpackRun& run) { run.Begin(); });
}

void UnpackRun::Begin() {
  if (const absl::Status status = PrepareRun(); !status.ok()) return Finish(status);
  NextLayer();
}

absl::Status UnpackRun::PrepareRun() {
  const ResolvedImage& image = task_.image;
  const std::vector<std::string>& diff_ids = image.config.diff_ids;
  if (diff_ids.size() != image.layers.size()) {
    return absl::InvalidArgumentError(absl::StrCat("image ", image.name, ": the manifest has ",
                                                   image.layers.size(), " layers, the config ",
                                                   diff_ids.size()));
  }
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    Layer layer;
    layer.blob = image.layers[i];
    layer.diff_id = diff_ids[i];
    layer.chain_id = ChainId(absl::Span<const std::string>(diff_ids).subspan(0, i + 1));
    if (i > 0) layer.parent = layers_.back().chain_id;
    layers_.push_back(std::move(layer));
  }
  BERTH_ASSIGN_OR_RETURN(lease_, WorkLease::Create(parts_.leases, task_.caller));
  task_.caller = lease_->caller();
  return absl::OkStatus();
}

bool UnpackRun::HasSnapshot(const std::string& chain_id) {
  return parts_.snapshots.Stat(task_.caller, task_.snapshotter, chain_id).ok();
}

std::string UnpackRun::FlightKey(const Layer& layer) const {
  return absl::StrCat(task_.caller.ns, "\n", task_.snapshotter, "\n", layer.chain_id);
}

void UnpackRun::NextLayer() {
  // The highest snapshot that is there speaks for all below it.
  for (size_t i = layers_.size(); i > current_; --i) {
    if (!HasSnapshot(layers_[i - 1].chain_id)) continue;
    for (; current_ < i; ++current_) {
      if (task_.feed != nullptr) task_.feed->OnUnpacked(current_);
    }
  }
  if (current_ == layers_.size()) return Finish(KeepSnapshots());
  Layer& layer = layers_[current_];
  // Whoever waits for another's unpacking looks again when that has ended, well or not.
  const auto again = [self = shared_from_this()] {
    self->Post([](UnpackRun& run) { run.NextLayer(); });
  };
  if (!flights_->Claim(FlightKey(layer), again)) return;
  layer.is_claimed = true;
  // It may have been committed between the look and the claim.
  if (HasSnapshot(layer.chain_id)) {
    ReleaseLayer();
    return NextLayer();
  }
  ReadLayer();
}

void UnpackRun::ReadLayer() {
  if (task_.feed == nullptr) return ApplyLayer(ImageUnpacker::LayerAccess());
  task_.feed->WhenReadable(
      current_, [self = shared_from_this()](absl::StatusOr<ImageUnpacker::LayerAccess> access) {
        self->Post([access = std::move(access)](UnpackRun& run) mutable {
          run.ApplyLayer(std::move(access));
        });
      });
}

absl::Status UnpackRun::PrepareSnapshot(Layer& layer, worker::v1::ApplyRequest& request) {
  // The worker sees every blob; what this namespace may see is decided here.
  if (layer.access.upload.empty()) {
    BERTH_RETURN_IF_ERROR(parts_.content.OpenBlob(task_.caller, layer.blob.digest()).status())
        << "layer " << layer.blob.digest() << " of " << task_.image.name;
  }
  if (!layer.key.empty()) return AddMounts(layer, request);
  layer.key = absl::StrCat(RandomRef("extract"), " ", layer.chain_id);
  metadata::SnapshotStore::NewSnapshot snapshot = {
      .key = layer.key, .parent = layer.parent, .labels = {}};
  snapshot.labels["containerd.io/snapshot.ref"] = layer.chain_id;
  auto mounts = parts_.snapshots.Prepare(task_.caller, task_.snapshotter, snapshot);
  if (!mounts.ok()) {
    layer.key.clear();
    return Annotate(mounts.status(), absl::StrCat("prepare a snapshot for layer ",
                                                  layer.blob.digest(), " of ", task_.image.name));
  }
  containerd::events::SnapshotPrepare event;
  event.set_key(layer.key);
  event.set_parent(layer.parent);
  event.set_snapshotter(task_.snapshotter);
  parts_.events.Publish(task_.caller.ns, "/snapshot/prepare", event);
  CopyMounts(*mounts, request);
  return absl::OkStatus();
}

absl::Status UnpackRun::AddMounts(const Layer& layer, worker::v1::ApplyRequest& request) {
  const auto mounts = parts_.snapshots.GetMounts(task_.caller, task_.snapshotter, layer.key);
  BERTH_RETURN_IF_ERROR(mounts.status()) << "the snapshot of layer " << layer.blob.digest();
  CopyMounts(*mounts, request);
  return absl::OkStatus();
}

void UnpackRun::ApplyLayer(absl::StatusOr<ImageUnpacker::LayerAccess> access) {
  if (!access.ok()) return Finish(access.status());
  Layer& layer = layers_[current_];
  layer.access = *std::move(access);
  worker::v1::ApplyRequest request;
  const absl::Status prepared = PrepareSnapshot(layer, request);
  if (absl::IsAlreadyExists(prepared) && HasSnapshot(layer.chain_id)) {
    ReleaseLayer();
    return NextLayer();
  }
  if (!prepared.ok()) return Finish(prepared);
  request.set_digest(layer.blob.digest());
  request.set_media_type(layer.blob.media_type());
  if (!layer.access.upload.empty()) {
    request.mutable_follow()->set_upload(layer.access.upload);
    request.mutable_follow()->set_slot(layer.access.slot);
  }
  if (task_.feed != nullptr) task_.feed->OnUnpacking(current_);
  parts_.worker.Apply(std::move(request), [self = shared_from_this()](
                                              absl::StatusOr<worker::v1::ApplyResponse> result) {
    self->Post(
        [result = std::move(result)](UnpackRun& run) mutable { run.OnApplied(std::move(result)); });
  });
}

void UnpackRun::OnApplied(absl::StatusOr<worker::v1::ApplyResponse> result) {
  Layer& layer = layers_[current_];
  layer.access.keep.reset();
  const bool followed = !layer.access.upload.empty();
  if (followed && (absl::IsNotFound(result.status()) || absl::IsAborted(result.status()))) {
    // A worker that found nothing to follow has written nothing: its snapshot serves again.
    if (absl::IsAborted(result.status())) RemoveSnapshot();
    return ReadWhole();
  }
  if (!result.ok()) {
    if (absl::IsDataLoss(result.status()) && layer.access.upload.empty()) {
      // Takes the blob out of use if it is indeed damaged, and then says where it went.
      const absl::Status verified = parts_.content.Verify(task_.caller, layer.blob.digest());
      if (absl::IsDataLoss(verified)) return Finish(verified);
    }
    return Finish(Annotate(result.status(), absl::StrCat("unpack image ", task_.image.name)));
  }
  if (task_.feed == nullptr) return OnComplete(result->digest(), absl::OkStatus());
  task_.feed->WhenComplete(
      current_, [self = shared_from_this(), diff_id = result->digest()](absl::Status complete) {
        self->Post([diff_id, complete](UnpackRun& run) { run.OnComplete(diff_id, complete); });
      });
}

// The fetch that was followed has ended before the worker looked, or has failed: its end says
// which.
void UnpackRun::ReadWhole() {
  task_.feed->WhenComplete(current_, [self = shared_from_this()](absl::Status complete) {
    self->Post([complete](UnpackRun& run) {
      if (!complete.ok()) return run.Finish(complete);
      run.ApplyLayer(ImageUnpacker::LayerAccess());
    });
  });
}

void UnpackRun::OnComplete(std::string diff_id, absl::Status complete) {
  if (!complete.ok()) return Finish(complete);
  Layer& layer = layers_[current_];
  if (const absl::Status status = Commit(layer, diff_id); !status.ok()) return Finish(status);
  ReleaseLayer();
  NextLayer();
}

absl::Status UnpackRun::Commit(Layer& layer, const std::string& diff_id) {
  if (diff_id != layer.diff_id) {
    return absl::DataLossError(absl::StrCat(
        "layer ", layer.blob.digest(), " of image ", task_.image.name, " unpacks to ", diff_id,
        ", its config promises ", layer.diff_id, ": the image is wrong; nothing of it is used"));
  }
  if (layer.blob.digest() != diff_id) {
    BERTH_RETURN_IF_ERROR(MergeLabels(parts_.content, task_.caller, layer.blob.digest(),
                                      {{kUncompressedLabel, diff_id}}));
  }
  const absl::Status committed = parts_.snapshots.Commit(
      task_.caller, task_.snapshotter, {layer.chain_id, layer.key, layer.parent, {}});
  // A client unpacked the same layer meanwhile: theirs is as good.
  if (absl::IsAlreadyExists(committed)) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(committed)
      << "commit layer " << layer.blob.digest() << " of " << task_.image.name;
  containerd::events::SnapshotCommit event;
  event.set_key(layer.key);
  event.set_name(layer.chain_id);
  event.set_snapshotter(task_.snapshotter);
  parts_.events.Publish(task_.caller.ns, "/snapshot/commit", event);
  layer.key.clear();
  return absl::OkStatus();
}

absl::Status UnpackRun::KeepSnapshots() {
  if (layers_.empty()) return absl::OkStatus();
  // From here on the image keeps its snapshots: config blob -> snapshot.
  BERTH_RETURN_IF_ERROR(
      MergeLabels(parts_.content, task_.caller, task_.image.config_descriptor.digest(),
                  {{absl::StrCat("containerd.io/gc.ref.snapshot.", task_.snapshotter),
                    layers_.back().chain_id}}))
      << "keep the snapshots of " << task_.image.name;
  return parts_.layers == LayerPolicy::kDropUnpacked ? DropLayers() : absl::OkStatus();
}

absl::Status UnpackRun::DropLayers() {
  const std::string& manifest = task_.image.manifest.digest();
  BERTH_ASSIGN_OR_RETURN(content::ContentStore::Info info,
                         parts_.content.GetInfo(task_.caller, manifest));
  LabelMap dropped;
  for (const auto& [key, value] : info.labels()) {
    if (absl::StartsWith(key, kLayerLabelPrefix)) dropped[key] = "";
  }
  return MergeLabels(parts_.content, task_.caller, manifest, dropped);
}

// What is half unpacked goes; a failure to remove it is the collector's business.
void UnpackRun::RemoveSnapshot() {
  Layer& layer = layers_[current_];
  if (layer.key.empty()) return;
  parts_.snapshots.Remove(task_.caller, task_.snapshotter, layer.key).IgnoreError();
  layer.key.clear();
}

void UnpackRun::ReleaseLayer() {
  RemoveSnapshot();
  Layer& layer = layers_[current_];
  layer.access = {};
  if (layer.is_claimed) {
    layer.is_claimed = false;
    flights_->Release(FlightKey(layer));
  }
}

void UnpackRun::Finish(absl::Status status) {
  if (current_ < layers_.size()) ReleaseLayer();
  lease_.reset();
  if (auto done = std::exchange(task_.done, nullptr)) done(std::move(status));
}

}  // namespace berth::image

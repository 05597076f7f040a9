#include "server/image/unpack_run.h"

#include <algorithm>
#include <thread>
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

// A layer keeps two threads of the worker busy, more or less: one decompresses, one writes files.
size_t MaxLayersAtOnce() {
  const size_t cores = std::thread::hardware_concurrency();
  return std::clamp<size_t>(cores, 2, worker::WorkerClient::kMaxRunning - 2);
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
  if (const absl::Status status = PrepareRun(); !status.ok()) return Fail(status);
  Advance();
}

absl::Status UnpackRun::PrepareRun() {
  const ResolvedImage& image = task_.image;
  const std::vector<std::string>& diff_ids = image.config.diff_ids;
  const std::string& config_type = image.config_descriptor.media_type();
  if (config_type != kOciConfig && config_type != kDockerConfig && diff_ids.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(image.name, " is no container image but an artifact (", config_type,
                     "): it can be stored and copied, not unpacked or run"));
  }
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
  BERTH_ASSIGN_OR_RETURN(snapshotter_, parts_.snapshots.Describe(task_.snapshotter));
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

void UnpackRun::Advance() {
  if (status_.ok() && task_.done != nullptr) {
    if (std::exchange(looks_, false)) SkipPresent();
    // First, so that the worker is busy while commits wait for the disk.
    BeginLayers();
    if (const absl::Status status = CommitLayers(); !status.ok()) return Fail(status);
    BeginLayers();
  }
  MaybeFinish();
}

void UnpackRun::SkipPresent() {
  // The highest snapshot that is there speaks for all below it.
  for (size_t i = layers_.size(); i > current_; --i) {
    if (!HasSnapshot(layers_[i - 1].chain_id)) continue;
    while (current_ < i) MoveOn();
  }
}

// What the worker still does for the layer is dropped when it ends.
void UnpackRun::MoveOn() {
  Layer& layer = layers_[current_];
  if (layer.stage == Stage::kApplying) {
    parts_.worker.Cancel(layer.job);
  } else {
    Release(layer);
  }
  layer.stage = Stage::kDone;
  if (task_.feed != nullptr) task_.feed->OnUnpacked(current_);
  ++current_;
}

void UnpackRun::BeginLayers() {
  const bool is_parallel = snapshotter_.marks != snapshots::Snapshotter::Description::Marks::kNone;
  const size_t at_once = is_parallel ? MaxLayersAtOnce() : 1;
  size_t busy = 0;
  for (size_t i = current_; status_.ok() && i < layers_.size() && busy < at_once; ++i) {
    Layer& layer = layers_[i];
    if (layer.stage == Stage::kIdle && (i == current_ || (is_parallel && !layer.needs_parent))) {
      BeginLayer(i);
    }
    // One after the other: nothing begins above what is not committed.
    if (!is_parallel) return;
    busy += layer.stage == Stage::kReading || layer.stage == Stage::kApplying ? 1 : 0;
  }
}

void UnpackRun::BeginLayer(size_t index) {
  Layer& layer = layers_[index];
  if (!layer.is_claimed) {
    // Whoever waits for another's unpacking looks again when that has ended, well or not.
    const auto again = [self = shared_from_this(), index] {
      self->Post([index](UnpackRun& run) {
        Layer& layer = run.layers_[index];
        if (layer.stage == Stage::kClaimed) layer.stage = Stage::kIdle;
        run.looks_ = true;
        run.Advance();
      });
    };
    layer.is_claimed = flights_->Claim(FlightKey(layer), again);
    if (!layer.is_claimed) {
      layer.stage = Stage::kClaimed;
      return;
    }
    // It may have been committed between the look and the claim.
    if (HasSnapshot(layer.chain_id)) {
      while (current_ <= index) MoveOn();
      return;
    }
  }
  layer.stage = Stage::kReading;
  const auto ready = [self = shared_from_this(),
                      index](absl::StatusOr<ImageUnpacker::LayerAccess> access) {
    self->Post([index, access = std::move(access)](UnpackRun& run) mutable {
      run.ApplyLayer(index, std::move(access));
    });
  };
  if (task_.feed == nullptr) return ready(ImageUnpacker::LayerAccess());
  task_.feed->WhenReadable(index, ready);
}

void UnpackRun::ApplyLayer(size_t index, absl::StatusOr<ImageUnpacker::LayerAccess> access) {
  Layer& layer = layers_[index];
  if (layer.stage != Stage::kReading || !status_.ok()) return;
  if (!access.ok()) return Fail(access.status());
  layer.access = *std::move(access);
  if (const absl::Status sent = SendLayer(index); !sent.ok()) return Fail(sent);
  Advance();
}

absl::Status UnpackRun::SendLayer(size_t index) {
  Layer& layer = layers_[index];
  worker::v1::ApplyRequest request;
  const absl::Status prepared = PrepareSnapshot(index, request);
  if (absl::IsAlreadyExists(prepared) && HasSnapshot(layer.chain_id)) {
    while (current_ <= index) MoveOn();
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(prepared);
  request.set_digest(layer.blob.digest());
  request.set_media_type(layer.blob.media_type());
  if (layer.is_standalone) {
    request.set_standalone(snapshotter_.marks == snapshots::Snapshotter::Description::Marks::kUser
                               ? worker::v1::ApplyRequest::USER
                               : worker::v1::ApplyRequest::TRUSTED);
  }
  request.set_erofs_image(snapshotter_.image);
  if (!layer.access.upload.empty()) {
    request.mutable_follow()->set_upload(layer.access.upload);
    request.mutable_follow()->set_slot(layer.access.slot);
  }
  if (task_.feed != nullptr) task_.feed->OnUnpacking(index);
  layer.stage = Stage::kApplying;
  ++with_worker_;
  layer.job = parts_.worker.Apply(
      std::move(request),
      [self = shared_from_this(), index](absl::StatusOr<worker::v1::ApplyResponse> result) {
        self->Post([index, result = std::move(result)](UnpackRun& run) mutable {
          run.OnApplied(index, std::move(result));
        });
      });
  return absl::OkStatus();
}

absl::Status UnpackRun::PrepareSnapshot(size_t index, worker::v1::ApplyRequest& request) {
  Layer& layer = layers_[index];
  // The worker sees every blob; what this namespace may see is decided here.
  if (layer.access.upload.empty()) {
    BERTH_RETURN_IF_ERROR(parts_.content.OpenBlob(task_.caller, layer.blob.digest()).status())
        << "layer " << layer.blob.digest() << " of " << task_.image.name;
  }
  if (!layer.key.empty()) return AddMounts(layer, request);
  layer.key = absl::StrCat(RandomRef("extract"), " ", layer.chain_id);
  layer.is_standalone = index > current_;
  metadata::SnapshotStore::NewSnapshot snapshot = {
      .key = layer.key, .parent = layer.is_standalone ? "" : layer.parent, .labels = {}};
  snapshot.labels["containerd.io/snapshot.ref"] = layer.chain_id;
  auto mounts = parts_.snapshots.Prepare(task_.caller, task_.snapshotter, snapshot);
  if (!mounts.ok()) {
    layer.key.clear();
    return Annotate(mounts.status(), absl::StrCat("prepare a snapshot for layer ",
                                                  layer.blob.digest(), " of ", task_.image.name));
  }
  containerd::events::SnapshotPrepare event;
  event.set_key(layer.key);
  event.set_parent(snapshot.parent);
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

void UnpackRun::OnApplied(size_t index, absl::StatusOr<worker::v1::ApplyResponse> result) {
  --with_worker_;
  Layer& layer = layers_[index];
  layer.access.keep.reset();
  if (layer.stage != Stage::kApplying || !status_.ok()) {
    Release(layer);
    return MaybeFinish();
  }
  if (const absl::Status status = TakeResult(index, std::move(result)); !status.ok()) {
    return Fail(status);
  }
  Advance();
}

absl::Status UnpackRun::TakeResult(size_t index, absl::StatusOr<worker::v1::ApplyResponse> result) {
  Layer& layer = layers_[index];
  const bool followed = !layer.access.upload.empty();
  if (followed && (absl::IsNotFound(result.status()) || absl::IsAborted(result.status()))) {
    // The fetch has ended before the worker looked, or has failed: its end says which. A worker
    // that found nothing to follow has written nothing: its snapshot serves again.
    if (absl::IsAborted(result.status())) RemoveSnapshot(layer);
    AwaitBlob(index);
    return absl::OkStatus();
  }
  if (!result.ok()) {
    if (absl::IsDataLoss(result.status()) && !followed) {
      // Takes the blob out of use if it is indeed damaged, and then says where it went.
      const absl::Status verified = parts_.content.Verify(task_.caller, layer.blob.digest());
      if (absl::IsDataLoss(verified)) return verified;
    }
    return Annotate(result.status(), absl::StrCat("unpack image ", task_.image.name));
  }
  if (result->needs_parent()) {
    RemoveSnapshot(layer);
    layer.needs_parent = true;
    layer.stage = Stage::kIdle;
    return absl::OkStatus();
  }
  layer.unpacked_diff_id = result->digest();
  layer.stage = Stage::kUnpacked;
  if (task_.feed != nullptr) AwaitBlob(index);
  return absl::OkStatus();
}

void UnpackRun::AwaitBlob(size_t index) {
  layers_[index].stage = Stage::kStoring;
  task_.feed->WhenComplete(index, [self = shared_from_this(), index](absl::Status complete) {
    self->Post([index, complete](UnpackRun& run) {
      Layer& layer = run.layers_[index];
      if (layer.stage != Stage::kStoring || !run.status_.ok()) return;
      if (!complete.ok()) return run.Fail(complete);
      if (layer.unpacked_diff_id.empty()) {
        layer.stage = Stage::kReading;
        return run.ApplyLayer(index, ImageUnpacker::LayerAccess());
      }
      layer.stage = Stage::kUnpacked;
      run.Advance();
    });
  });
}

absl::Status UnpackRun::CommitLayers() {
  while (current_ < layers_.size() && layers_[current_].stage == Stage::kUnpacked) {
    BERTH_RETURN_IF_ERROR(Commit(layers_[current_]));
    MoveOn();
    BeginLayers();
  }
  return absl::OkStatus();
}

absl::Status UnpackRun::Commit(Layer& layer) {
  const std::string& diff_id = layer.unpacked_diff_id;
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
void UnpackRun::RemoveSnapshot(Layer& layer) {
  if (layer.key.empty()) return;
  parts_.snapshots.Remove(task_.caller, task_.snapshotter, layer.key).IgnoreError();
  layer.key.clear();
}

void UnpackRun::Release(Layer& layer) {
  RemoveSnapshot(layer);
  layer.access = {};
  if (std::exchange(layer.is_claimed, false)) flights_->Release(FlightKey(layer));
}

void UnpackRun::Fail(absl::Status status) {
  if (status_.ok()) {
    status_ = std::move(status);
    for (const Layer& layer : layers_) {
      if (layer.stage == Stage::kApplying) parts_.worker.Cancel(layer.job);
    }
  }
  MaybeFinish();
}

void UnpackRun::MaybeFinish() {
  if (with_worker_ > 0 || task_.done == nullptr) return;
  if (status_.ok() && current_ < layers_.size()) return;
  if (status_.ok()) status_ = KeepSnapshots();
  for (Layer& layer : layers_) Release(layer);
  lease_.reset();
  std::exchange(task_.done, nullptr)(status_);
}

}  // namespace berth::image

#include "server/image/push_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"
#include "server/image/blob_writer.h"
#include "server/image/registry_origin.h"

namespace berth::image {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr char kSourceLabel[] = "containerd.io/distribution.source.";

worker::v1::Descriptor ForWorker(const Descriptor& descriptor) {
  worker::v1::Descriptor copy;
  copy.set_media_type(descriptor.media_type());
  copy.set_digest(descriptor.digest());
  copy.set_size(descriptor.size());
  return copy;
}

}  // namespace

PushRun::PushRun(const ImagePuller::Parts& parts, metadata::Caller caller, PushRequest request,
                 OnProgress on_progress, ImagePuller::PushDone done)
    : parts_(parts),
      strand_(std::make_shared<Strand>(parts.executor)),
      caller_(std::move(caller)),
      request_(std::move(request)),
      on_progress_(std::move(on_progress)),
      done_(std::move(done)) {}

void PushRun::Start() {
  Post([](PushRun& run) { run.Begin(); });
}

void PushRun::Cancel() {
  Post([](PushRun& run) { run.Fail(absl::CancelledError("the push was cancelled")); });
}

void PushRun::Begin() {
  if (const absl::Status status = Prepare(); !status.ok()) return Fail(status);
  Say(absl::StrCat("Pushing to ", reference_->host()));
  for (const auto& [blob, parent] : blobs_) {
    Upload& upload = uploads_[blob.digest()];
    upload.descriptor = blob;
    upload.parent = parent;
    StartUpload(upload);
  }
  if (on_progress_) Tick();
  if (uploads_.empty()) NextManifest();
}

absl::Status PushRun::Prepare() {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record,
                         parts_.catalog.FindRecord(caller_, request_.name));
  BERTH_ASSIGN_OR_RETURN(
      reference_,
      Reference::Parse(request_.reference.empty() ? record.name() : request_.reference));
  if (reference_->tag().empty() && reference_->digest() != record.target().digest()) {
    return absl::InvalidArgumentError(absl::StrCat("the image's digest is ",
                                                   record.target().digest(), ", not ",
                                                   reference_->digest(), "; push to a tag"));
  }
  BERTH_ASSIGN_OR_RETURN(origin_, OriginOf(*reference_, request_.access, RegistryUse::kPush));
  return ChooseTarget(record);
}

absl::Status PushRun::ChooseTarget(const ImageRecord& record) {
  if (request_.platforms.size() > 1) {
    return absl::InvalidArgumentError("one platform can be pushed by itself, or all of the image");
  }
  target_ = record.target();
  if (request_.platforms.empty()) {
    const absl::Status whole = Gather(target_, "", 0);
    if (!absl::IsNotFound(whole) || !IsIndexType(target_.media_type())) return whole;
    // The index names what was never fetched: this machine's manifest is what there is to push.
    blobs_.clear();
    manifests_.clear();
    gathered_.clear();
    Say("not all platforms of the image are here; pushing this machine's alone");
  }
  std::optional<Platform> platform;
  if (!request_.platforms.empty()) platform = request_.platforms[0];
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image,
                         parts_.catalog.Resolve(caller_, record, platform));
  target_ = image.manifest;
  return Gather(target_, "", 0);
}

absl::Status PushRun::Gather(const Descriptor& target, const std::string& parent, int depth) {
  if (depth > kMaxIndexDepth) return absl::InvalidArgumentError("indexes are nested too deeply");
  if (!gathered_.insert(target.digest()).second) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string json, parts_.catalog.ReadDocument(caller_, target));
  const std::string name = ProgressName(target);
  if (IsIndexType(target.media_type())) {
    BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(json));
    for (const IndexEntry& entry : index.manifests) {
      BERTH_RETURN_IF_ERROR(Gather(entry.descriptor, name, depth + 1));
    }
  } else {
    BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(json));
    BERTH_RETURN_IF_ERROR(GatherBlob(manifest.config, name));
    for (const Descriptor& layer : manifest.layers) {
      BERTH_RETURN_IF_ERROR(GatherBlob(layer, name));
    }
  }
  manifests_.emplace_back(target, parent);
  return absl::OkStatus();
}

absl::Status PushRun::GatherBlob(const Descriptor& blob, const std::string& parent) {
  BERTH_RETURN_IF_ERROR(parts_.content.GetInfo(caller_, blob.digest()).status())
      << "a part of the image is not here; pull it again";
  if (gathered_.insert(blob.digest()).second) blobs_.emplace_back(blob, parent);
  return absl::OkStatus();
}

std::vector<std::string> PushRun::MountSources(const std::string& digest) {
  const auto info = parts_.content.GetInfo(caller_, digest);
  if (!info.ok()) return {};
  const auto label = info->labels().find(absl::StrCat(kSourceLabel, reference_->host()));
  if (label == info->labels().end()) return {};
  std::vector<std::string> sources;
  for (absl::string_view source : absl::StrSplit(label->second, ',', absl::SkipEmpty())) {
    if (source != reference_->path()) sources.emplace_back(source);
  }
  return sources;
}

void PushRun::StartUpload(Upload& upload) {
  worker::v1::PushRequest request;
  *request.mutable_origin() = origin_;
  *request.mutable_target() = ForWorker(upload.descriptor);
  for (std::string& source : MountSources(upload.descriptor.digest())) {
    request.add_mount_from(std::move(source));
  }
  upload.slot = parts_.worker.LendSlot();
  Tell(upload.descriptor, upload.parent, "waiting", 0);
  upload.job = parts_.worker.Push(
      std::move(request), upload.slot,
      [self = shared_from_this(),
       digest = upload.descriptor.digest()](absl::StatusOr<worker::v1::PushResponse> response) {
        self->Post([digest, response = std::move(response)](PushRun& run) mutable {
          run.OnUploaded(digest, std::move(response));
        });
      });
}

void PushRun::OnUploaded(std::string digest, absl::StatusOr<worker::v1::PushResponse> response) {
  const Upload upload = std::move(uploads_.at(digest));
  uploads_.erase(digest);
  if (!response.ok()) return Fail(response.status());
  const char* event = "complete";
  if (response->how() == worker::v1::PushResponse::EXISTED) event = "already exists";
  if (response->how() == worker::v1::PushResponse::MOUNTED) event = "mounted";
  Tell(upload.descriptor, upload.parent, event, upload.descriptor.size());
  if (uploads_.empty() && status_.ok()) return NextManifest();
  MaybeFinish();
}

void PushRun::NextManifest() {
  if (manifests_.empty() || !status_.ok()) return MaybeFinish();
  worker::v1::PushManifestRequest request;
  *request.mutable_origin() = origin_;
  *request.mutable_target() = ForWorker(manifests_.front().first);
  // Only the last has a name; those it refers to are reached by their digests.
  if (manifests_.size() == 1) request.set_tag(reference_->tag());
  Tell(manifests_.front().first, manifests_.front().second, "uploading", 0);
  is_sending_manifest_ = true;
  manifest_job_ = parts_.worker.PushManifest(
      std::move(request),
      [self = shared_from_this()](absl::StatusOr<worker::v1::PushManifestResponse> response) {
        self->Post([response = std::move(response)](PushRun& run) mutable {
          run.OnManifest(std::move(response));
        });
      });
}

void PushRun::OnManifest(absl::StatusOr<worker::v1::PushManifestResponse> response) {
  is_sending_manifest_ = false;
  if (!response.ok()) return Fail(response.status());
  const auto [descriptor, parent] = std::move(manifests_.front());
  manifests_.pop_front();
  Tell(descriptor, parent, "complete", descriptor.size());
  NextManifest();
}

void PushRun::Fail(const absl::Status& status) {
  if (status_.ok() && done_ != nullptr) {
    status_ = Annotate(
        status, absl::StrCat("push ", reference_.has_value() ? reference_->Full() : request_.name));
    for (const auto& [digest, upload] : uploads_) parts_.worker.Cancel(upload.job);
    if (is_sending_manifest_) parts_.worker.Cancel(manifest_job_);
  }
  MaybeFinish();
}

void PushRun::MaybeFinish() {
  if (!uploads_.empty() || is_sending_manifest_ || done_ == nullptr) return;
  if (status_.ok() && !manifests_.empty()) return;
  auto done = std::exchange(done_, nullptr);
  if (!status_.ok()) return done(status_);
  // Later pushes to the same registry can mount from here.
  const std::string label = absl::StrCat(kSourceLabel, reference_->host());
  for (const auto& [blob, parent] : blobs_) {
    std::vector<std::string> sources = MountSources(blob.digest());
    if (!sources.empty()) continue;
    MergeLabels(parts_.content, caller_, blob.digest(), {{label, reference_->path()}})
        .IgnoreError();
  }
  done(target_);
}

void PushRun::Tell(const Descriptor& descriptor, const std::string& parent, const char* event,
                   int64_t done_bytes) {
  if (!on_progress_) return;
  on_progress_({.event = event,
                .name = ProgressName(descriptor),
                .parent = parent,
                .done_bytes = done_bytes,
                .total_bytes = descriptor.size(),
                .descriptor = descriptor});
}

void PushRun::Say(std::string words) {
  if (!on_progress_) return;
  on_progress_({.event = std::move(words),
                .name = "",
                .parent = "",
                .done_bytes = 0,
                .total_bytes = 0,
                .descriptor = {}});
}

void PushRun::Tick() {
  if (done_ == nullptr) return;
  for (const auto& [digest, upload] : uploads_) {
    if (upload.slot == nullptr) continue;
    const worker::Progress progress = upload.slot->Read();
    if (progress.state != worker::ProgressState::kRunning) continue;
    Tell(upload.descriptor, upload.parent, "uploading", static_cast<int64_t>(progress.offset));
  }
  parts_.loop.Post([self = shared_from_this()]() mutable {
    Loop& loop = self->parts_.loop;
    loop.After(kTick, [self = std::move(self)] { self->Post([](PushRun& run) { run.Tick(); }); });
  });
}

}  // namespace berth::image

#include "server/image/pull_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "server/image/blob_writer.h"
#include "server/image/registry_origin.h"

namespace berth::image {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(200);

worker::v1::Descriptor ForWorker(const Descriptor& descriptor) {
  worker::v1::Descriptor copy;
  copy.set_media_type(descriptor.media_type());
  copy.set_digest(descriptor.digest());
  copy.set_size(descriptor.size());
  return copy;
}

}  // namespace

PullRun::PullRun(const ImagePuller::Parts& parts, std::shared_ptr<SingleFlight> flights,
                 metadata::Caller caller, PullRequest request, OnProgress on_progress,
                 ImagePuller::PullDone done)
    : parts_(parts),
      flights_(std::move(flights)),
      strand_(std::make_shared<Strand>(parts.executor)),
      original_caller_(std::move(caller)),
      request_(std::move(request)),
      on_progress_(std::move(on_progress)),
      done_(std::move(done)) {}

void PullRun::Start() {
  Post([](PullRun& run) { run.Begin(); });
}

void PullRun::Cancel() {
  Post([](PullRun& run) { run.Fail(absl::CancelledError("the pull was cancelled")); });
}

void PullRun::Begin() {
  if (const absl::Status status = Prepare(); !status.ok()) return Fail(status);
  Say(absl::StrCat("Resolving from ", reference_->host()));
  worker::v1::ResolveRequest request;
  *request.mutable_origin() = origin_;
  request.set_object(reference_->digest().empty() ? reference_->tag() : reference_->digest());
  is_resolving_ = true;
  resolve_job_ = parts_.worker.Resolve(
      std::move(request),
      [self = shared_from_this()](absl::StatusOr<worker::v1::ResolveResponse> response) {
        self->Post([response = std::move(response)](PullRun& run) mutable {
          run.OnResolved(std::move(response));
        });
      });
  if (on_progress_) Tick();
}

absl::Status PullRun::Prepare() {
  BERTH_ASSIGN_OR_RETURN(reference_, Reference::Parse(request_.reference));
  BERTH_ASSIGN_OR_RETURN(origin_, OriginOf(*reference_, request_.access, RegistryUse::kPull));
  BERTH_ASSIGN_OR_RETURN(lease_, WorkLease::Create(parts_.leases, original_caller_));
  return absl::OkStatus();
}

void PullRun::OnResolved(absl::StatusOr<worker::v1::ResolveResponse> response) {
  is_resolving_ = false;
  if (!response.ok()) return Fail(response.status());
  if (!status_.ok()) return MaybeFinish();
  if (const absl::Status status = TakeRoot(*response); !status.ok()) return Fail(status);
  Say("fetching image content");
  Want(target_, "", std::nullopt, 0);
  MaybeFinish();
}

absl::Status PullRun::TakeRoot(const worker::v1::ResolveResponse& response) {
  target_.set_media_type(response.target().media_type());
  target_.set_digest(response.target().digest());
  target_.set_size(response.target().size());
  BERTH_ASSIGN_OR_RETURN(const Digest expected, Digest::Parse(target_.digest()),
                         _ << "the registry's answer");
  if (!reference_->digest().empty() && reference_->digest() != target_.digest()) {
    return absl::DataLossError(
        absl::StrCat("the registry answered ", target_.digest(), " for ", reference_->digest()));
  }
  if (!IsIndexType(target_.media_type()) && !IsManifestType(target_.media_type())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", target_.media_type(), "\" is no type of image manifest that can be stored"));
  }
  if (response.content().empty()) return absl::OkStatus();
  if (HashString(response.content(), expected.algorithm()) != expected) {
    return absl::DataLossError(
        absl::StrCat("the registry's manifest is not ", target_.digest(), "; nothing was stored"));
  }
  return StoreBytes(parts_.content, lease_->caller(), response.content(), {}).status();
}

void PullRun::Want(const Descriptor& descriptor, std::string parent,
                   std::optional<Platform> platform, int depth) {
  if (!wanted_.insert(descriptor.digest()).second) return;
  auto fetch = std::make_shared<Fetch>();
  fetch->descriptor = descriptor;
  fetch->parent = std::move(parent);
  fetch->platform = std::move(platform);
  fetch->depth = depth;
  running_[descriptor.digest()] = fetch;
  Tell(*fetch, "waiting", 0);
  Acquire(std::move(fetch));
}

void PullRun::Acquire(FetchPtr fetch) {
  if (!status_.ok()) {
    EndFetch(fetch);
    return MaybeFinish();
  }
  const std::string key = absl::StrCat(lease_->caller().ns, "\n", fetch->descriptor.digest());
  // Whoever waits for another pull's download looks again when that has ended, well or not.
  const auto again = [self = shared_from_this(), fetch] {
    self->Post([fetch](PullRun& run) { run.Acquire(fetch); });
  };
  if (!flights_->Claim(key, again)) return;
  fetch->is_claimed = true;
  const absl::Status started = StartFetch(fetch);
  if (absl::IsAlreadyExists(started)) return OnHere(std::move(fetch), "already exists");
  if (started.ok()) return;
  EndFetch(fetch);
  Fail(started);
}

// ALREADY_EXISTS when the blob is here.
absl::Status PullRun::StartFetch(const FetchPtr& fetch) {
  const Descriptor& descriptor = fetch->descriptor;
  // The reference by which every client of containerd's would go on with this upload.
  auto upload = parts_.content.OpenWriter(lease_->caller(), {.ref = ProgressName(descriptor),
                                                             .total = descriptor.size(),
                                                             .expected = descriptor.digest()});
  if (!upload.ok()) return upload.status();
  fetch->upload = *std::move(upload);
  if (fetch->upload->CurrentDigest() == descriptor.digest()) {
    // Another namespace's, or all of it was here before the daemon's last end.
    BERTH_RETURN_IF_ERROR(CommitFetch(*fetch));
    return absl::AlreadyExistsError("it is here");
  }
  worker::v1::FetchRequest request;
  *request.mutable_origin() = origin_;
  *request.mutable_target() = ForWorker(descriptor);
  BERTH_ASSIGN_OR_RETURN(*request.mutable_upload(), fetch->upload->FileName());
  fetch->slot = parts_.worker.LendSlot();
  const ImageUnpacker::LayerAccess access = {
      .upload = request.upload(),
      .slot = fetch->slot != nullptr ? fetch->slot->number() : 0,
      .keep = fetch->slot};
  fetch->job = parts_.worker.Fetch(
      std::move(request), fetch->slot,
      [self = shared_from_this(), fetch](absl::StatusOr<worker::v1::FetchResponse> response) {
        self->Post([fetch, response = std::move(response)](PullRun& run) mutable {
          run.OnFetched(fetch, std::move(response));
        });
      });
  Tell(*fetch, "downloading", static_cast<int64_t>(fetch->upload->offset()));
  if (access.slot != 0) {
    for (const auto& gate : gates_) gate->SetReadable(descriptor.digest(), access);
  }
  return absl::OkStatus();
}

void PullRun::OnFetched(FetchPtr fetch, absl::StatusOr<worker::v1::FetchResponse> response) {
  fetch->job = 0;
  absl::Status status = response.status();
  if (status.ok()) status = CommitFetch(*fetch);
  if (status.ok()) return OnHere(std::move(fetch), "complete");
  // What is there is gone on with by the next pull, unless it is wrong.
  if (absl::IsDataLoss(status)) fetch->upload->Abort().IgnoreError();
  EndFetch(fetch);
  Fail(status);
}

absl::Status PullRun::CommitFetch(Fetch& fetch) {
  const Descriptor& descriptor = fetch.descriptor;
  // The bytes are hashed again here: the worker reads foreign answers and is not trusted with
  // names.
  if (fetch.upload->CurrentDigest() != descriptor.digest()) {
    BERTH_RETURN_IF_ERROR(fetch.upload->Reload());
  }
  const metadata::Labels labels;
  const absl::Status committed =
      fetch.upload->Commit(descriptor.size(), descriptor.digest(), labels).status();
  if (absl::IsAlreadyExists(committed)) return absl::OkStatus();
  if (absl::IsFailedPrecondition(committed)) {
    return absl::DataLossError(absl::StrCat("the registry's bytes are not ", descriptor.digest(),
                                            "; nothing of them is "
                                            "kept: ",
                                            committed.message()));
  }
  return committed;
}

void PullRun::OnHere(FetchPtr fetch, const char* event) {
  const Descriptor& descriptor = fetch->descriptor;
  const std::string source = absl::StrCat("containerd.io/distribution.source.", reference_->host());
  absl::Status status = MergeLabels(parts_.content, lease_->caller(), descriptor.digest(),
                                    {{source, reference_->path()}});
  Tell(*fetch, event, descriptor.size());
  here_.insert(descriptor.digest());
  for (const auto& gate : gates_) gate->SetComplete(descriptor.digest(), status);
  if (status.ok() && status_.ok()) {
    const bool is_document =
        IsIndexType(descriptor.media_type()) || IsManifestType(descriptor.media_type());
    if (is_document) {
      status = TakeDocument(*fetch);
    } else if (manifests_.contains(descriptor.digest())) {
      status = TakeConfig(*fetch);
    }
  }
  EndFetch(fetch);
  if (!status.ok()) return Fail(status);
  MaybeFinish();
}

void PullRun::EndFetch(const FetchPtr& fetch) {
  running_.erase(fetch->descriptor.digest());
  fetch->upload.reset();
  fetch->slot.reset();
  if (std::exchange(fetch->is_claimed, false)) {
    flights_->Release(absl::StrCat(lease_->caller().ns, "\n", fetch->descriptor.digest()));
  }
}

absl::Status PullRun::TakeDocument(const Fetch& fetch) {
  BERTH_ASSIGN_OR_RETURN(const std::string json,
                         parts_.catalog.ReadDocument(lease_->caller(), fetch.descriptor));
  return IsIndexType(fetch.descriptor.media_type()) ? TakeIndex(fetch, json)
                                                    : TakeManifest(fetch, json);
}

absl::Status PullRun::TakeIndex(const Fetch& fetch, const std::string& json) {
  if (fetch.depth >= kMaxIndexDepth) {
    return absl::InvalidArgumentError("the image's indexes are nested too deeply");
  }
  BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(json));
  BERTH_RETURN_IF_ERROR(
      MergeLabels(parts_.content, lease_->caller(), fetch.descriptor.digest(), GcLabels(index)));
  const std::string parent = ProgressName(fetch.descriptor);
  if (request_.extent == PullRequest::Extent::kEverything) {
    for (const IndexEntry& entry : index.manifests) {
      Want(entry.descriptor, parent, entry.platform, fetch.depth + 1);
    }
    return absl::OkStatus();
  }
  std::vector<Platform> platforms = request_.platforms;
  if (platforms.empty()) platforms.push_back(HostPlatform());
  for (const Platform& platform : platforms) {
    const IndexEntry* best = BestEntry(index, platform);
    if (best == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("the image has no manifest for ", FormatPlatform(platform), ", only for ",
                       OfferedPlatforms(index), "; choose one of those with --platform"));
    }
    Want(best->descriptor, parent, best->platform, fetch.depth + 1);
  }
  if (request_.extent != PullRequest::Extent::kAllMetadata) return absl::OkStatus();
  for (const IndexEntry& entry : index.manifests) {
    if (wanted_.contains(entry.descriptor.digest())) continue;
    bare_.insert(entry.descriptor.digest());
    Want(entry.descriptor, parent, entry.platform, fetch.depth + 1);
  }
  return absl::OkStatus();
}

absl::Status PullRun::TakeManifest(const Fetch& fetch, const std::string& json) {
  BERTH_ASSIGN_OR_RETURN(ImageManifest manifest, ParseImageManifest(json));
  BERTH_RETURN_IF_ERROR(
      MergeLabels(parts_.content, lease_->caller(), fetch.descriptor.digest(), GcLabels(manifest)));
  const std::string parent = ProgressName(fetch.descriptor);
  manifest_of_[manifest.config.digest()] = fetch.descriptor;
  const Descriptor config = manifest.config;
  const std::vector<Descriptor> layers = manifest.layers;
  manifests_[config.digest()] = std::move(manifest);
  const bool is_bare = bare_.contains(fetch.descriptor.digest());
  const bool is_image = config.media_type() == kOciConfig || config.media_type() == kDockerConfig;
  if (is_image && !is_bare && !request_.unpacks.empty()) {
    // Made now, so that it hears of every layer's beginning; used once the config is here.
    for (size_t i = 0; i < request_.unpacks.size(); ++i) {
      gates_.push_back(std::make_shared<LayerGate>(layers, parent, on_progress_));
      for (const std::string& digest : here_) gates_.back()->SetComplete(digest, absl::OkStatus());
    }
  }
  Want(config, parent, std::nullopt, 0);
  if (is_bare) return absl::OkStatus();
  if (parts_.layers == LayerPolicy::kDropUnpacked && IsUnpackedElsewhere(fetch.descriptor)) {
    return absl::OkStatus();
  }
  for (const Descriptor& layer : layers) Want(layer, parent, std::nullopt, 0);
  return absl::OkStatus();
}

// Whether no layer is needed, because each asked snapshotter has them all.
bool PullRun::IsUnpackedElsewhere(const Descriptor& manifest) {
  if (request_.unpacks.empty()) return false;
  ImageRecord record;
  record.set_name(reference_->Full());
  *record.mutable_target() = manifest;
  const absl::StatusOr<ResolvedImage> image = parts_.catalog.Resolve(lease_->caller(), record);
  if (!image.ok()) return false;
  return std::all_of(
      request_.unpacks.begin(), request_.unpacks.end(), [&](const UnpackTarget& unpack) {
        return parts_.unpacker.CountUnpacked(lease_->caller(), *image, unpack.snapshotter) ==
               image->config.diff_ids.size();
      });
}

absl::Status PullRun::TakeConfig(const Fetch& fetch) {
  const std::string& config = fetch.descriptor.digest();
  const bool is_image =
      fetch.descriptor.media_type() == kOciConfig || fetch.descriptor.media_type() == kDockerConfig;
  if (!is_image || request_.unpacks.empty()) return absl::OkStatus();
  ImageRecord record;
  record.set_name(reference_->Full());
  *record.mutable_target() = manifest_of_.at(config);
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image,
                         parts_.catalog.Resolve(lease_->caller(), record));
  const std::string parent = ProgressName(manifest_of_.at(config));
  size_t next = 0;
  for (const UnpackTarget& unpack : request_.unpacks) {
    while (next < gates_.size() && !gates_[next]->IsFor(parent)) ++next;
    if (next == gates_.size()) break;
    const std::shared_ptr<LayerGate> gate = gates_[next++];
    const Platform wanted = unpack.platform.value_or(HostPlatform());
    if (MatchScore(image.platform, wanted) == 0) continue;
    ++unpacking_;
    parts_.unpacker.Unpack(lease_->caller(), image, unpack.snapshotter, gate,
                           [self = shared_from_this()](absl::Status status) {
                             self->Post([status](PullRun& run) {
                               --run.unpacking_;
                               if (!status.ok()) return run.Fail(status);
                               run.MaybeFinish();
                             });
                           });
  }
  return absl::OkStatus();
}

void PullRun::Fail(const absl::Status& status) {
  if (status_.ok() && done_ != nullptr) {
    status_ = Annotate(status, absl::StrCat("pull ", reference_.has_value() ? reference_->Full()
                                                                            : request_.reference));
    if (is_resolving_) parts_.worker.Cancel(resolve_job_);
    for (const auto& [digest, fetch] : running_) {
      if (fetch->job != 0) parts_.worker.Cancel(fetch->job);
    }
    for (const auto& gate : gates_) gate->Fail(status);
  }
  MaybeFinish();
}

void PullRun::MaybeFinish() {
  // A fetch that waits for another pull's is not with the worker: it ends when it is woken.
  if (is_resolving_ || !running_.empty() || unpacking_ > 0 || done_ == nullptr) return;
  if (status_.ok() && target_.digest().empty()) return;
  auto done = std::exchange(done_, nullptr);
  absl::StatusOr<ImageRecord> record =
      status_.ok() ? PutRecords() : absl::StatusOr<ImageRecord>(status_);
  if (!record.ok() && lease_ != nullptr) lease_->Leave();
  lease_.reset();
  done(std::move(record));
}

absl::StatusOr<ImageRecord> PullRun::PutRecords() {
  std::vector<std::string> names = request_.more_names;
  names.insert(names.begin(),
               request_.record_name.empty() ? reference_->Full() : request_.record_name);
  std::optional<ImageRecord> first;
  for (const std::string& name : names) {
    ImageRecord record;
    record.set_name(name);
    *record.mutable_target() = target_;
    for (const auto& [key, value] : request_.labels) (*record.mutable_labels())[key] = value;
    BERTH_ASSIGN_OR_RETURN(ImageRecord stored, parts_.catalog.Put(lease_->caller(), record),
                           _ << "create image " << name);
    if (on_progress_) {
      on_progress_({.event = "saved",
                    .name = name,
                    .parent = "",
                    .done_bytes = 0,
                    .total_bytes = 0,
                    .descriptor = target_});
    }
    if (!first.has_value()) first = std::move(stored);
  }
  return *std::move(first);
}

void PullRun::Tell(const Fetch& fetch, const char* event, int64_t done_bytes) {
  if (!on_progress_) return;
  on_progress_({.event = event,
                .name = ProgressName(fetch.descriptor),
                .parent = fetch.parent,
                .done_bytes = done_bytes,
                .total_bytes = fetch.descriptor.size(),
                .descriptor = fetch.descriptor});
}

void PullRun::Say(std::string words) {
  if (!on_progress_) return;
  on_progress_({.event = std::move(words),
                .name = "",
                .parent = "",
                .done_bytes = 0,
                .total_bytes = 0,
                .descriptor = {}});
}

void PullRun::Tick() {
  if (done_ == nullptr) return;
  for (const auto& [digest, fetch] : running_) {
    if (fetch->slot == nullptr || fetch->job == 0) continue;
    Tell(*fetch, "downloading", static_cast<int64_t>(fetch->slot->Read().offset));
  }
  parts_.loop.Post([self = shared_from_this()]() mutable {
    Loop& loop = self->parts_.loop;
    loop.After(kTick, [self = std::move(self)] { self->Post([](PullRun& run) { run.Tick(); }); });
  });
}

}  // namespace berth::image

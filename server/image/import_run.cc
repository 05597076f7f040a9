#include "server/image/import_run.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest/hasher.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/content/ingest_writer.h"
#include "server/image/blob_writer.h"
#include "server/worker/client/worker_client.h"

namespace berth::image {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

absl::Status ReadExactly(BorrowedFd fd, char* buffer, size_t size, int64_t offset) {
  while (size > 0) {
    const ssize_t got = ::pread(fd.get(), buffer, size, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread", "the archive");
    if (got == 0) return absl::DataLossError("the archive is cut off; make or fetch it again");
    buffer += got;
    size -= static_cast<size_t>(got);
    offset += got;
  }
  return absl::OkStatus();
}

}  // namespace

ImportRun::ImportRun(const ImageImporter::Parts& parts, metadata::Caller caller,
                     ImportRequest request, std::unique_ptr<SpoolFile> archive,
                     ImageImporter::Done done)
    : parts_(parts),
      original_caller_(std::move(caller)),
      request_(std::move(request)),
      archive_(std::move(archive)),
      done_(std::move(done)) {}

void ImportRun::Start() {
  parts_.executor.PostContinuation([self = shared_from_this()] {
    if (const absl::Status status = self->Begin(); !status.ok()) self->EndStoring(status);
  });
}

absl::Status ImportRun::Begin() {
  BERTH_ASSIGN_OR_RETURN(lease_, WorkLease::Create(parts_.leases, original_caller_));
  BERTH_ASSIGN_OR_RETURN(plain_,
                         SpoolFile::Create(parts_.content, lease_->caller(), "import-plain"));
  worker::v1::ReadArchiveRequest request;
  request.set_archive(archive_->file());
  request.set_plain(plain_->file());
  parts_.worker.ReadArchive(
      std::move(request),
      [self = shared_from_this()](absl::StatusOr<worker::v1::ReadArchiveResponse> members) mutable {
        Executor& executor = self->parts_.executor;
        executor.PostContinuation([self = std::move(self), members = std::move(members)]() mutable {
          self->OnMembers(std::move(members));
        });
      });
  return absl::OkStatus();
}

void ImportRun::OnMembers(absl::StatusOr<worker::v1::ReadArchiveResponse> members) {
  EndStoring(members.ok() ? Store(*members) : members.status());
}

absl::Status ImportRun::Store(const worker::v1::ReadArchiveResponse& members) {
  if (members.decompressed()) {
    bytes_ = plain_->fd();
    archive_.reset();  // the disk is wanted for the blobs
  } else {
    bytes_ = archive_->fd();
  }
  files_ = std::make_unique<ArchiveFiles>(members);
  const absl::StatusOr<ArchiveFile> index = files_->Find(kOciIndexFile);
  const absl::StatusOr<ArchiveFile> manifest = files_->Find(kDockerManifestFile);
  if (index.ok()) {
    BERTH_ASSIGN_OR_RETURN(const std::string json, ReadText(*index), _ << kOciIndexFile);
    BERTH_RETURN_IF_ERROR(StoreOci(json));
  } else if (manifest.ok()) {
    BERTH_ASSIGN_OR_RETURN(const std::string json, ReadText(*manifest), _ << kDockerManifestFile);
    BERTH_RETURN_IF_ERROR(StoreDocker(json));
  } else {
    return absl::InvalidArgumentError(
        "the archive holds no image: it has neither manifest.json (docker save) nor index.json "
        "(OCI "
        "layout) at its top");
  }
  if (records_.empty()) return absl::InvalidArgumentError("the archive holds no image");
  return StoreLayers();
}

bool ImportRun::IsWanted(const Platform& platform) const {
  return request_.platforms.empty() ||
         std::any_of(request_.platforms.begin(), request_.platforms.end(),
                     [&](const Platform& wanted) { return MatchScore(platform, wanted) > 0; });
}

absl::StatusOr<std::string> ImportRun::ReadText(const ArchiveFile& file) const {
  if (file.size_bytes > kMaxDocumentBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a document is larger than ", kMaxDocumentBytes,
                                                   " bytes, which no image's is"));
  }
  std::string text(static_cast<size_t>(file.size_bytes), '\0');
  BERTH_RETURN_IF_ERROR(ReadExactly(bytes_, text.data(), text.size(), file.offset));
  return text;
}

absl::StatusOr<std::string> ImportRun::ReadBlobText(const Descriptor& descriptor) const {
  const absl::StatusOr<ArchiveFile> file = files_->FindBlob(descriptor.digest());
  // What the archive leaves out may be here already.
  if (!file.ok()) return parts_.catalog.ReadDocument(lease_->caller(), descriptor);
  BERTH_ASSIGN_OR_RETURN(std::string text, ReadText(*file), _ << descriptor.digest());
  BERTH_ASSIGN_OR_RETURN(const Digest expected, Digest::Parse(descriptor.digest()));
  if (HashString(text, expected.algorithm()) != expected) {
    return absl::DataLossError(absl::StrCat("the archive is damaged: its file for ",
                                            descriptor.digest(), " holds something else"));
  }
  return text;
}

absl::Status ImportRun::StoreOci(absl::string_view index_json) {
  BERTH_ASSIGN_OR_RETURN(std::vector<OciArchiveImage> images, ParseOciLayout(index_json));
  std::vector<std::string> skipped;
  for (const OciArchiveImage& image : images) {
    BERTH_ASSIGN_OR_RETURN(const bool stored, StoreTree(image.target, std::nullopt, 0));
    if (!stored) {
      skipped.push_back(image.names.empty() ? image.target.digest() : image.names[0]);
      continue;
    }
    BERTH_RETURN_IF_ERROR(AddRecords(image.names, image.target));
    StartUnpacking(image.target);
  }
  if (records_.empty() && !skipped.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "the archive's images (", absl::StrJoin(skipped, ", "),
        ") have no manifest for the asked platforms in it; ask for others, or for all"));
  }
  return absl::OkStatus();
}

// Stores the documents below `target`; false when the archive has none of a wanted platform.
absl::StatusOr<bool> ImportRun::StoreTree(const Descriptor& target,
                                          const std::optional<Platform>& platform, int depth) {
  if (depth > kMaxIndexDepth) {
    return absl::InvalidArgumentError("the archive's indexes are nested too deeply");
  }
  const absl::StatusOr<std::string> json = ReadBlobText(target);
  // An archive may hold the manifests of some platforms only.
  if (absl::IsNotFound(json.status()) && depth > 0) return false;
  BERTH_RETURN_IF_ERROR(json.status()) << "read the image's documents";
  if (!IsIndexType(target.media_type())) {
    if (!IsManifestType(target.media_type())) {
      return absl::InvalidArgumentError(absl::StrCat("\"", target.media_type(), "\" of ",
                                                     target.digest(), " is no type of manifest"));
    }
    if (platform.has_value() && !IsWanted(*platform)) return false;
    BERTH_RETURN_IF_ERROR(StoreManifest(target, *json)) << "manifest " << target.digest();
    return true;
  }
  BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(*json));
  bool any = false;
  for (const IndexEntry& entry : index.manifests) {
    BERTH_ASSIGN_OR_RETURN(const bool stored,
                           StoreTree(entry.descriptor, entry.platform, depth + 1));
    any = any || (stored && !entry.is_attachment());
  }
  if (!any) return false;
  return StoreBytes(parts_.content, lease_->caller(), *json, GcLabels(index)).ok();
}

absl::Status ImportRun::StoreManifest(const Descriptor& target, const std::string& json) {
  if (!seen_.insert(target.digest()).second) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(json));
  BERTH_ASSIGN_OR_RETURN(const std::string config, ReadBlobText(manifest.config),
                         _ << "the image's config");
  BERTH_RETURN_IF_ERROR(StoreBytes(parts_.content, lease_->caller(), config, {}).status());
  BERTH_RETURN_IF_ERROR(
      StoreBytes(parts_.content, lease_->caller(), json, GcLabels(manifest)).status());
  for (const Descriptor& layer : manifest.layers) {
    if (files_->FindBlob(layer.digest()).ok()) continue;
    BERTH_RETURN_IF_ERROR(parts_.content.GetInfo(lease_->caller(), layer.digest()).status())
        << "the archive lacks a layer";
  }
  chosen_.push_back({.manifest = target, .layers = manifest.layers, .layer_paths = {}});
  return absl::OkStatus();
}

absl::Status ImportRun::StoreDocker(absl::string_view manifest_json) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<DockerArchiveImage> images,
                         ParseDockerArchive(manifest_json));
  for (const DockerArchiveImage& image : images) {
    BERTH_ASSIGN_OR_RETURN(const Descriptor target, StoreDockerImage(image));
    BERTH_RETURN_IF_ERROR(AddRecords(image.names, target));
    StartUnpacking(target);
  }
  return absl::OkStatus();
}

absl::StatusOr<Descriptor> ImportRun::StoreDockerImage(const DockerArchiveImage& image) {
  BERTH_ASSIGN_OR_RETURN(const ArchiveFile config_file, files_->Find(image.config));
  BERTH_ASSIGN_OR_RETURN(const std::string config, ReadText(config_file), _ << image.config);
  BERTH_ASSIGN_OR_RETURN(const ImageConfig parsed, ParseImageConfig(config), _ << image.config);
  if (!IsWanted(parsed.platform)) {
    return absl::NotFoundError(absl::StrCat("the archive's image is for ",
                                            FormatPlatform(Normalized(parsed.platform)),
                                            ", which was not asked for"));
  }
  if (parsed.diff_ids.size() != image.layers.size()) {
    return absl::InvalidArgumentError(absl::StrCat("manifest.json names ", image.layers.size(),
                                                   " layers, the image's config ",
                                                   parsed.diff_ids.size()));
  }
  Chosen chosen;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    BERTH_ASSIGN_OR_RETURN(const ArchiveFile file, files_->Find(image.layers[i]));
    char magic[4] = {};
    const size_t magic_size = std::min<size_t>(sizeof(magic), static_cast<size_t>(file.size_bytes));
    BERTH_RETURN_IF_ERROR(ReadExactly(bytes_, magic, magic_size, file.offset));
    Descriptor layer;
    layer.set_media_type(DockerLayerType(absl::string_view(magic, magic_size)));
    layer.set_size(file.size_bytes);
    if (layer.media_type() == kDockerLayer) {
      // A plain layer is its own diffID: it need not be copied to know its name.
      layer.set_digest(parsed.diff_ids[i]);
    } else {
      BERTH_ASSIGN_OR_RETURN(const Descriptor stored, CopyBlob(file, ""), _ << image.layers[i]);
      layer.set_digest(stored.digest());
    }
    chosen.layers.push_back(std::move(layer));
    chosen.layer_paths.push_back(image.layers[i]);
  }
  Descriptor config_descriptor;
  config_descriptor.set_media_type(kDockerConfig);
  config_descriptor.set_size(static_cast<int64_t>(config.size()));
  BERTH_ASSIGN_OR_RETURN(*config_descriptor.mutable_digest(),
                         StoreBytes(parts_.content, lease_->caller(), config, {}));
  const std::string manifest = MakeDockerManifest(config_descriptor, chosen.layers);
  chosen.manifest.set_media_type(kDockerManifest);
  chosen.manifest.set_size(static_cast<int64_t>(manifest.size()));
  BERTH_ASSIGN_OR_RETURN(const ImageManifest made, ParseImageManifest(manifest));
  BERTH_ASSIGN_OR_RETURN(*chosen.manifest.mutable_digest(),
                         StoreBytes(parts_.content, lease_->caller(), manifest, GcLabels(made)));
  Descriptor target = chosen.manifest;
  chosen_.push_back(std::move(chosen));
  return target;
}

absl::Status ImportRun::AddRecords(const std::vector<std::string>& given,
                                   const Descriptor& target) {
  std::vector<std::string> names = request_.naming.names;
  if (!names.empty() && !records_.empty() && records_[0].target().digest() != target.digest()) {
    return absl::InvalidArgumentError(
        "the archive holds several images, which cannot all get the one name that was given");
  }
  if (names.empty()) names = NamesFor(request_.naming, given, target.digest());
  for (const std::string& name : names) {
    ImageRecord record;
    record.set_name(name);
    *record.mutable_target() = target;
    for (const auto& [key, value] : request_.labels) (*record.mutable_labels())[key] = value;
    records_.push_back(std::move(record));
  }
  return absl::OkStatus();
}

void ImportRun::StartUnpacking(const Descriptor& target) {
  ImageRecord record;
  record.set_name(records_.empty() ? target.digest() : records_.back().name());
  *record.mutable_target() = target;
  for (const UnpackTarget& unpack : request_.unpacks) {
    absl::StatusOr<ResolvedImage> image =
        parts_.catalog.Resolve(lease_->caller(), record, unpack.platform);
    // An archive for another machine is stored and not unpacked.
    if (!image.ok()) continue;
    if (std::any_of(image->layers.begin(), image->layers.end(),
                    [](const Descriptor& layer) { return !IsLayerType(layer.media_type()); })) {
      continue;
    }
    auto gate = std::make_shared<LayerGate>(image->layers, ProgressName(image->manifest),
                                            request_.on_progress);
    gates_.push_back(gate);
    {
      MutexLock lock(&mutex_);
      ++unpacking_;
    }
    parts_.unpacker.Unpack(
        lease_->caller(), *image, unpack.snapshotter, gate,
        [self = shared_from_this()](absl::Status status) { self->OnUnpacked(status); });
  }
}

absl::Status ImportRun::StoreLayers() {
  for (const Chosen& chosen : chosen_) {
    for (size_t i = 0; i < chosen.layers.size(); ++i) {
      const Descriptor& layer = chosen.layers[i];
      const absl::StatusOr<ArchiveFile> file = chosen.layer_paths.empty()
                                                   ? files_->FindBlob(layer.digest())
                                                   : files_->Find(chosen.layer_paths[i]);
      if (file.ok()) {
        BERTH_RETURN_IF_ERROR(CopyBlob(*file, layer.digest()).status())
            << "store layer " << layer.digest();
      }
      Tell("complete", layer);
      for (const auto& gate : gates_) gate->SetComplete(layer.digest(), absl::OkStatus());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Descriptor> ImportRun::CopyBlob(const ArchiveFile& file,
                                               const std::string& expected) {
  Descriptor stored;
  stored.set_size(file.size_bytes);
  stored.set_digest(expected);
  auto writer = parts_.content.OpenWriter(
      lease_->caller(),
      {.ref = RandomRef("import"), .total = file.size_bytes, .expected = expected});
  if (absl::IsAlreadyExists(writer.status())) return stored;
  BERTH_RETURN_IF_ERROR(writer.status());
  const auto copy = [&]() -> absl::Status {
    BERTH_RETURN_IF_ERROR(CopyBytes(file, expected, **writer));
    stored.set_digest(expected.empty() ? (*writer)->CurrentDigest() : expected);
    const absl::Status committed = (*writer)->Commit(file.size_bytes, stored.digest(), {}).status();
    if (absl::IsFailedPrecondition(committed)) {
      return absl::DataLossError(
          absl::StrCat("the archive is damaged: its file for ", expected, " holds something else"));
    }
    return absl::IsAlreadyExists(committed) ? absl::OkStatus() : committed;
  };
  const absl::Status copied = copy();
  if (!copied.ok()) {
    (*writer)->Abort().IgnoreError();
    return copied;
  }
  return stored;
}

absl::Status ImportRun::CopyBytes(const ArchiveFile& file, const std::string& expected,
                                  content::IngestWriter& writer) {
  int64_t at = static_cast<int64_t>(writer.offset());  // all of it for a shared blob
  if (at >= file.size_bytes) return absl::OkStatus();
  std::shared_ptr<worker::ProgressSlot> slot;
  if (!expected.empty() && !gates_.empty()) {
    slot = parts_.worker.LendSlot();
  }
  if (slot != nullptr) {
    // The layer is unpacked behind the copy; what hashes to something else is not committed.
    BERTH_ASSIGN_OR_RETURN(const std::string upload, writer.FileName());
    const ImageUnpacker::LayerAccess access = {
        .upload = upload, .slot = slot->number(), .keep = slot};
    for (const auto& gate : gates_) gate->SetReadable(expected, access);
  }
  // Whatever happens here, who follows must hear of the end.
  worker::ProgressState end = worker::ProgressState::kFailed;
  const absl::Cleanup tell = [&] {
    if (slot != nullptr) slot->End(end);
  };
  const auto total = static_cast<uint64_t>(file.size_bytes);
  const std::unique_ptr<char[]> buffer(new char[kCopyBytes]);
  while (at < file.size_bytes) {
    const size_t piece = std::min<size_t>(kCopyBytes, static_cast<size_t>(file.size_bytes - at));
    BERTH_RETURN_IF_ERROR(ReadExactly(bytes_, buffer.get(), piece, file.offset + at));
    BERTH_RETURN_IF_ERROR(writer.Write(absl::string_view(buffer.get(), piece)));
    at += static_cast<int64_t>(piece);
    if (slot != nullptr) slot->Advance(static_cast<uint64_t>(at), total);
  }
  end = worker::ProgressState::kDone;
  return absl::OkStatus();
}

void ImportRun::Tell(const char* event, const Descriptor& descriptor) {
  if (!request_.on_progress) return;
  request_.on_progress({.event = event,
                        .name = ProgressName(descriptor),
                        .parent = "",
                        .done_bytes = descriptor.size(),
                        .total_bytes = descriptor.size(),
                        .descriptor = descriptor});
}

void ImportRun::OnUnpacked(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    --unpacking_;
    status_.Update(status);
  }
  MaybeFinish();
}

void ImportRun::EndStoring(const absl::Status& status) {
  if (!status.ok()) {
    for (const auto& gate : gates_) gate->Fail(status);
  }
  {
    MutexLock lock(&mutex_);
    is_storing_ = false;
    // What storing failed of is the reason of what unpacking failed of.
    if (!status.ok()) status_ = status;
  }
  MaybeFinish();
}

void ImportRun::MaybeFinish() {
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    if (is_storing_ || unpacking_ > 0 || done_ == nullptr) return;
    status = status_;
  }
  auto done = std::exchange(done_, nullptr);
  if (status.ok()) status = PutRecords();
  archive_.reset();
  plain_.reset();
  lease_.reset();
  if (!status.ok()) return done(status);
  done(std::move(records_));
}

absl::Status ImportRun::PutRecords() {
  for (ImageRecord& record : records_) {
    BERTH_ASSIGN_OR_RETURN(record, parts_.catalog.Put(lease_->caller(), record),
                           _ << "create image " << record.name());
    if (request_.on_progress) {
      request_.on_progress({.event = "saved",
                            .name = record.name(),
                            .parent = "",
                            .done_bytes = 0,
                            .total_bytes = 0,
                            .descriptor = record.target()});
    }
  }
  return absl::OkStatus();
}

void ImageImporter::Import(const Caller& caller, ImportRequest request,
                           std::unique_ptr<SpoolFile> archive, Done done) {
  std::make_shared<ImportRun>(parts_, caller, std::move(request), std::move(archive),
                              std::move(done))
      ->Start();
}

}  // namespace berth::image

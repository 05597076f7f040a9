#include "server/image/image_exporter.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/json/writer.h"
#include "base/reference/reference.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/image/tar_header.h"

namespace berth::image {
namespace {

std::string BlobPath(absl::string_view digest) {
  return absl::StrCat("blobs/", absl::StrReplaceAll(digest, {{":", "/"}}));
}

bool IsForeign(absl::string_view media_type) {
  return absl::StrContains(media_type, "nondistributable") ||
         absl::StrContains(media_type, "foreign");
}

// Pieces of the archive in their order: bytes of ours, or a blob.
class Archive final : public ArchiveSource {
 public:
  void AddText(std::string bytes) {
    size_bytes_ += static_cast<int64_t>(bytes.size());
    pieces_.push_back({.bytes = std::move(bytes), .blob = {}, .digest = ""});
  }
  void AddFile(absl::string_view path, absl::string_view content) {
    const auto size = static_cast<int64_t>(content.size());
    AddText(absl::StrCat(TarHeader(path, size, TarEntry::kFile), content,
                         std::string(static_cast<size_t>(TarPadding(size)), '\0')));
  }
  void AddBlob(const std::string& digest, content::BlobFile blob) {
    const auto size = static_cast<int64_t>(blob.size);
    AddText(TarHeader(BlobPath(digest), size, TarEntry::kFile));
    size_bytes_ += size;
    pieces_.push_back({.bytes = "", .blob = std::move(blob), .digest = digest});
    AddText(std::string(static_cast<size_t>(TarPadding(size)), '\0'));
  }
  void AddEnd() { AddText(std::string(2 * kTarBlockBytes, '\0')); }

  int64_t size_bytes() const override { return size_bytes_; }

  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override {
    size_t filled = 0;
    while (filled < capacity && current_ < pieces_.size()) {
      Piece& piece = pieces_[current_];
      const uint64_t size = piece.blob.fd.valid() ? piece.blob.size : piece.bytes.size();
      if (offset_ == size) {
        piece = Piece();  // closes the blob
        ++current_;
        offset_ = 0;
        continue;
      }
      const size_t want = std::min<uint64_t>(capacity - filled, size - offset_);
      if (!piece.blob.fd.valid()) {
        std::copy_n(piece.bytes.data() + offset_, want, buffer + filled);
        offset_ += want;
        filled += want;
        continue;
      }
      const ssize_t got =
          ::pread(piece.blob.fd.get(), buffer + filled, want, static_cast<off_t>(offset_));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, "pread", piece.digest);
      if (got == 0) return absl::DataLossError(absl::StrCat(piece.digest, " is cut off"));
      offset_ += static_cast<uint64_t>(got);
      filled += static_cast<size_t>(got);
    }
    return filled;
  }

 private:
  struct Piece {
    std::string bytes;
    content::BlobFile blob;
    std::string digest;
  };
  std::vector<Piece> pieces_;
  size_t current_ = 0;
  uint64_t offset_ = 0;
  int64_t size_bytes_ = 0;
};

class ExportPlan {
 public:
  ExportPlan(ImageCatalog& catalog, content::ContentStore& content, const metadata::Caller& caller,
             const ExportRequest& request)
      : catalog_(catalog), content_(content), caller_(caller), request_(request) {}

  absl::StatusOr<std::unique_ptr<ArchiveSource>> Make() {
    archive_->AddText(TarHeader("blobs/", 0, TarEntry::kDirectory));
    archive_->AddText(TarHeader("blobs/sha256/", 0, TarEntry::kDirectory));
    index_.BeginObject().Key("schemaVersion").Int(2).Key("mediaType").String(kOciIndex);
    index_.Key("manifests").BeginArray();
    docker_.BeginArray();
    for (const std::string& name : request_.names) {
      BERTH_ASSIGN_OR_RETURN(const ImageRecord record, catalog_.FindRecord(caller_, name));
      BERTH_RETURN_IF_ERROR(AddImage(record)) << "export image " << record.name();
    }
    index_.EndArray().EndObject();
    docker_.EndArray();
    archive_->AddFile("index.json", index_.Take());
    if (has_docker_ && request_.docker_manifest == ExportRequest::DockerManifest::kWrite) {
      archive_->AddFile("manifest.json", docker_.Take());
    }
    archive_->AddFile("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    archive_->AddEnd();
    return std::move(archive_);
  }

 private:
  absl::Status AddImage(const ImageRecord& record) {
    BERTH_ASSIGN_OR_RETURN(const bool any, AddTree(record.target(), std::nullopt, 0));
    if (!any) {
      return absl::NotFoundError("nothing of the asked platforms is here; pull them first");
    }
    AddIndexEntry(record);
    if (request_.docker_manifest == ExportRequest::DockerManifest::kWrite) {
      AddDockerEntry(record);
    }
    return absl::OkStatus();
  }

  // False when nothing of a wanted platform is below `target`.
  absl::StatusOr<bool> AddTree(const Descriptor& target, const std::optional<Platform>& platform,
                               int depth) {
    if (depth > kMaxIndexDepth) return absl::InvalidArgumentError("indexes are nested too deeply");
    const absl::StatusOr<std::string> json = catalog_.ReadDocument(caller_, target);
    // Of an index only some manifests may be here.
    if (absl::IsNotFound(json.status()) && depth > 0) return false;
    BERTH_RETURN_IF_ERROR(json.status());
    if (IsIndexType(target.media_type())) {
      BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(*json));
      bool any = false;
      for (const IndexEntry* entry : Wanted(index)) {
        BERTH_ASSIGN_OR_RETURN(const bool added,
                               AddTree(entry->descriptor, entry->platform, depth + 1));
        any = any || (added && !entry->is_attachment());
      }
      if (!any) return false;
      BERTH_RETURN_IF_ERROR(AddBlob(target));
      return true;
    }
    BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(*json));
    // With all platforms asked for, those that are whole are meant.
    if (depth > 0 && !IsWhole(manifest)) {
      if (request_.extent == ExportRequest::Extent::kAllPlatforms) return false;
    }
    BERTH_RETURN_IF_ERROR(AddBlob(target));
    BERTH_RETURN_IF_ERROR(AddBlob(manifest.config));
    for (const Descriptor& layer : manifest.layers) {
      const bool skips = IsForeign(layer.media_type()) &&
                         request_.foreign_layers == ExportRequest::Foreign::kLeaveOut;
      if (skips) continue;
      BERTH_RETURN_IF_ERROR(AddBlob(layer));
    }
    return true;
  }

  // With platforms chosen: the best entry of each.
  std::vector<const IndexEntry*> Wanted(const ImageIndex& index) const {
    std::vector<const IndexEntry*> entries;
    if (request_.extent == ExportRequest::Extent::kAllPlatforms) {
      for (const IndexEntry& entry : index.manifests) entries.push_back(&entry);
      return entries;
    }
    std::vector<Platform> wanted = request_.platforms;
    if (wanted.empty()) wanted.push_back(HostPlatform());
    for (const Platform& platform : wanted) {
      const IndexEntry* best = BestEntry(index, platform);
      if (best != nullptr && std::find(entries.begin(), entries.end(), best) == entries.end()) {
        entries.push_back(best);
      }
    }
    return entries;
  }

  bool IsWhole(const ImageManifest& manifest) const {
    if (!content_.GetInfo(caller_, manifest.config.digest()).ok()) return false;
    return std::all_of(manifest.layers.begin(), manifest.layers.end(), [&](const Descriptor& d) {
      return content_.GetInfo(caller_, d.digest()).ok();
    });
  }

  absl::Status AddBlob(const Descriptor& descriptor) {
    if (!written_.insert(descriptor.digest()).second) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(content::BlobFile blob, content_.OpenBlob(caller_, descriptor.digest()),
                           _ << "its blob is not here; pull the image again");
    archive_->AddBlob(descriptor.digest(), std::move(blob));
    return absl::OkStatus();
  }

  void AddIndexEntry(const ImageRecord& record) {
    index_.BeginObject();
    index_.Key("mediaType").String(record.target().media_type());
    index_.Key("digest").String(record.target().digest());
    index_.Key("size").Int(record.target().size());
    index_.Key("annotations").BeginObject();
    index_.Key("io.containerd.image.name").String(record.name());
    const absl::StatusOr<Reference> reference = Reference::Parse(record.name());
    if (reference.ok() && !reference->tag().empty()) {
      index_.Key("org.opencontainers.image.ref.name").String(reference->tag());
    }
    index_.EndObject().EndObject();
  }

  void AddDockerEntry(const ImageRecord& record) {
    std::optional<Platform> platform;
    if (!request_.platforms.empty()) platform = request_.platforms[0];
    const absl::StatusOr<ResolvedImage> image = catalog_.Resolve(caller_, record, platform);
    if (!image.ok()) return;  // another machine's: docker could not run it
    has_docker_ = true;
    docker_.BeginObject().Key("Config").String(BlobPath(image->config_descriptor.digest()));
    docker_.Key("RepoTags").BeginArray();
    const absl::StatusOr<Reference> reference = Reference::Parse(record.name());
    if (reference.ok() && reference->digest().empty()) docker_.String(reference->Familiar());
    docker_.EndArray().Key("Layers").BeginArray();
    for (const Descriptor& layer : image->layers) docker_.String(BlobPath(layer.digest()));
    docker_.EndArray().EndObject();
  }

  ImageCatalog& catalog_;
  content::ContentStore& content_;
  const metadata::Caller& caller_;
  const ExportRequest& request_;
  std::unique_ptr<Archive> archive_ = std::make_unique<Archive>();
  json::Writer index_;
  json::Writer docker_;
  bool has_docker_ = false;
  std::set<std::string> written_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveSource>> ImageExporter::Export(const Caller& caller,
                                                                     const ExportRequest& request) {
  if (request.names.empty()) return absl::InvalidArgumentError("no image to export was named");
  return ExportPlan(catalog_, content_, caller, request).Make();
}

}  // namespace berth::image

#include "client/sdk/image_import.h"

#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/digest/hasher.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/sdk/archive_reader.h"
#include "client/sdk/content_client.h"
#include "client/sdk/image_document.h"
#include "client/sdk/json_access.h"
#include "client/sdk/random_id.h"

namespace berth::client {
namespace {

// Documents at the top of an archive that say what is in it. They never become blobs.
constexpr absl::string_view kOciLayoutFile = "oci-layout";
constexpr absl::string_view kOciIndexFile = "index.json";
constexpr absl::string_view kDockerManifestFile = "manifest.json";
constexpr absl::string_view kBlobDirectory = "blobs/";

constexpr int kMaxIndexDepth = 4;
constexpr int kMaxLinks = 16;

struct StoredFile {
  std::string digest;
  int64_t size_bytes = 0;
  std::string magic;  // its first bytes
};

// "blobs/sha256/<hex>" -> "sha256:<hex>", empty for other paths.
std::string DigestFromPath(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, kBlobDirectory)) return "";
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(path, '/');
  absl::StatusOr<Digest> digest = Digest::Parse(absl::StrCat(parts.first, ":", parts.second));
  return digest.ok() ? digest->text() : "";
}

// Where a link in the archive points, as a path in the archive.
std::string ResolveLink(absl::string_view from, absl::string_view target) {
  std::vector<absl::string_view> parts = absl::StrSplit(from, '/');
  parts.pop_back();
  for (absl::string_view part : absl::StrSplit(target, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  std::string path;
  for (absl::string_view part : parts) absl::StrAppend(&path, path.empty() ? "" : "/", part);
  return path;
}

std::string LayerMediaType(absl::string_view magic) {
  if (magic.substr(0, 2) == "\x1f\x8b") return absl::StrCat(kDockerLayer, ".gzip");
  if (magic.substr(0, 4) == "\x28\xb5\x2f\xfd") return absl::StrCat(kDockerLayer, ".zstd");
  return kDockerLayer;
}

class Import {
 public:
  Import(const Connection& connection, const ImportOptions& options)
      : content_(connection), images_(connection), options_(options) {}

  absl::StatusOr<std::vector<ImageRecord>> Run(BorrowedFd fd) {
    BERTH_RETURN_IF_ERROR(ReadArchive(fd));
    if (documents_.contains(std::string(kOciIndexFile))) {
      BERTH_RETURN_IF_ERROR(CollectOciImages());
    } else if (documents_.contains(std::string(kDockerManifestFile))) {
      BERTH_RETURN_IF_ERROR(CollectDockerImages());
    } else {
      return absl::InvalidArgumentError(
          "the archive is no image: it has neither manifest.json (docker save) nor index.json "
          "(OCI layout)");
    }
    if (records_.empty()) return absl::InvalidArgumentError("the archive holds no image");
    for (const ImageRecord& record : records_) {
      BERTH_RETURN_IF_ERROR(images_.Put(record)) << "create image " << record.name();
    }
    return std::move(records_);
  }

 private:
  absl::Status ReadArchive(BorrowedFd fd) {
    BERTH_ASSIGN_OR_RETURN(ArchiveReader reader, ArchiveReader::Open(fd));
    ArchiveEntry entry;
    for (;;) {
      BERTH_ASSIGN_OR_RETURN(const bool more, reader.Next(entry));
      if (!more) return absl::OkStatus();
      if (entry.kind == ArchiveEntry::Kind::kLink) {
        links_[entry.path] = ResolveLink(entry.path, entry.link_target);
      } else if (entry.kind == ArchiveEntry::Kind::kFile) {
        BERTH_RETURN_IF_ERROR(ReadFile(reader, entry));
      }
    }
  }

  absl::Status ReadFile(ArchiveReader& reader, const ArchiveEntry& entry) {
    if (entry.path == kOciIndexFile || entry.path == kDockerManifestFile ||
        entry.path == kOciLayoutFile) {
      return ReadDocument(reader, entry);
    }
    return Annotate(StoreFile(reader, entry), absl::StrCat("store \"", entry.path, "\""));
  }

  absl::Status ReadDocument(ArchiveReader& reader, const ArchiveEntry& entry) {
    if (entry.size_bytes > kMaxDocumentBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", entry.path, "\" is larger than ", kMaxDocumentBytes, " bytes"));
    }
    std::string& text = documents_[entry.path];
    text.clear();
    for (;;) {
      BERTH_ASSIGN_OR_RETURN(const absl::string_view piece, reader.ReadPiece());
      if (piece.empty()) return absl::OkStatus();
      absl::StrAppend(&text, piece);
    }
  }

  // Streams the file into the store. A blob that is there already is hashed no second time when
  // its path names its digest.
  absl::Status StoreFile(ArchiveReader& reader, const ArchiveEntry& entry) {
    const std::string expected = DigestFromPath(entry.path);
    const std::string ref = absl::StrCat("import-", RandomId());
    absl::StatusOr<std::unique_ptr<BlobWriter>> writer = content_.OpenWriter(
        {.ref = ref, .total_bytes = entry.size_bytes, .expected_digest = expected});
    if (absl::IsAlreadyExists(writer.status())) {
      files_[entry.path] = {expected, entry.size_bytes, ""};
      return absl::OkStatus();
    }
    BERTH_RETURN_IF_ERROR(writer.status());
    const absl::Status stored = WriteFile(reader, entry, **writer, expected);
    if (!stored.ok()) {
      writer->reset();  // an open upload cannot be aborted
      content_.Abort(ref).IgnoreError();
    }
    return stored;
  }

  absl::Status WriteFile(ArchiveReader& reader, const ArchiveEntry& entry, BlobWriter& writer,
                         const std::string& expected) {
    Hasher hasher;
    StoredFile file;
    for (;;) {
      BERTH_ASSIGN_OR_RETURN(const absl::string_view piece, reader.ReadPiece());
      if (piece.empty()) break;
      if (file.magic.empty()) file.magic = std::string(piece.substr(0, 8));
      if (expected.empty()) hasher.Update(piece);
      file.size_bytes += static_cast<int64_t>(piece.size());
      BERTH_RETURN_IF_ERROR(writer.Write(piece));
    }
    file.digest = expected.empty() ? hasher.Current().text() : expected;
    const absl::Status committed = writer.Commit(file.digest, {});
    if (!committed.ok() && !absl::IsAlreadyExists(committed)) return committed;
    files_[entry.path] = std::move(file);
    return absl::OkStatus();
  }

  // The stored file at `path`, through links.
  absl::StatusOr<StoredFile> Stored(std::string path) const {
    for (int i = 0; i < kMaxLinks; ++i) {
      if (auto file = files_.find(path); file != files_.end()) return file->second;
      auto link = links_.find(path);
      if (link == links_.end()) break;
      path = link->second;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("the archive's manifest names \"", path, "\", which the archive lacks"));
  }

  absl::Status CollectDockerImages() {
    BERTH_ASSIGN_OR_RETURN(const Json list, ParseJson(documents_[std::string(kDockerManifestFile)]),
                           _ << "manifest.json");
    if (!list.is_array()) return absl::InvalidArgumentError("manifest.json is no array");
    for (const Json& image : list) {
      Descriptor config;
      BERTH_ASSIGN_OR_RETURN(const StoredFile config_file, Stored(StringAt(image, "Config")));
      config.set_media_type(kDockerConfig);
      config.set_digest(config_file.digest);
      config.set_size(config_file.size_bytes);
      std::vector<Descriptor> layers;
      for (const std::string& path : StringsAt(image, "Layers")) {
        BERTH_ASSIGN_OR_RETURN(const StoredFile layer_file, Stored(path));
        Descriptor layer;
        BERTH_ASSIGN_OR_RETURN(const std::string magic, MagicOf(layer_file));
        layer.set_media_type(LayerMediaType(magic));
        layer.set_digest(layer_file.digest);
        layer.set_size(layer_file.size_bytes);
        layers.push_back(std::move(layer));
      }
      const std::string manifest = MakeDockerManifest(config, layers);
      Descriptor target;
      target.set_media_type(kDockerManifest);
      target.set_size(static_cast<int64_t>(manifest.size()));
      BERTH_ASSIGN_OR_RETURN(*target.mutable_digest(),
                             content_.WriteBlob(manifest, GcLabels(ImageManifest{config, layers})));
      for (const std::string& tag : StringsAt(image, "RepoTags")) AddRecord(tag, target);
      if (StringsAt(image, "RepoTags").empty()) AddRecord("", target);
    }
    return absl::OkStatus();
  }

  // A file that was in the store before was not read: ask the store for its first bytes.
  absl::StatusOr<std::string> MagicOf(const StoredFile& file) const {
    if (!file.magic.empty() || file.size_bytes == 0) return file.magic;
    std::string magic;
    const absl::Status read = content_.Read(file.digest, [&](absl::string_view piece) {
      magic = std::string(piece.substr(0, 8));
      return absl::CancelledError("enough");
    });
    if (!read.ok() && magic.empty()) return read;
    return magic;
  }

  absl::Status CollectOciImages() {
    BERTH_ASSIGN_OR_RETURN(const ImageIndex index,
                           ParseImageIndex(documents_[std::string(kOciIndexFile)]),
                           _ << "index.json");
    for (const IndexEntry& entry : index.manifests) {
      Descriptor target = entry.descriptor;
      std::string name;
      const auto& annotations = target.annotations();
      for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
        if (auto found = annotations.find(key); name.empty() && found != annotations.end()) {
          name = found->second;
        }
      }
      target.clear_annotations();
      BERTH_RETURN_IF_ERROR(LabelBlobs(target, 0));
      AddRecord(name, target);
    }
    return absl::OkStatus();
  }

  // Walks from `target` down, checks that all is there, and labels documents with what they name.
  absl::Status LabelBlobs(const Descriptor& target, int depth) {
    if (depth > kMaxIndexDepth) {
      return absl::InvalidArgumentError("image indexes are nested too deeply");
    }
    BERTH_ASSIGN_OR_RETURN(const std::string json,
                           content_.ReadAll(target.digest(), kMaxDocumentBytes));
    if (IsIndexType(target.media_type())) {
      BERTH_ASSIGN_OR_RETURN(ImageIndex index, ParseImageIndex(json));
      ImageIndex present;
      for (const IndexEntry& entry : index.manifests) {
        // An archive may hold the manifests of some platforms only.
        if (!content_.Info(entry.descriptor.digest()).ok()) continue;
        BERTH_RETURN_IF_ERROR(LabelBlobs(entry.descriptor, depth + 1));
        present.manifests.push_back(entry);
      }
      if (present.manifests.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the archive has none of the manifests of index ", target.digest()));
      }
      return content_.SetLabels(target.digest(), GcLabels(index));
    }
    if (!IsManifestType(target.media_type())) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", target.media_type(), "\" is no type of manifest"));
    }
    BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(json));
    BERTH_RETURN_IF_ERROR(content_.Info(manifest.config.digest())) << "the image's config";
    for (const Descriptor& layer : manifest.layers) {
      BERTH_RETURN_IF_ERROR(content_.Info(layer.digest())) << "a layer of the image";
    }
    return content_.SetLabels(target.digest(), GcLabels(manifest));
  }

  void AddRecord(absl::string_view archive_name, const Descriptor& target) {
    std::string name(archive_name);
    if (name.empty()) {
      name = absl::StrCat(options_.default_repository, "@", target.digest());
    } else if (!absl::StrContains(name, '/') && !absl::StrContains(name, ':') &&
               !absl::StrContains(name, '@')) {
      // An OCI layout may name an image by its tag alone.
      name = absl::StrCat(options_.default_repository, ":", name);
    }
    absl::StatusOr<Reference> reference = Reference::Parse(name);
    ImageRecord record;
    record.set_name(reference.ok() ? reference->Full() : name);
    *record.mutable_target() = target;
    records_.push_back(std::move(record));
  }

  const ContentClient content_;
  const ImageClient images_;
  const ImportOptions options_;
  std::map<std::string, std::string> documents_;  // top-level JSON files by name
  std::map<std::string, StoredFile> files_;       // by path in the archive
  std::map<std::string, std::string> links_;
  std::vector<ImageRecord> records_;
};

}  // namespace

absl::StatusOr<std::vector<ImageRecord>> ImportImages(const Connection& connection, BorrowedFd fd,
                                                      const ImportOptions& options) {
  return Import(connection, options).Run(fd);
}

}  // namespace berth::client

#include "client/sdk/image_export.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/sdk/content_client.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/json_access.h"

namespace berth::client {
namespace {

class TarWriter {
 public:
  explicit TarWriter(BorrowedFd fd) : archive_(::archive_write_new()) {
    ::archive_write_set_format_pax_restricted(archive_.get());
    // No padding to tape blocks: the output may be a pipe.
    ::archive_write_set_bytes_in_last_block(archive_.get(), 1);
    opened_ = ::archive_write_open_fd(archive_.get(), fd.get()) == ARCHIVE_OK;
  }

  absl::Status Begin(absl::string_view path, int64_t size_bytes) {
    if (!opened_) return Failed("open the archive");
    const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), std::string(path).c_str());
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), 0644);
    ::archive_entry_set_size(entry.get(), size_bytes);
    ::archive_entry_set_mtime(entry.get(), 0, 0);
    if (::archive_write_header(archive_.get(), entry.get()) != ARCHIVE_OK) {
      return Failed(absl::StrCat("write \"", path, "\""));
    }
    return absl::OkStatus();
  }

  absl::Status Write(absl::string_view data) {
    while (!data.empty()) {
      const la_ssize_t count = ::archive_write_data(archive_.get(), data.data(), data.size());
      if (count <= 0) return Failed("write data");
      data.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  absl::Status WriteFile(absl::string_view path, absl::string_view data) {
    BERTH_RETURN_IF_ERROR(Begin(path, static_cast<int64_t>(data.size())));
    return Write(data);
  }

  absl::Status Close() {
    if (::archive_write_close(archive_.get()) != ARCHIVE_OK) return Failed("finish the archive");
    return absl::OkStatus();
  }

 private:
  struct FreeArchive {
    void operator()(archive* writer) const { ::archive_write_free(writer); }
  };
  struct FreeEntry {
    void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
  };

  absl::Status Failed(absl::string_view step) const {
    const char* message = ::archive_error_string(archive_.get());
    return absl::InternalError(
        absl::StrCat(step, " failed: ", message != nullptr ? message : "no reason given"));
  }

  const std::unique_ptr<archive, FreeArchive> archive_;
  bool opened_ = false;
};

std::string BlobPath(absl::string_view digest) {
  return absl::StrCat("blobs/", absl::StrReplaceAll(digest, {{":", "/"}}));
}

absl::Status CopyBlob(const ContentClient& content, const Descriptor& blob, TarWriter& tar,
                      std::set<std::string>& written) {
  if (!written.insert(blob.digest()).second) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(tar.Begin(BlobPath(blob.digest()), blob.size()));
  return content.Read(blob.digest(), [&](absl::string_view piece) { return tar.Write(piece); });
}

Json IndexEntryOf(const ResolvedImage& image) {
  Json entry = {{"mediaType", image.manifest_descriptor.media_type()},
                {"digest", image.manifest_descriptor.digest()},
                {"size", image.manifest_descriptor.size()}};
  entry["platform"] = {{"architecture", image.config.platform.architecture},
                       {"os", image.config.platform.os}};
  if (!image.config.platform.variant.empty()) {
    entry["platform"]["variant"] = image.config.platform.variant;
  }
  entry["annotations"]["io.containerd.image.name"] = image.record.name();
  if (absl::StatusOr<Reference> reference = Reference::Parse(image.record.name());
      reference.ok() && !reference->tag().empty()) {
    entry["annotations"]["org.opencontainers.image.ref.name"] = reference->tag();
  }
  return entry;
}

Json DockerEntryOf(const ResolvedImage& image) {
  Json entry = {{"Config", BlobPath(image.manifest.config.digest())}};
  entry["RepoTags"] = Json::array();
  if (absl::StatusOr<Reference> reference = Reference::Parse(image.record.name());
      reference.ok() && reference->digest().empty()) {
    entry["RepoTags"].push_back(reference->Familiar());
  }
  entry["Layers"] = Json::array();
  for (const Descriptor& layer : image.manifest.layers) {
    entry["Layers"].push_back(BlobPath(layer.digest()));
  }
  return entry;
}

}  // namespace

absl::Status ExportImages(const Connection& connection, const std::vector<ImageRecord>& images,
                          BorrowedFd fd) {
  const ContentClient content(connection);
  TarWriter tar(fd);
  std::set<std::string> written;
  Json index = {{"schemaVersion", 2}, {"mediaType", kOciIndex}, {"manifests", Json::array()}};
  Json docker = Json::array();
  BERTH_RETURN_IF_ERROR(tar.WriteFile("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  for (const ImageRecord& record : images) {
    BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
    BERTH_RETURN_IF_ERROR(CopyBlob(content, image.manifest_descriptor, tar, written));
    BERTH_RETURN_IF_ERROR(CopyBlob(content, image.manifest.config, tar, written));
    for (const Descriptor& layer : image.manifest.layers) {
      BERTH_RETURN_IF_ERROR(CopyBlob(content, layer, tar, written));
    }
    index["manifests"].push_back(IndexEntryOf(image));
    docker.push_back(DockerEntryOf(image));
  }
  BERTH_RETURN_IF_ERROR(tar.WriteFile("index.json", index.dump()));
  BERTH_RETURN_IF_ERROR(tar.WriteFile("manifest.json", docker.dump()));
  return tar.Close();
}

}  // namespace berth::client

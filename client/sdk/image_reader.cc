#include "client/sdk/image_reader.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/sdk/content_client.h"

namespace berth::client {
namespace {

// An index may point to indexes; real ones are one or two deep.
constexpr int kMaxIndexDepth = 4;

absl::StatusOr<Descriptor> PickManifest(const ContentClient& content, Descriptor target) {
  const Platform host = HostPlatform();
  for (int depth = 0; IsIndexType(target.media_type()); ++depth) {
    if (depth == kMaxIndexDepth) {
      return absl::InvalidArgumentError("image indexes are nested too deeply");
    }
    BERTH_ASSIGN_OR_RETURN(const std::string json,
                           content.ReadAll(target.digest(), kMaxDocumentBytes));
    BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(json));
    const IndexEntry* best = nullptr;
    int best_score = 0;
    std::vector<std::string> offered;
    for (const IndexEntry& entry : index.manifests) {
      offered.push_back(FormatPlatform(entry.platform));
      const int score = MatchPlatform(entry.platform, host);
      if (score > best_score) {
        best = &entry;
        best_score = score;
      }
    }
    if (best == nullptr) {
      return absl::NotFoundError(absl::StrCat("the image has no manifest for ",
                                              FormatPlatform(host), ", only for ",
                                              absl::StrJoin(offered, ", ")));
    }
    target = best->descriptor;
  }
  return target;
}

}  // namespace

absl::StatusOr<ImageRecord> FindImage(const Connection& connection, absl::string_view name) {
  const ImageClient images(connection);
  absl::StatusOr<Reference> reference = Reference::Parse(name);
  std::string tried(name);
  if (reference.ok()) {
    tried = reference->Full();
    absl::StatusOr<ImageRecord> record = images.Get(tried);
    if (record.ok() || !absl::IsNotFound(record.status())) return record;
  }
  // Other clients may have stored a name that the grammar does not know.
  if (!name.empty()) {
    absl::StatusOr<ImageRecord> record = images.Get(name);
    if (record.ok() || !absl::IsNotFound(record.status())) return record;
  }
  return absl::NotFoundError(
      absl::StrCat("no image \"", tried, "\" in namespace \"", connection.ns(),
                   "\". `berth image load -i ARCHIVE` brings one in, `berth image ls` lists them"));
}

absl::StatusOr<ResolvedImage> ResolveImage(const Connection& connection,
                                           const ImageRecord& record) {
  const ContentClient content(connection);
  ResolvedImage image;
  image.record = record;
  BERTH_ASSIGN_OR_RETURN(image.manifest_descriptor, PickManifest(content, record.target()),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(const std::string manifest,
                         content.ReadAll(image.manifest_descriptor.digest(), kMaxDocumentBytes),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(image.manifest, ParseImageManifest(manifest),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(const std::string config,
                         content.ReadAll(image.manifest.config.digest(), kMaxDocumentBytes),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(image.config, ParseImageConfig(config), _ << "image " << record.name());
  return image;
}

int64_t ContentSize(const ResolvedImage& image) {
  int64_t size = image.manifest_descriptor.size() + image.manifest.config.size();
  for (const Descriptor& layer : image.manifest.layers) size += layer.size();
  return size;
}

}  // namespace berth::client

#include "client/docker/docker_image.h"

#include <fnmatch.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/sdk/content_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {

ImageName NameOfImage(absl::string_view record_name) {
  ImageName name;
  const absl::StatusOr<Reference> reference = Reference::Parse(record_name);
  if (!reference.ok()) return name;
  name.repository = reference->FamiliarRepository();
  if (!reference->tag().empty()) name.tag = reference->tag();
  return name;
}

bool MatchesReference(const ImageName& name, absl::string_view pattern) {
  const std::string text(pattern);
  const std::string full = absl::StrCat(name.repository, ":", name.tag);
  return ::fnmatch(text.c_str(), name.repository.c_str(), FNM_PATHNAME) == 0 ||
         ::fnmatch(text.c_str(), full.c_str(), FNM_PATHNAME) == 0;
}

absl::Time CreationOf(const ResolvedImage& image) {
  absl::Time created;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, image.config.created, &created, &error)) return created;
  return FromProto(image.record.created_at());
}

absl::StatusOr<Json> DockerImageDocument(const Connection& connection, const ResolvedImage& image) {
  BERTH_ASSIGN_OR_RETURN(
      const std::string text,
      ContentClient(connection).ReadAll(image.manifest.config.digest(), kMaxDocumentBytes));
  BERTH_ASSIGN_OR_RETURN(const Json config, ParseJson(text));
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> all, ImageClient(connection).List({}));
  Json tags = Json::array();
  Json digests = Json::array();
  for (const ImageRecord& record : all) {
    if (record.target().digest() != image.record.target().digest()) continue;
    const ImageName name = NameOfImage(record.name());
    if (name.is_dangling() && name.repository == "<none>") continue;
    if (!name.is_dangling()) tags.push_back(absl::StrCat(name.repository, ":", name.tag));
    const std::string digest = absl::StrCat(name.repository, "@", record.target().digest());
    if (std::find(digests.begin(), digests.end(), digest) == digests.end()) {
      digests.push_back(digest);
    }
  }
  const int64_t size = ContentSize(image);
  Json layers = Json::array();
  for (const std::string& diff_id : image.config.diff_ids) layers.push_back(diff_id);
  const Json* const own = Find(config, "config");
  Json document = {
      {"Id", image.manifest.config.digest()},
      {"RepoTags", std::move(tags)},
      {"RepoDigests", std::move(digests)},
      {"Parent", ""},
      {"Comment", StringAt(config, "comment")},
      {"Created", image.config.created},
      {"DockerVersion", StringAt(config, "docker_version")},
      {"Author", StringAt(config, "author")},
      {"Config", own != nullptr ? *own : Json::object()},
      {"Architecture", image.config.platform.architecture},
      {"Variant", image.config.platform.variant},
      {"Os", image.config.platform.os},
      {"Size", size},
      {"VirtualSize", size},
      {"GraphDriver", {{"Name", "overlayfs"}, {"Data", nullptr}}},
      {"RootFS", {{"Type", "layers"}, {"Layers", std::move(layers)}}},
      {"Metadata",
       {{"LastTagTime", absl::FormatTime(absl::RFC3339_full, FromProto(image.record.updated_at()),
                                         absl::UTCTimeZone())}}}};
  // What docker's document has for every image, whatever the config leaves out.
  for (const char* key : {"Env", "Cmd", "Entrypoint", "Volumes", "Labels", "ExposedPorts"}) {
    if (!document["Config"].contains(key)) document["Config"][key] = nullptr;
  }
  for (const char* key : {"User", "WorkingDir"}) {
    if (!document["Config"].contains(key)) document["Config"][key] = "";
  }
  return document;
}

}  // namespace berth::client

#include "client/sdk/image_document.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "client/sdk/json_access.h"

namespace berth::client {
namespace {

absl::StatusOr<Descriptor> ParseDescriptor(const Json& json, absl::string_view where) {
  Descriptor descriptor;
  descriptor.set_media_type(StringAt(json, "mediaType"));
  const std::string digest = StringAt(json, "digest");
  if (absl::StatusOr<Digest> valid = Digest::Parse(digest); !valid.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".digest \"", digest, "\": ", valid.status().message()));
  }
  descriptor.set_digest(digest);
  const Json* size = Find(json, "size");
  if (size == nullptr || !size->is_number_integer() || size->get<int64_t>() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(where, ".size is no number of bytes"));
  }
  descriptor.set_size(size->get<int64_t>());
  for (const auto& [key, value] : StringMapAt(json, "annotations")) {
    (*descriptor.mutable_annotations())[key] = value;
  }
  return descriptor;
}

Platform ParsePlatform(const Json& json) {
  return {StringAt(json, "os"), StringAt(json, "architecture"), StringAt(json, "variant")};
}

}  // namespace

bool IsIndexType(absl::string_view media_type) {
  return media_type == kOciIndex || media_type == kDockerManifestList;
}

bool IsManifestType(absl::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}

absl::StatusOr<ImageIndex> ParseImageIndex(absl::string_view json) {
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(json), _ << "image index");
  ImageIndex index;
  const Json* manifests = Find(document, "manifests");
  if (manifests == nullptr || !manifests->is_array()) {
    return absl::InvalidArgumentError("image index: \"manifests\" is missing or no array");
  }
  for (const Json& entry : *manifests) {
    IndexEntry parsed;
    BERTH_ASSIGN_OR_RETURN(
        parsed.descriptor,
        ParseDescriptor(entry, absl::StrCat("manifests[", index.manifests.size(), "]")),
        _ << "image index");
    if (const Json* platform = Find(entry, "platform")) parsed.platform = ParsePlatform(*platform);
    index.manifests.push_back(std::move(parsed));
  }
  return index;
}

absl::StatusOr<ImageManifest> ParseImageManifest(absl::string_view json) {
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(json), _ << "image manifest");
  ImageManifest manifest;
  const Json* config = Find(document, "config");
  if (config == nullptr) {
    return absl::InvalidArgumentError("image manifest: \"config\" is missing");
  }
  BERTH_ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(*config, "config"),
                         _ << "image manifest");
  if (const Json* layers = Find(document, "layers"); layers != nullptr && layers->is_array()) {
    for (const Json& layer : *layers) {
      BERTH_ASSIGN_OR_RETURN(
          Descriptor descriptor,
          ParseDescriptor(layer, absl::StrCat("layers[", manifest.layers.size(), "]")),
          _ << "image manifest");
      manifest.layers.push_back(std::move(descriptor));
    }
  }
  return manifest;
}

absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json) {
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(json), _ << "image config");
  ImageConfig result;
  result.platform = ParsePlatform(document);
  result.created = StringAt(document, "created");
  if (const Json* config = Find(document, "config"); config != nullptr) {
    result.environment = StringsAt(*config, "Env");
    result.entrypoint = StringsAt(*config, "Entrypoint");
    result.command = StringsAt(*config, "Cmd");
    result.user = StringAt(*config, "User");
    result.working_directory = StringAt(*config, "WorkingDir");
    result.stop_signal = StringAt(*config, "StopSignal");
    result.labels = StringMapAt(*config, "Labels");
    if (const Json* volumes = Find(*config, "Volumes"); volumes && volumes->is_object()) {
      for (const auto& [path, unused] : volumes->items()) result.volumes.push_back(path);
    }
  }
  if (const Json* rootfs = Find(document, "rootfs"); rootfs != nullptr) {
    result.diff_ids = StringsAt(*rootfs, "diff_ids");
  }
  if (const Json* history = Find(document, "history"); history && history->is_array()) {
    for (const Json& entry : *history) {
      const Json* empty = Find(entry, "empty_layer");
      result.history.push_back({StringAt(entry, "created"), StringAt(entry, "created_by"),
                                StringAt(entry, "comment"),
                                empty != nullptr && empty->is_boolean() && empty->get<bool>()});
    }
  }
  for (const std::string& diff_id : result.diff_ids) {
    BERTH_RETURN_IF_ERROR(Digest::Parse(diff_id)) << "image config: rootfs.diff_ids";
  }
  return result;
}

std::string ChainId(const std::vector<std::string>& diff_ids, size_t count) {
  std::string chain = diff_ids.at(0);
  for (size_t i = 1; i < count; ++i) {
    chain = HashString(absl::StrCat(chain, " ", diff_ids.at(i))).text();
  }
  return chain;
}

}  // namespace berth::client

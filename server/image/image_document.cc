#include "server/image/image_document.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/json/document.h"
#include "base/status/status_macros.h"

namespace berth::image {
namespace {

// Each becomes a download. Overlays end at 500 layers; artifacts are of a few dozen blobs.
constexpr size_t kMaxLayers = 1000;
constexpr size_t kMaxManifests = 1000;

std::string Text(json::Value value) {
  return value.kind() == json::Kind::kString ? std::string(value.text()) : std::string();
}

std::vector<std::string> Texts(json::Value value) {
  std::vector<std::string> texts;
  if (value.kind() != json::Kind::kArray) return texts;
  for (auto element : value) texts.push_back(Text(element.value()));
  return texts;
}

// The names of an object that serves as a set ("Volumes": {"/data": {}}).
std::vector<std::string> Names(json::Value value) {
  std::vector<std::string> names;
  if (value.kind() != json::Kind::kObject) return names;
  for (auto member : value) names.push_back(std::string(member.key()));
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, std::string> TextMap(json::Value value) {
  std::map<std::string, std::string> map;
  if (value.kind() != json::Kind::kObject) return map;
  for (auto member : value) map[std::string(member.key())] = Text(member.value());
  return map;
}

absl::Status Bad(absl::string_view document, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(document, ": ", what));
}

absl::StatusOr<json::Document> ParseObject(absl::string_view json, absl::string_view document) {
  if (json.size() > static_cast<size_t>(kMaxDocumentBytes)) {
    return Bad(document, absl::StrCat("larger than ", kMaxDocumentBytes, " bytes"));
  }
  BERTH_ASSIGN_OR_RETURN(json::Document parsed, json::Document::Parse(std::string(json)),
                         _ << document);
  if (parsed.root().kind() != json::Kind::kObject) return Bad(document, "is no object");
  return parsed;
}

absl::StatusOr<Descriptor> ParseDescriptor(json::Value value, absl::string_view document,
                                           absl::string_view where) {
  if (value.kind() != json::Kind::kObject) {
    return Bad(document, absl::StrCat("\"", where, "\" is missing or no object"));
  }
  Descriptor descriptor;
  descriptor.set_media_type(Text(value.Find("mediaType")));
  const std::string digest = Text(value.Find("digest"));
  if (const absl::StatusOr<Digest> valid = Digest::Parse(digest); !valid.ok()) {
    return Bad(document,
               absl::StrCat(where, ".digest \"", digest, "\": ", valid.status().message()));
  }
  descriptor.set_digest(digest);
  const std::optional<int64_t> size = value.Find("size").AsInt64();
  if (!size.has_value() || *size < 0) {
    return Bad(document, absl::StrCat(where, ".size is no number of bytes"));
  }
  descriptor.set_size(*size);
  for (const auto& [key, text] : TextMap(value.Find("annotations"))) {
    (*descriptor.mutable_annotations())[key] = text;
  }
  return descriptor;
}

Platform PlatformIn(json::Value value) {
  return {.os = Text(value.Find("os")),
          .architecture = Text(value.Find("architecture")),
          .variant = Text(value.Find("variant")),
          .os_version = Text(value.Find("os.version"))};
}

HealthCheck ParseHealthCheck(json::Value value) {
  const auto number = [value](absl::string_view name) {
    return value.Find(name).AsInt64().value_or(0);
  };
  return {.test = Texts(value.Find("Test")),
          .interval_ns = number("Interval"),
          .timeout_ns = number("Timeout"),
          .start_period_ns = number("StartPeriod"),
          .start_interval_ns = number("StartInterval"),
          .retries = number("Retries")};
}

void ParseContainerPart(json::Value value, ImageConfig& config) {
  config.environment = Texts(value.Find("Env"));
  config.entrypoint = Texts(value.Find("Entrypoint"));
  config.command = Texts(value.Find("Cmd"));
  config.shell = Texts(value.Find("Shell"));
  config.on_build = Texts(value.Find("OnBuild"));
  config.args_escaped = value.Find("ArgsEscaped").kind() == json::Kind::kTrue;
  config.user = Text(value.Find("User"));
  config.working_directory = Text(value.Find("WorkingDir"));
  config.stop_signal = Text(value.Find("StopSignal"));
  config.stop_timeout_s = value.Find("StopTimeout").AsInt64();
  config.volumes = Names(value.Find("Volumes"));
  config.exposed_ports = Names(value.Find("ExposedPorts"));
  config.labels = TextMap(value.Find("Labels"));
  if (const json::Value check = value.Find("Healthcheck"); check.kind() == json::Kind::kObject) {
    config.health_check = ParseHealthCheck(check);
  }
}

}  // namespace

bool IsIndexType(absl::string_view media_type) {
  return media_type == kOciIndex || media_type == kDockerManifestList;
}

bool IsManifestType(absl::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}

bool IsLayerType(absl::string_view media_type) {
  return absl::StartsWith(media_type, kOciLayer) || absl::StartsWith(media_type, kDockerLayer) ||
         absl::StartsWith(media_type, "application/vnd.oci.image.layer.nondistributable.v1.tar") ||
         absl::StartsWith(media_type, "application/vnd.docker.image.rootfs.foreign.diff.tar");
}

bool IndexEntry::is_attachment() const {
  // buildkit writes attestations for the platform unknown/unknown.
  return (platform.has_value() && platform->os == "unknown") ||
         descriptor.annotations().contains("vnd.docker.reference.type");
}

absl::StatusOr<ImageIndex> ParseImageIndex(absl::string_view json) {
  constexpr absl::string_view kDocument = "image index";
  BERTH_ASSIGN_OR_RETURN(const json::Document document, ParseObject(json, kDocument));
  ImageIndex index;
  index.media_type = Text(document.root().Find("mediaType"));
  const json::Value manifests = document.root().Find("manifests");
  if (manifests.kind() != json::Kind::kArray) {
    return Bad(kDocument, "\"manifests\" is missing or no array");
  }
  for (auto element : manifests) {
    if (index.manifests.size() == kMaxManifests) {
      return Bad(kDocument, absl::StrCat("\"manifests\" has more than ", kMaxManifests,
                                         " of them; no image of anybody's has so many"));
    }
    IndexEntry entry;
    BERTH_ASSIGN_OR_RETURN(
        entry.descriptor, ParseDescriptor(element.value(), kDocument,
                                          absl::StrCat("manifests[", index.manifests.size(), "]")));
    const json::Value platform = element.value().Find("platform");
    if (platform.kind() == json::Kind::kObject) entry.platform = PlatformIn(platform);
    index.manifests.push_back(std::move(entry));
  }
  return index;
}

absl::StatusOr<ImageManifest> ParseImageManifest(absl::string_view json) {
  constexpr absl::string_view kDocument = "image manifest";
  BERTH_ASSIGN_OR_RETURN(const json::Document document, ParseObject(json, kDocument));
  const json::Value root = document.root();
  if (root.Find("manifests").present()) {
    // Two readings of one document are an attack on whoever trusts the other one.
    return Bad(kDocument, "has \"manifests\", which belongs to an index");
  }
  ImageManifest manifest;
  manifest.media_type = Text(root.Find("mediaType"));
  BERTH_ASSIGN_OR_RETURN(manifest.config,
                         ParseDescriptor(root.Find("config"), kDocument, "config"));
  const json::Value layers = root.Find("layers");
  if (!layers.is_null() && layers.kind() != json::Kind::kArray) {
    return Bad(kDocument, "\"layers\" is no array");
  }
  if (layers.kind() == json::Kind::kArray) {
    for (auto element : layers) {
      if (manifest.layers.size() == kMaxLayers) {
        return Bad(kDocument, absl::StrCat("\"layers\" has more than ", kMaxLayers,
                                           " of them; no image of anybody's has so many"));
      }
      BERTH_ASSIGN_OR_RETURN(Descriptor layer,
                             ParseDescriptor(element.value(), kDocument,
                                             absl::StrCat("layers[", manifest.layers.size(), "]")));
      manifest.layers.push_back(std::move(layer));
    }
  }
  if (const json::Value subject = root.Find("subject"); subject.kind() == json::Kind::kObject) {
    BERTH_ASSIGN_OR_RETURN(manifest.subject, ParseDescriptor(subject, kDocument, "subject"));
  }
  return manifest;
}

absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json) {
  constexpr absl::string_view kDocument = "image config";
  BERTH_ASSIGN_OR_RETURN(const json::Document document, ParseObject(json, kDocument));
  const json::Value root = document.root();
  ImageConfig config;
  config.raw = std::string(json);
  config.platform = PlatformIn(root);
  config.created = Text(root.Find("created"));
  config.author = Text(root.Find("author"));
  config.comment = Text(root.Find("comment"));
  config.docker_version = Text(root.Find("docker_version"));
  ParseContainerPart(root.Find("config"), config);
  config.diff_ids = Texts(root.Find("rootfs").Find("diff_ids"));
  for (const std::string& diff_id : config.diff_ids) {
    if (const absl::StatusOr<Digest> valid = Digest::Parse(diff_id); !valid.ok()) {
      return Bad(kDocument,
                 absl::StrCat("rootfs.diff_ids \"", diff_id, "\": ", valid.status().message()));
    }
  }
  if (const json::Value history = root.Find("history"); history.kind() == json::Kind::kArray) {
    for (auto element : history) {
      const json::Value entry = element.value();
      config.history.push_back(
          {.created = Text(entry.Find("created")),
           .created_by = Text(entry.Find("created_by")),
           .author = Text(entry.Find("author")),
           .comment = Text(entry.Find("comment")),
           .empty_layer = entry.Find("empty_layer").kind() == json::Kind::kTrue});
    }
  }
  return config;
}

const IndexEntry* BestEntry(const ImageIndex& index, const Platform& wanted) {
  const IndexEntry* best = nullptr;
  int best_score = 0;
  for (const IndexEntry& entry : index.manifests) {
    if (entry.is_attachment()) continue;
    const int score = MatchScore(entry.platform.value_or(Platform()), wanted);
    if (score > best_score) {
      best = &entry;
      best_score = score;
    }
  }
  return best;
}

std::string OfferedPlatforms(const ImageIndex& index) {
  std::string text;
  for (const IndexEntry& entry : index.manifests) {
    if (entry.is_attachment()) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ",
                    FormatPlatform(Normalized(entry.platform.value_or(Platform()))));
  }
  return text.empty() ? "none" : text;
}

std::string ChainId(absl::Span<const std::string> diff_ids) {
  if (diff_ids.empty()) return "";
  std::string chain = diff_ids[0];
  for (const std::string& diff_id : diff_ids.subspan(1)) {
    chain = HashString(absl::StrCat(chain, " ", diff_id)).text();
  }
  return chain;
}

std::map<std::string, std::string> GcLabels(const ImageIndex& index) {
  std::map<std::string, std::string> labels;
  for (size_t i = 0; i < index.manifests.size(); ++i) {
    labels[absl::StrCat("containerd.io/gc.ref.content.m.", i)] =
        index.manifests[i].descriptor.digest();
  }
  return labels;
}

std::map<std::string, std::string> GcLabels(const ImageManifest& manifest) {
  std::map<std::string, std::string> labels = {
      {"containerd.io/gc.ref.content.config", manifest.config.digest()}};
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    labels[absl::StrCat("containerd.io/gc.ref.content.l.", i)] = manifest.layers[i].digest();
  }
  return labels;
}

}  // namespace berth::image

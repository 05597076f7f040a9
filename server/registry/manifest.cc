#include "server/registry/manifest.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"

namespace berth::registry {
namespace {

constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
constexpr char kDockerList[] = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr char kArtifact[] = "application/vnd.oci.artifact.manifest.v1+json";
constexpr absl::string_view kSchema1 = "application/vnd.docker.distribution.manifest.v1+";

}  // namespace

bool IsManifestType(absl::string_view media_type) {
  return media_type == kOciManifest || media_type == kOciIndex || media_type == kDockerManifest ||
         media_type == kDockerList || media_type == kArtifact;
}

std::string AcceptManifests() {
  return absl::StrCat(kDockerManifest, ", ", kDockerList, ", ", kOciManifest, ", ", kOciIndex,
                      ", */*");
}

absl::StatusOr<std::string> ManifestType(absl::string_view content_type, const std::string& bytes) {
  const std::string said = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
  if (absl::StartsWith(said, kSchema1)) {
    return absl::UnimplementedError(
        "the image has Docker's schema 1, which was given up; push it again with a newer client");
  }
  const auto document = json::Document::Parse(bytes);
  if (!document.ok() || document->root().kind() != json::Kind::kObject) {
    return absl::InvalidArgumentError("the answer is no manifest: it is not a JSON object");
  }
  const json::Value root = document->root();
  const absl::string_view inner = root.Find("mediaType").text();
  // Two readings of the same bytes are how an index is passed off as a manifest.
  if (root.Find("manifests").present() &&
      (root.Find("layers").present() || root.Find("config").present() ||
       root.Find("fsLayers").present())) {
    return absl::InvalidArgumentError("the manifest has both layers and manifests; refused");
  }
  if (IsManifestType(inner)) {
    if (IsManifestType(said) && said != inner) {
      return absl::InvalidArgumentError(
          absl::StrCat("the manifest says that it is ", inner, ", the registry says ", said));
    }
    return std::string(inner);
  }
  if (IsManifestType(said)) return said;
  if (!inner.empty()) return std::string(inner);  // an artifact of its own kind
  if (root.Find("manifests").kind() == json::Kind::kArray) return std::string(kOciIndex);
  if (root.Find("layers").kind() == json::Kind::kArray) return std::string(kOciManifest);
  return absl::InvalidArgumentError(
      absl::StrCat("the answer is no manifest (its type is \"", said, "\")"));
}

std::string SubjectOf(const std::string& bytes) {
  const auto document = json::Document::Parse(bytes);
  if (!document.ok()) return std::string();
  return std::string(document->root().Find("subject").Find("digest").text());
}

}  // namespace berth::registry

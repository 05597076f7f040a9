#include "server/image/archive_layout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/status/status_macros.h"

namespace berth::image {
namespace {

constexpr int kMaxLinks = 16;

// Where a symbolic link in the archive points, as a path in the archive; a hard link's target is
// one already.
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

std::vector<std::string> TextsOf(json::Value value) {
  std::vector<std::string> texts;
  if (value.kind() != json::Kind::kArray) return texts;
  for (auto element : value) {
    if (element.value().kind() == json::Kind::kString) {
      texts.emplace_back(element.value().text());
    }
  }
  return texts;
}

void WriteDescriptor(const Descriptor& descriptor, json::Writer& writer) {
  writer.BeginObject()
      .Key("mediaType")
      .String(descriptor.media_type())
      .Key("size")
      .Int(descriptor.size())
      .Key("digest")
      .String(descriptor.digest())
      .EndObject();
}

// The full name, or else the tag. A tool that knows of tags alone (umoci) copies the annotations of
// the image that it changed: then the tag is the newer of the two.
std::string NameOf(const Descriptor& target) {
  const auto find = [&](const char* key) {
    const auto found = target.annotations().find(key);
    return found == target.annotations().end() ? std::string() : found->second;
  };
  const std::string full = find("io.containerd.image.name");
  const std::string tag = find("org.opencontainers.image.ref.name");
  if (full.empty()) return tag;
  const size_t colon = full.rfind(':');
  const bool is_tagged = colon != std::string::npos && full.find('/', colon) == std::string::npos &&
                         full.find('@') == std::string::npos;
  const bool is_bare = !tag.empty() && tag.find_first_of("/:@") == std::string::npos;
  if (!is_tagged || !is_bare) return full;
  return absl::StrCat(full.substr(0, colon + 1), tag);
}

}  // namespace

ArchiveFiles::ArchiveFiles(const worker::v1::ReadArchiveResponse& members) {
  // Of repeated paths the last wins, as when an archive is unpacked.
  for (const worker::v1::ArchiveMember& member : members.members()) {
    if (member.link_target().empty()) {
      files_[member.path()] = {member.offset(), member.size()};
      links_.erase(member.path());
    } else {
      links_[member.path()] = member.link_target();
      files_.erase(member.path());
    }
  }
}

absl::StatusOr<ArchiveFile> ArchiveFiles::Find(absl::string_view path) const {
  std::string at(path);
  for (int i = 0; i < kMaxLinks; ++i) {
    if (const auto file = files_.find(at); file != files_.end()) return file->second;
    const auto link = links_.find(at);
    if (link == links_.end()) break;
    const std::string relative = ResolveLink(at, link->second);
    at = files_.contains(relative) || links_.contains(relative) ? relative : link->second;
  }
  return absl::InvalidArgumentError(absl::StrCat("the archive's documents name \"", path,
                                                 "\", which the archive lacks; it is not whole"));
}

absl::StatusOr<ArchiveFile> ArchiveFiles::FindBlob(absl::string_view digest) const {
  const absl::StatusOr<ArchiveFile> file =
      Find(absl::StrCat("blobs/", absl::StrReplaceAll(digest, {{":", "/"}})));
  if (!file.ok()) {
    return absl::NotFoundError(absl::StrCat("the archive lacks the blob ", digest));
  }
  return file;
}

absl::StatusOr<std::vector<OciArchiveImage>> ParseOciLayout(absl::string_view index_json) {
  BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(index_json), _ << kOciIndexFile);
  std::vector<OciArchiveImage> images;
  for (const IndexEntry& entry : index.manifests) {
    OciArchiveImage image;
    image.target = entry.descriptor;
    if (std::string name = NameOf(image.target); !name.empty()) {
      image.names.push_back(std::move(name));
    }
    image.target.clear_annotations();
    // An index may list one image once for each of its names.
    if (!images.empty() && images.back().target.digest() == image.target.digest()) {
      images.back().names.insert(images.back().names.end(), image.names.begin(), image.names.end());
      continue;
    }
    images.push_back(std::move(image));
  }
  return images;
}

absl::StatusOr<std::vector<DockerArchiveImage>> ParseDockerArchive(
    absl::string_view manifest_json) {
  BERTH_ASSIGN_OR_RETURN(const json::Document document,
                         json::Document::Parse(std::string(manifest_json)),
                         _ << kDockerManifestFile);
  if (document.root().kind() != json::Kind::kArray) {
    return absl::InvalidArgumentError("manifest.json is no array");
  }
  std::vector<DockerArchiveImage> images;
  for (auto element : document.root()) {
    DockerArchiveImage image;
    image.config = std::string(element.value().Find("Config").text());
    image.layers = TextsOf(element.value().Find("Layers"));
    image.names = TextsOf(element.value().Find("RepoTags"));
    if (image.config.empty()) {
      return absl::InvalidArgumentError("manifest.json: an image has no \"Config\"");
    }
    images.push_back(std::move(image));
  }
  return images;
}

std::string MakeDockerManifest(const Descriptor& config, const std::vector<Descriptor>& layers) {
  json::Writer writer;
  writer.BeginObject().Key("schemaVersion").Int(2).Key("mediaType").String(kDockerManifest);
  writer.Key("config");
  WriteDescriptor(config, writer);
  writer.Key("layers").BeginArray();
  for (const Descriptor& layer : layers) WriteDescriptor(layer, writer);
  writer.EndArray().EndObject();
  return writer.Take();
}

std::string DockerLayerType(absl::string_view magic) {
  if (magic.substr(0, 2) == "\x1f\x8b") return absl::StrCat(kDockerLayer, ".gzip");
  if (magic.substr(0, 4) == "\x28\xb5\x2f\xfd") return absl::StrCat(kDockerLayer, ".zstd");
  return kDockerLayer;
}

}  // namespace berth::image

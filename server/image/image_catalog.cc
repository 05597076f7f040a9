#include "server/image/image_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest/digest.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/image.pb.h"
#include "server/image/image_name.h"

namespace berth::image {
namespace {

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
}

bool StartsId(absl::string_view digest, absl::string_view id) {
  const size_t colon = digest.find(':');
  return absl::StartsWith(digest, id) ||
         (colon != absl::string_view::npos && absl::StartsWith(digest.substr(colon + 1), id));
}

bool MayBeId(absl::string_view text) {
  if (Digest::Parse(text).ok()) return true;
  absl::string_view hex = text;
  if (const size_t colon = text.find(':'); colon != absl::string_view::npos) {
    if (text.substr(0, colon) != "sha256") return false;
    hex = text.substr(colon + 1);
  }
  return hex.size() >= ImageCatalog::kMinIdPrefix && hex.size() <= 64 && IsHex(hex);
}

absl::Status NoSuchImage(const metadata::Caller& caller, absl::string_view reference) {
  return absl::NotFoundError(absl::StrCat("no image \"", reference, "\" in namespace \"", caller.ns,
                                          "\"; pull it, or load it from an archive"));
}

// The platform an image says it is for; the index speaks for a config that does not.
Platform PlatformOf(const ImageConfig& config, const std::optional<Platform>& from_index) {
  if (!config.platform.os.empty() || !config.platform.architecture.empty()) {
    return Normalized(config.platform);
  }
  return from_index.has_value() ? Normalized(*from_index) : Platform();
}

}  // namespace

absl::StatusOr<std::string> ImageCatalog::ReadDocument(const Caller& caller,
                                                       const Descriptor& descriptor) {
  BERTH_ASSIGN_OR_RETURN(const content::BlobFile blob,
                         stores_.content.OpenBlob(caller, descriptor.digest()));
  if (blob.size > static_cast<uint64_t>(kMaxDocumentBytes)) {
    return absl::InvalidArgumentError(absl::StrCat(descriptor.digest(), " is larger than ",
                                                   kMaxDocumentBytes,
                                                   " bytes, which no image's document is"));
  }
  return ReadAll(blob.fd, static_cast<size_t>(kMaxDocumentBytes));
}

absl::StatusOr<std::optional<ImageRecord>> ImageCatalog::FindByName(const Caller& caller,
                                                                    absl::string_view reference) {
  for (const std::string& name : CandidateNames(reference)) {
    absl::StatusOr<ImageRecord> record = stores_.images.Get(caller, name);
    if (record.ok()) return *std::move(record);
    if (!absl::IsNotFound(record.status()) && !absl::IsInvalidArgument(record.status())) {
      return record.status();
    }
  }
  return std::nullopt;
}

std::vector<std::string> ImageCatalog::IdsOf(const Caller& caller, const ImageRecord& record) {
  std::vector<std::string> ids = {record.target().digest()};
  std::vector<std::pair<Descriptor, int>> open = {{record.target(), 0}};
  while (!open.empty()) {
    const auto [descriptor, depth] = std::move(open.back());
    open.pop_back();
    const absl::StatusOr<std::string> json = ReadDocument(caller, descriptor);
    if (!json.ok()) continue;
    if (!IsIndexType(descriptor.media_type())) {
      const absl::StatusOr<ImageManifest> manifest = ParseImageManifest(*json);
      if (manifest.ok()) ids.push_back(manifest->config.digest());
      continue;
    }
    const absl::StatusOr<ImageIndex> index = ParseImageIndex(*json);
    if (!index.ok() || depth >= kMaxIndexDepth) continue;
    for (const IndexEntry& entry : index->manifests) {
      if (entry.is_attachment()) continue;
      ids.push_back(entry.descriptor.digest());
      open.emplace_back(entry.descriptor, depth + 1);
    }
  }
  return ids;
}

absl::StatusOr<std::optional<ImageRecord>> ImageCatalog::FindById(const Caller& caller,
                                                                  absl::string_view id) {
  BERTH_ASSIGN_OR_RETURN(std::vector<ImageRecord> records, stores_.images.List(caller, {}));
  std::optional<ImageRecord> found;
  for (ImageRecord& record : records) {
    const std::vector<std::string> ids = IdsOf(caller, record);
    const bool matches = std::any_of(
        ids.begin(), ids.end(), [id](const std::string& digest) { return StartsId(digest, id); });
    if (!matches) continue;
    if (found.has_value() && found->target().digest() != record.target().digest()) {
      return absl::InvalidArgumentError(
          absl::StrCat("image id \"", id, "\" is ambiguous: it begins those of ", found->name(),
                       " and ", record.name(), "; give more digits"));
    }
    if (!found.has_value()) found = std::move(record);
  }
  return found;
}

absl::StatusOr<ImageCatalog::Match> ImageCatalog::FindMatch(const Caller& caller,
                                                            absl::string_view reference) {
  if (reference.empty()) return absl::InvalidArgumentError("the image's name is empty");
  BERTH_ASSIGN_OR_RETURN(std::optional<ImageRecord> named, FindByName(caller, reference));
  if (named.has_value()) return Match{*std::move(named), Match::By::kName};
  if (MayBeId(reference)) {
    BERTH_ASSIGN_OR_RETURN(std::optional<ImageRecord> found, FindById(caller, reference));
    if (found.has_value()) return Match{*std::move(found), Match::By::kId};
  }
  // "name@digest" also finds the image that was pulled by a tag.
  if (const size_t at = reference.find('@'); at != absl::string_view::npos) {
    const absl::string_view digest = reference.substr(at + 1);
    if (Digest::Parse(digest).ok()) {
      BERTH_ASSIGN_OR_RETURN(std::vector<ImageRecord> records, stores_.images.List(caller, {}));
      for (ImageRecord& record : records) {
        if (record.target().digest() == digest &&
            SameRepository(record.name(), reference.substr(0, at))) {
          return Match{std::move(record), Match::By::kName};
        }
      }
    }
  }
  return NoSuchImage(caller, reference);
}

absl::StatusOr<ImageRecord> ImageCatalog::FindRecord(const Caller& caller,
                                                     absl::string_view reference) {
  BERTH_ASSIGN_OR_RETURN(Match match, FindMatch(caller, reference));
  return std::move(match.record);
}

absl::StatusOr<ResolvedImage> ImageCatalog::Find(const Caller& caller, absl::string_view reference,
                                                 const std::optional<Platform>& platform) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindRecord(caller, reference));
  return Resolve(caller, record, platform);
}

absl::StatusOr<ResolvedImage> ImageCatalog::Resolve(const Caller& caller, const ImageRecord& record,
                                                    const std::optional<Platform>& platform) {
  const Platform wanted = platform.has_value() ? *platform : HostPlatform();
  ResolvedImage image;
  image.name = record.name();
  image.target = record.target();
  image.labels = {record.labels().begin(), record.labels().end()};
  Descriptor next = record.target();
  std::optional<Platform> from_index;
  for (int depth = 0; IsIndexType(next.media_type()); ++depth) {
    if (depth == kMaxIndexDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("image ", record.name(), ": indexes are nested too deeply"));
    }
    BERTH_ASSIGN_OR_RETURN(const std::string json, ReadDocument(caller, next),
                           _ << "image " << record.name());
    BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(json),
                           _ << "image " << record.name());
    const IndexEntry* best = BestEntry(index, wanted);
    if (best == nullptr) {
      return absl::NotFoundError(absl::StrCat(
          "image ", record.name(), " has no manifest for ", FormatPlatform(wanted), ", only for ",
          OfferedPlatforms(index), "; ask for one of those with --platform"));
    }
    next = best->descriptor;
    from_index = best->platform;
  }
  image.manifest = next;
  BERTH_ASSIGN_OR_RETURN(const std::string json, ReadDocument(caller, next),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(ImageManifest manifest, ParseImageManifest(json),
                         _ << "image " << record.name());
  image.config_descriptor = std::move(manifest.config);
  image.layers = std::move(manifest.layers);
  BERTH_ASSIGN_OR_RETURN(const std::string config, ReadDocument(caller, image.config_descriptor),
                         _ << "image " << record.name());
  BERTH_ASSIGN_OR_RETURN(image.config, ParseImageConfig(config), _ << "image " << record.name());
  image.platform = PlatformOf(image.config, from_index);
  if (platform.has_value() && MatchScore(image.platform, wanted) == 0) {
    return absl::NotFoundError(absl::StrCat("image ", record.name(), " is for ",
                                            FormatPlatform(image.platform), ", not for ",
                                            FormatPlatform(wanted)));
  }
  image.chain_id = ChainId(image.config.diff_ids);
  return image;
}

absl::StatusOr<std::vector<PlatformEntry>> ImageCatalog::Platforms(const Caller& caller,
                                                                   const ImageRecord& record) {
  std::vector<PlatformEntry> entries;
  std::vector<std::pair<IndexEntry, int>> open = {{{record.target(), std::nullopt}, 0}};
  while (!open.empty()) {
    const auto [entry, depth] = std::move(open.back());
    open.pop_back();
    const absl::StatusOr<std::string> json = ReadDocument(caller, entry.descriptor);
    if (IsIndexType(entry.descriptor.media_type())) {
      if (depth >= kMaxIndexDepth) continue;
      if (!json.ok()) return json.status();
      BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(*json));
      // The stack turns the order round.
      for (auto it = index.manifests.rbegin(); it != index.manifests.rend(); ++it) {
        if (!it->is_attachment()) open.emplace_back(*it, depth + 1);
      }
      continue;
    }
    PlatformEntry known;
    known.manifest = entry.descriptor;
    if (entry.platform.has_value()) known.platform = Normalized(*entry.platform);
    if (json.ok()) {
      BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(*json));
      known.is_complete = true;
      known.size.content_bytes = entry.descriptor.size();
      std::vector<Descriptor> blobs = manifest.layers;
      blobs.push_back(manifest.config);
      for (const Descriptor& blob : blobs) {
        if (stores_.content.GetInfo(caller, blob.digest()).ok()) {
          known.size.content_bytes += blob.size();
        } else {
          known.is_complete = false;
        }
      }
      if (const auto config = ReadDocument(caller, manifest.config); config.ok()) {
        const absl::StatusOr<ImageConfig> parsed = ParseImageConfig(*config);
        if (parsed.ok()) known.platform = PlatformOf(*parsed, entry.platform);
      }
    }
    entries.push_back(std::move(known));
  }
  return entries;
}

absl::StatusOr<ImageRecord> ImageCatalog::Put(const Caller& caller, const ImageRecord& record) {
  absl::StatusOr<ImageRecord> created = stores_.images.Create(caller, record);
  if (created.ok()) {
    containerd::services::images::v1::ImageCreate event;
    event.set_name(created->name());
    *event.mutable_labels() = created->labels();
    stores_.events.Publish(caller.ns, "/images/create", event);
    return created;
  }
  if (!absl::IsAlreadyExists(created.status())) return created;
  std::vector<std::string> mask = {"target"};
  for (const auto& [key, value] : record.labels()) mask.push_back(absl::StrCat("labels.", key));
  BERTH_ASSIGN_OR_RETURN(ImageRecord updated, stores_.images.Update(caller, record, mask));
  containerd::services::images::v1::ImageUpdate event;
  event.set_name(updated.name());
  *event.mutable_labels() = updated.labels();
  stores_.events.Publish(caller.ns, "/images/update", event);
  return updated;
}

absl::StatusOr<ImageRecord> ImageCatalog::Tag(const Caller& caller, absl::string_view source,
                                              absl::string_view name) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord from, FindRecord(caller, source));
  BERTH_ASSIGN_OR_RETURN(const std::string full, CompleteName(name));
  ImageRecord record;
  record.set_name(full);
  *record.mutable_target() = from.target();
  *record.mutable_labels() = from.labels();
  return Put(caller, record);
}

absl::Status ImageCatalog::DeleteRecord(const Caller& caller, const std::string& name) {
  BERTH_RETURN_IF_ERROR(stores_.images.Delete(caller, name));
  containerd::services::images::v1::ImageDelete event;
  event.set_name(name);
  stores_.events.Publish(caller.ns, "/images/delete", event);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ImageCatalog::Removal>> ImageCatalog::Remove(const Caller& caller,
                                                                        absl::string_view reference,
                                                                        InUse in_use) {
  BERTH_ASSIGN_OR_RETURN(const Match match, FindMatch(caller, reference));
  const std::string& target = match.record.target().digest();
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> all, stores_.images.List(caller, {}));
  std::vector<std::string> names;
  for (const ImageRecord& record : all) {
    if (record.target().digest() == target) names.push_back(record.name());
  }
  if (match.by == Match::By::kId && names.size() > 1 && in_use == InUse::kRefuse) {
    return absl::FailedPreconditionError(absl::StrCat(
        "image ", reference, " has ", names.size(), " names (", absl::StrJoin(names, ", "),
        "); remove them one by one, or all of them with --force"));
  }
  const bool goes = match.by == Match::By::kId || names.size() == 1;
  if (goes && in_use == InUse::kRefuse) {
    BERTH_ASSIGN_OR_RETURN(const auto containers, stores_.containers.List(caller, {}));
    for (const auto& container : containers) {
      if (std::find(names.begin(), names.end(), container.image()) == names.end()) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "image ", match.record.name(), " is used by container ", container.id(),
          "; remove the container first, or remove the image with --force (the container keeps "
          "its files)"));
    }
  }
  std::vector<Removal> removals;
  const std::vector<std::string> going =
      match.by == Match::By::kId ? names : std::vector<std::string>{match.record.name()};
  for (const std::string& name : going) {
    BERTH_RETURN_IF_ERROR(DeleteRecord(caller, name));
    removals.push_back({.untagged = name, .deleted = ""});
  }
  if (goes) removals.push_back({.untagged = "", .deleted = target});
  return removals;
}

}  // namespace berth::image

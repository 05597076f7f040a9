// The parts of ImageCatalog that count: sizes, history, disk usage, and pruning by them.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"
#include "server/image/image_catalog.h"
#include "server/image/image_name.h"
#include "server/metadata/record.h"

namespace berth::image {
namespace {

using Caller = metadata::Caller;

// Things with a size, each counted once.
using Sizes = std::map<std::string, int64_t>;

int64_t Sum(const Sizes& sizes) {
  int64_t sum = 0;
  for (const auto& [key, size] : sizes) sum += size;
  return sum;
}

int64_t SumWithout(const Sizes& sizes, const Sizes& kept) {
  int64_t sum = 0;
  for (const auto& [key, size] : sizes) sum += kept.contains(key) ? 0 : size;
  return sum;
}

Sizes BlobsOf(const ResolvedImage& image) {
  Sizes sizes;
  if (image.target.digest() != image.manifest.digest()) {
    sizes[image.target.digest()] = image.target.size();
  }
  sizes[image.manifest.digest()] = image.manifest.size();
  sizes[image.config_descriptor.digest()] = image.config_descriptor.size();
  for (const Descriptor& layer : image.layers) sizes[layer.digest()] = layer.size();
  return sizes;
}

Sizes SnapshotsOf(metadata::SnapshotStore& snapshots, const Caller& caller,
                  const ResolvedImage& image, absl::string_view snapshotter) {
  Sizes sizes;
  const absl::Span<const std::string> diff_ids = image.config.diff_ids;
  for (size_t count = diff_ids.size(); count > 0; --count) {
    const std::string chain = ChainId(diff_ids.subspan(0, count));
    const auto usage = snapshots.GetUsage(caller, snapshotter, chain);
    if (usage.ok()) sizes[chain] = usage->size_bytes;
  }
  return sizes;
}

// `pieces`: of each summary. Several names of one target do not share: they are one image.
void MeasureShares(const std::vector<Sizes>& pieces, std::vector<ImageSummary>& summaries) {
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> holders;
  for (size_t i = 0; i < summaries.size(); ++i) {
    for (const auto& [piece, size] : pieces[i]) {
      holders[piece].insert(summaries[i].record.target().digest());
    }
  }
  for (size_t i = 0; i < summaries.size(); ++i) {
    for (const auto& [piece, size] : pieces[i]) {
      if (holders[piece].size() > 1) summaries[i].size.shared_bytes += size;
    }
  }
}

// How many containers use each target.
absl::flat_hash_map<std::string, int64_t> CountUsers(
    absl::Span<const ImageRecord> records,
    const std::vector<metadata::ContainerStore::Container>& containers) {
  absl::flat_hash_map<std::string, std::string> targets;
  for (const ImageRecord& record : records) targets[record.name()] = record.target().digest();
  absl::flat_hash_map<std::string, int64_t> users;
  for (const auto& container : containers) {
    if (auto it = targets.find(container.image()); it != targets.end()) ++users[it->second];
  }
  return users;
}

bool HasLabel(const ResolvedImage* image, const ImageRecord& record, absl::string_view text) {
  const std::pair<std::string, std::string> wanted = absl::StrSplit(text, absl::MaxSplits('=', 1));
  const bool any_value = !absl::StrContains(text, '=');
  const auto fits = [&](const auto& labels) {
    const auto it = labels.find(wanted.first);
    return it != labels.end() && (any_value || it->second == wanted.second);
  };
  return fits(record.labels()) || (image != nullptr && fits(image->config.labels));
}

absl::Time MadeAt(const ResolvedImage* image, const ImageRecord& record) {
  absl::Time made;
  if (image != nullptr && absl::ParseTime(absl::RFC3339_full, image->config.created, &made,
                                          /*err=*/nullptr)) {
    return made;
  }
  return metadata::FromTimestamp(record.created_at());
}

bool IsChosen(const ImageCatalog::PruneOptions& options, const ResolvedImage* image,
              const ImageRecord& record) {
  if (options.until.has_value() && MadeAt(image, record) >= *options.until) return false;
  for (const std::string& label : options.labels) {
    if (!HasLabel(image, record, label)) return false;
  }
  for (const std::string& label : options.without_labels) {
    if (HasLabel(image, record, label)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<ImageSize> ImageCatalog::Measure(const Caller& caller, const ResolvedImage& image,
                                                absl::string_view snapshotter) {
  ImageSize size;
  size.content_bytes = Sum(BlobsOf(image));
  const Sizes snapshots = SnapshotsOf(stores_.snapshots, caller, image, snapshotter);
  if (snapshots.contains(image.chain_id)) size.unpacked_bytes = Sum(snapshots);
  return size;
}

absl::StatusOr<std::vector<ImageSummary>> ImageCatalog::List(const Caller& caller,
                                                             const ListOptions& options) {
  BERTH_ASSIGN_OR_RETURN(std::vector<ImageRecord> records,
                         stores_.images.List(caller, options.filters));
  BERTH_ASSIGN_OR_RETURN(const auto containers, stores_.containers.List(caller, {}));
  auto users = CountUsers(records, containers);
  std::vector<ImageSummary> summaries;
  std::vector<Sizes> pieces;  // of each summary; if shares are asked for
  for (ImageRecord& record : records) {
    ImageSummary summary;
    if (auto image = Resolve(caller, record, options.platform); image.ok()) {
      summary.resolved = *std::move(image);
      if (options.measure != ListOptions::Measure::kNothing) {
        BERTH_ASSIGN_OR_RETURN(summary.size,
                               Measure(caller, *summary.resolved, options.snapshotter));
      }
    }
    if (options.measure == ListOptions::Measure::kShares) {
      Sizes sizes;
      if (summary.resolved.has_value()) sizes = BlobsOf(*summary.resolved);
      if (summary.size.unpacked_bytes > 0) {
        sizes.merge(SnapshotsOf(stores_.snapshots, caller, *summary.resolved, options.snapshotter));
      }
      pieces.push_back(std::move(sizes));
    }
    summary.containers = users[record.target().digest()];
    summary.record = std::move(record);
    summaries.push_back(std::move(summary));
  }
  if (options.measure == ListOptions::Measure::kShares) MeasureShares(pieces, summaries);
  return summaries;
}

absl::StatusOr<ImageCatalog::PruneResult> ImageCatalog::Prune(const Caller& caller,
                                                              const PruneOptions& options) {
  ListOptions list;
  list.measure = ListOptions::Measure::kNothing;
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageSummary> all, List(caller, list));
  absl::flat_hash_map<std::string, int> names;  // proper ones, of each target
  for (const ImageSummary& summary : all) {
    if (!IsDangling(summary.record.name())) ++names[summary.record.target().digest()];
  }
  PruneResult result;
  Sizes kept;
  Sizes gone;
  absl::flat_hash_set<std::string> kept_targets;
  std::vector<const ImageSummary*> chosen;
  for (const ImageSummary& summary : all) {
    const ResolvedImage* image = summary.resolved.has_value() ? &*summary.resolved : nullptr;
    const bool dangling =
        IsDangling(summary.record.name()) && names[summary.record.target().digest()] == 0;
    const bool wanted = options.which == PruneOptions::Which::kUnused || dangling;
    Sizes& sizes =
        wanted && summary.containers == 0 && IsChosen(options, image, summary.record) ? gone : kept;
    if (&sizes == &gone) {
      chosen.push_back(&summary);
    } else {
      kept_targets.insert(summary.record.target().digest());
    }
    if (image == nullptr) continue;
    sizes.merge(BlobsOf(*image));
    sizes.merge(SnapshotsOf(stores_.snapshots, caller, *image, list.snapshotter));
  }
  std::set<std::string> deleted;
  for (const ImageSummary* summary : chosen) {
    const absl::Status status = DeleteRecord(caller, summary->record.name());
    if (absl::IsNotFound(status)) continue;  // somebody was faster
    BERTH_RETURN_IF_ERROR(status);
    result.removals.push_back({.untagged = summary->record.name(), .deleted = ""});
    const std::string& target = summary->record.target().digest();
    if (!kept_targets.contains(target)) deleted.insert(target);
  }
  for (const std::string& target : deleted) {
    result.removals.push_back({.untagged = "", .deleted = target});
  }
  result.reclaimed_bytes = SumWithout(gone, kept);
  return result;
}

absl::StatusOr<std::vector<ImageCatalog::HistoryLine>> ImageCatalog::History(
    const Caller& caller, const ResolvedImage& image, absl::string_view snapshotter) {
  const Sizes unpacked = SnapshotsOf(stores_.snapshots, caller, image, snapshotter);
  std::vector<HistoryEntry> history = image.config.history;
  // Images without a history still have layers to show.
  if (history.empty()) history.resize(image.layers.size());
  std::vector<HistoryLine> lines;
  size_t layer = 0;
  for (const HistoryEntry& entry : history) {
    HistoryLine line = {.id = "<missing>",
                        .created = entry.created,
                        .created_by = entry.created_by,
                        .comment = entry.comment,
                        .size_bytes = 0,
                        .tags = {}};
    if (!entry.empty_layer && layer < image.layers.size()) {
      ++layer;
      line.size_bytes = image.layers[layer - 1].size();
      if (layer <= image.config.diff_ids.size()) {
        const std::string chain =
            ChainId(absl::Span<const std::string>(image.config.diff_ids).subspan(0, layer));
        if (auto it = unpacked.find(chain); it != unpacked.end()) line.size_bytes = it->second;
      }
    }
    lines.push_back(std::move(line));
  }
  std::reverse(lines.begin(), lines.end());
  if (lines.empty()) return lines;
  lines.front().id = image.id();
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> records, stores_.images.List(caller, {}));
  for (const ImageRecord& record : records) {
    if (record.target().digest() == image.target.digest() && !IsDangling(record.name())) {
      lines.front().tags.push_back(record.name());
    }
  }
  return lines;
}

absl::StatusOr<ImageCatalog::DiskUsage> ImageCatalog::MeasureAll(const Caller& caller,
                                                                 absl::string_view snapshotter) {
  ListOptions list;
  list.measure = ListOptions::Measure::kNothing;
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageSummary> all, List(caller, list));
  Sizes blobs, snapshots, active;
  absl::flat_hash_map<std::string, bool> targets;
  for (const ImageSummary& summary : all) {
    targets[summary.record.target().digest()] = summary.containers > 0;
    if (!summary.resolved.has_value()) continue;
    Sizes of_blobs = BlobsOf(*summary.resolved);
    Sizes of_snapshots = SnapshotsOf(stores_.snapshots, caller, *summary.resolved, snapshotter);
    if (summary.containers > 0) {
      active.insert(of_blobs.begin(), of_blobs.end());
      active.insert(of_snapshots.begin(), of_snapshots.end());
    }
    blobs.merge(of_blobs);
    snapshots.merge(of_snapshots);
  }
  DiskUsage usage;
  usage.images = static_cast<int64_t>(targets.size());
  for (const auto& [target, is_active] : targets) usage.active += is_active ? 1 : 0;
  usage.content_bytes = Sum(blobs);
  usage.unpacked_bytes = Sum(snapshots);
  usage.reclaimable_bytes = SumWithout(blobs, active) + SumWithout(snapshots, active);
  return usage;
}

}  // namespace berth::image

// berth history, image df: what images are made of, and what they take on the disk.
#include <map>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/verbs.h"
#include "client/sdk/container_client.h"
#include "client/sdk/content_client.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/quantities.h"
#include "client/sdk/snapshot_client.h"

namespace berth::client {
namespace {

struct CareArguments {
  std::string format = "table";
  bool is_quiet = false;
  std::vector<std::string> rest;
};

std::string ShortId(absl::string_view digest) {
  const size_t colon = digest.find(':');
  return std::string(digest.substr(colon == absl::string_view::npos ? 0 : colon + 1, 12));
}

absl::StatusOr<int> ShowHistory(const Context& context, const CareArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
  std::vector<HistoryEntry> history = image.config.history;
  if (history.empty()) history.resize(image.manifest.layers.size());
  // Sizes of layers, for the lines that made one.
  std::vector<int64_t> sizes;
  size_t layer = 0;
  for (const HistoryEntry& entry : history) {
    const bool has_layer = !entry.empty_layer && layer < image.manifest.layers.size();
    sizes.push_back(has_layer ? image.manifest.layers[layer++].size() : 0);
  }
  Listing listing;
  listing.AddColumn("IMAGE", "id");
  listing.AddColumn("CREATED", "created_at");
  listing.AddColumn("CREATED BY", "created_by", Listing::Fit::kMayBeCut);
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("COMMENT", "comment");
  std::string ids;
  for (size_t i = history.size(); i > 0; --i) {
    const HistoryEntry& entry = history[i - 1];
    const bool is_top = i == history.size();
    const std::string id = is_top ? image.manifest.config.digest() : "<missing>";
    absl::Time made;
    const bool has_time = absl::ParseTime(absl::RFC3339_full, entry.created, &made, nullptr);
    listing.AddRow(
        {Cell(is_top ? ShortId(id) : id, id),
         Cell(has_time ? absl::StrCat(FormatAge(absl::Now() - made), " ago") : "-", entry.created),
         Cell(absl::StrReplaceAll(entry.created_by, {{"\n", " "}, {"\t", " "}}), entry.created_by),
         Cell(FormatBytes(sizes[i - 1]), sizes[i - 1]), Cell(entry.comment)});
    absl::StrAppend(&ids, id, "\n");
  }
  if (arguments.is_quiet) {
    PrintText(ids);
  } else {
    listing.Print(format);
  }
  return kExitOk;
}

// What an image takes on the disk, piece by piece: blobs by digest, snapshots by name.
using Pieces = std::map<std::string, int64_t>;

// What is here: blobs of layers may have been dropped, layers not been unpacked.
Pieces PiecesOf(const ContentClient& content, const SnapshotClient& snapshots,
                const ImageRecord& record, const ResolvedImage* image) {
  Pieces pieces;
  const auto add_blob = [&](const std::string& digest) {
    const absl::StatusOr<BlobInfo> info = content.Info(digest);
    if (info.ok()) pieces[digest] = info->size();
  };
  add_blob(record.target().digest());
  if (image == nullptr) return pieces;
  add_blob(image->manifest_descriptor.digest());
  add_blob(image->manifest.config.digest());
  for (const Descriptor& layer : image->manifest.layers) add_blob(layer.digest());
  for (size_t count = 1; count <= image->config.diff_ids.size(); ++count) {
    const std::string chain = ChainId(image->config.diff_ids, count);
    const absl::StatusOr<SnapshotUsage> usage = snapshots.Usage(chain);
    if (usage.ok()) pieces[absl::StrCat("snapshot ", chain)] = usage->size_bytes;
  }
  return pieces;
}

struct ImageUsage {
  ImageRecord record;
  std::string id;
  Pieces pieces;
  int64_t containers = 0;
};

absl::StatusOr<std::vector<ImageUsage>> MeasureImages(const Context& context,
                                                      const Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> all, ImageClient(connection).List({}));
  BERTH_ASSIGN_OR_RETURN(const std::vector<ContainerRecord> containers,
                         ContainerClient(connection).List({}));
  const ContentClient content(connection);
  const SnapshotClient snapshots(connection,
                                 ChooseSnapshotter(connection, context.options().snapshotter));
  std::vector<ImageUsage> images;
  for (const ImageRecord& record : all) {
    const absl::StatusOr<ResolvedImage> image = ResolveImage(connection, record);
    ImageUsage usage;
    usage.record = record;
    if (image.ok()) usage.id = image->manifest.config.digest();
    usage.pieces = PiecesOf(content, snapshots, record, image.ok() ? &*image : nullptr);
    for (const ContainerRecord& container : containers) {
      usage.containers += container.image() == record.name() ? 1 : 0;
    }
    images.push_back(std::move(usage));
  }
  return images;
}

absl::StatusOr<int> ShowImageUsage(const Context& context, const CareArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageUsage> images, MeasureImages(context, connection));
  std::map<std::string, std::set<std::string>> holders;  // piece -> targets of images
  Pieces all;
  Pieces used;
  for (const ImageUsage& image : images) {
    for (const auto& [piece, size] : image.pieces) {
      holders[piece].insert(image.record.target().digest());
      all[piece] = size;
      if (image.containers > 0) used[piece] = size;
    }
  }
  const auto sum = [](const Pieces& pieces) {
    int64_t bytes = 0;
    for (const auto& [piece, size] : pieces) bytes += size;
    return bytes;
  };
  Listing listing;
  listing.AddColumn("NAME", "name", Listing::Fit::kMayBeCut);
  listing.AddColumn("IMAGE ID", "id");
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("SHARED", "shared");
  listing.AddColumn("UNIQUE", "unique");
  listing.AddColumn("CONTAINERS", "containers");
  for (const ImageUsage& image : images) {
    int64_t unique = 0;
    for (const auto& [piece, size] : image.pieces) unique += holders[piece].size() == 1 ? size : 0;
    const int64_t size = sum(image.pieces);
    listing.AddRow({Cell(FamiliarName(image.record.name()), image.record.name()),
                    Cell(ShortId(image.id), image.id), Cell(FormatBytes(size), size),
                    Cell(FormatBytes(size - unique), size - unique),
                    Cell(FormatBytes(unique), unique),
                    Cell(absl::StrCat(image.containers), image.containers)});
  }
  listing.Print(format);
  if (format == Format::kTable) {
    PrintText(absl::StrCat("Together ", FormatBytes(sum(all)), ", of which ",
                           FormatBytes(sum(all) - sum(used)), " are no container's\n"));
  }
  return kExitOk;
}

void DescribeHistory(Command command, const Context& context) {
  auto arguments = std::make_shared<CareArguments>();
  command.Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Rest({"IMAGE", 1, 1}, arguments->rest)
      .Examples("  berth history alpine\n  berth history -q alpine\n")
      .Do([&context, arguments] { return ShowHistory(context, *arguments); });
}

}  // namespace

void AddImageCare(Command root, Command image, const Context& context) {
  DescribeHistory(root.Add("history", "Show how an image was made"), context);
  DescribeHistory(image.Add("history", "Show how an image was made"), context);
  auto usage = std::make_shared<CareArguments>();
  image.Add("df", "Show how much disk each image takes")
      .Option("--format", usage->format, "table or json")
      .Rest({"", 0, 0}, usage->rest)
      .Examples("  berth image df\n")
      .Do([&context, usage] { return ShowImageUsage(context, *usage); });
}

}  // namespace berth::client

// berth image: what is there, and by which names.

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/verbs.h"
#include "client/sdk/content_client.h"
#include "client/sdk/image_forms_client.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct ImageArguments {
  std::string format = "table";
  bool is_quiet = false;
  bool is_synchronous = false;
  bool is_forced = false;
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

// "sha256:0123456789ab..." -> "0123456789ab".
std::string ShortDigest(absl::string_view digest) {
  const size_t colon = digest.find(':');
  return std::string(digest.substr(colon == absl::string_view::npos ? 0 : colon + 1, 12));
}

absl::StatusOr<int> ListImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> images,
                         ImageClient(connection).List(arguments.filters));
  if (arguments.is_quiet) {
    for (const ImageRecord& image : images) PrintText(absl::StrCat(image.name(), "\n"));
    return kExitOk;
  }
  Listing listing;
  listing.AddColumn("NAME", "name", Listing::Fit::kMayBeCut);
  listing.AddColumn("IMAGE ID", "id");
  listing.AddColumn("CREATED", "created_at");
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("PLATFORM", "platform");
  listing.AddColumn("DIGEST", "digest", Listing::Fit::kJsonOnly);
  for (const ImageRecord& record : images) {
    // One damaged image must not hide the others.
    const absl::StatusOr<ResolvedImage> image = ResolveImage(connection, record);
    const absl::Time created = FromProto(record.created_at());
    const std::string id = image.ok() ? image->manifest.config.digest() : "";
    const int64_t size = image.ok() ? ContentSize(*image) : record.target().size();
    listing.AddRow(
        {Cell(FamiliarName(record.name()), record.name()),
         Cell(image.ok() ? ShortDigest(id) : "<incomplete>", id),
         Cell(absl::StrCat(FormatAge(absl::Now() - created), " ago"), FormatMoment(created)),
         Cell(FormatBytes(size), size),
         Cell(image.ok() ? FormatPlatform(image->config.platform) : "-"),
         Cell(record.target().digest())});
  }
  listing.Print(format);
  return kExitOk;
}

// The container that uses the last name of the image's target; empty: none does.
absl::StatusOr<std::string> UserOfLastName(const Connection& connection, const ImageRecord& image) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> all, ImageClient(connection).List({}));
  for (const ImageRecord& other : all) {
    if (other.name() != image.name() && other.target().digest() == image.target().digest()) {
      return "";
    }
  }
  BERTH_ASSIGN_OR_RETURN(
      const std::vector<ContainerRecord> containers,
      ContainerClient(connection).List({absl::StrCat("image==\"", image.name(), "\"")}));
  return containers.empty() ? "" : containers[0].id();
}

absl::StatusOr<int> RemoveImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("image rm", arguments.rest, [&](const std::string& name) -> absl::Status {
    const absl::StatusOr<ImageRecord> record = FindImage(connection, name);
    if (absl::IsNotFound(record.status()) && arguments.is_forced) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(record.status());
    if (!arguments.is_forced) {
      BERTH_ASSIGN_OR_RETURN(const std::string user, UserOfLastName(connection, *record));
      if (!user.empty()) {
        return absl::FailedPreconditionError(
            absl::StrCat("image ", FamiliarName(record->name()), " is used by container ", user,
                         "; remove the container first, or use --force (the container keeps its "
                         "files)"));
      }
    }
    return ImageClient(connection)
        .Delete(record->name(),
                arguments.is_synchronous ? Collect::kBeforeAnswer : Collect::kLater);
  });
}

absl::StatusOr<int> TagImage(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ImageRecord source, FindImage(connection, arguments.rest[0]));
  return ForEach("image tag", {arguments.rest.begin() + 1, arguments.rest.end()},
                 [&](const std::string& name) -> absl::Status {
                   BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(name));
                   ImageRecord copy;
                   copy.set_name(reference.Full());
                   *copy.mutable_target() = source.target();
                   *copy.mutable_labels() = source.labels();
                   return ImageClient(connection).Put(copy);
                 });
}

absl::StatusOr<int> LabelImage(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, arguments.rest[0]));
  BERTH_RETURN_IF_ERROR(ImageClient(connection).SetLabels(record.name(), labels));
  return kExitOk;
}

absl::StatusOr<int> UnpackImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const std::string snapshotter = ChooseSnapshotter(connection, context.options().snapshotter);
  return ForEach("image unpack", arguments.rest, [&](const std::string& name) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, name));
    return ImageFormsClient(connection).Unpack(record.name(), snapshotter);
  });
}

// Which blobs of each image are there, and whether its layers are unpacked.
absl::StatusOr<int> CheckImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> images,
                         ImageClient(connection).List(arguments.filters));
  const ContentClient content(connection);
  const SnapshotClient snapshots(connection,
                                 ChooseSnapshotter(connection, context.options().snapshotter));
  Listing listing;
  listing.AddColumn("NAME", "name", Listing::Fit::kMayBeCut);
  listing.AddColumn("STATUS", "status");
  listing.AddColumn("LAYERS", "layers");
  listing.AddColumn("UNPACKED", "unpacked");
  int exit_code = kExitOk;
  for (const ImageRecord& record : images) {
    const absl::StatusOr<ResolvedImage> image = ResolveImage(connection, record);
    size_t present = 0;
    size_t wanted = 0;
    bool is_unpacked = false;
    if (image.ok()) {
      wanted = image->manifest.layers.size();
      for (const Descriptor& layer : image->manifest.layers) {
        if (content.Info(layer.digest()).ok()) ++present;
      }
      is_unpacked = image->chain_id().empty() || snapshots.Stat(image->chain_id()).ok();
    }
    const bool is_complete = image.ok() && present == wanted;
    if (!is_complete) exit_code = kExitFailure;
    listing.AddRow({Cell(FamiliarName(record.name()), record.name()),
                    Cell(is_complete ? "complete" : "incomplete"),
                    Cell(absl::StrCat(present, "/", wanted)),
                    Cell(is_unpacked ? "yes" : "no", Json(is_unpacked))});
  }
  listing.Print(format);
  return exit_code;
}

absl::StatusOr<int> InspectImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  Json list = Json::array();
  for (const std::string& name : arguments.rest) {
    BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, name));
    BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
    list.push_back(ImageDocument(image));
  }
  PrintText(absl::StrCat(Dump(list), "\n"));
  return kExitOk;
}

}  // namespace

Command AddImage(Command root, const Context& context) {
  auto arguments = std::make_shared<ImageArguments>();
  Command noun = root.Add("image,i", "Images");
  AddImageTransfer(root, noun, context);
  AddImageArchive(root, noun, context);
  AddImageCare(root, noun, context);
  AddImageConvert(noun, context);
  noun.Add("records", "List images as containerd knows them")
      .Option("-f,--filter", arguments->filters, "containerd's filters: name~=busybox")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Names only")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth image records -q\n")
      .Do([&context, arguments] { return ListImages(context, *arguments); });
  for (Command command : {noun.Add("rm,remove", "Remove names of images"),
                          root.Add("rmi", "Remove names of images")}) {
    command.Flag("--sync", arguments->is_synchronous, "Free the disk before returning")
        .Flag("-f,--force", arguments->is_forced,
              "Also what containers use; names that are not there "
              "are no error")
        .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
        .Examples("  berth rmi busybox\n")
        .Do([&context, arguments] { return RemoveImages(context, *arguments); });
  }
  for (Command command : {noun.Add("tag", "Give an image further names"),
                          root.Add("tag", "Give an image further names")}) {
    command.Rest({"IMAGE NAME [NAME...]", 2, -1}, arguments->rest)
        .Examples("  berth tag busybox registry.example.com/tools/busybox:1\n")
        .Do([&context, arguments] { return TagImage(context, *arguments); });
  }
  noun.Add("label", "Set and remove labels of an image")
      .Rest({"IMAGE KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Examples("  berth image label busybox io.cri-containerd.pinned=pinned\n")
      .Do([&context, arguments] { return LabelImage(context, *arguments); });
  noun.Add("unpack", "Turn layers into snapshots")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth image unpack busybox\n")
      .Do([&context, arguments] { return UnpackImages(context, *arguments); });
  noun.Add("check", "Say which images are complete and unpacked")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth image check\n")
      .Do([&context, arguments] { return CheckImages(context, *arguments); });
  noun.Add("info", "Show images as containerd knows them, as JSON")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth image info busybox\n")
      .Do([&context, arguments] { return InspectImages(context, *arguments); });
  return noun;
}

}  // namespace berth::client

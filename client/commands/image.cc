// berth image: names of images, and archives in and out.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/verbs.h"
#include "client/sdk/content_client.h"
#include "client/sdk/image_export.h"
#include "client/sdk/image_import.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/image_unpack.h"
#include "client/sdk/lease_client.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct ImageArguments {
  std::string format = "table";
  bool is_quiet = false;
  bool is_synchronous = false;
  bool skips_unpack = false;
  std::string file;
  std::string repository;
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

// The name of an archive as the repository of an image that brings none of its own.
std::string RepositoryFromFile(const std::string& file) {
  std::string stem = std::filesystem::path(file).filename().string();
  stem = absl::AsciiStrToLower(stem.substr(0, stem.find('.')));
  return Reference::Parse(stem).ok() ? stem : "imported";
}

absl::StatusOr<int> LoadImages(const Context& context, const ImageArguments& arguments) {
  const std::string file = !arguments.file.empty()   ? arguments.file
                           : !arguments.rest.empty() ? arguments.rest[0]
                                                     : "-";
  UniqueFd opened;
  if (file != "-") {
    BERTH_ASSIGN_OR_RETURN(opened, OpenFile(file, O_RDONLY), _ << "open the archive");
  } else if (IsTerminal(BorrowedFd(STDIN_FILENO))) {
    return absl::InvalidArgumentError(
        "no archive: name one with -i, or pipe it in (docker save IMAGE | berth image load)");
  }
  const BorrowedFd input = file == "-" ? BorrowedFd(STDIN_FILENO) : BorrowedFd(opened);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ScopedLease lease, ScopedLease::Create(connection));
  ImportOptions options;
  options.default_repository =
      arguments.repository.empty() ? RepositoryFromFile(file) : arguments.repository;
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> records,
                         ImportImages(lease.connection(), input, options),
                         _ << "load " << (file == "-" ? "standard input" : file));
  const std::string snapshotter = ChooseSnapshotter(connection, context.options().snapshotter);
  for (const ImageRecord& record : records) {
    if (!arguments.skips_unpack) {
      BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(lease.connection(), record));
      BERTH_RETURN_IF_ERROR(UnpackImage(lease.connection(), image, snapshotter));
    }
    PrintText(absl::StrCat("Loaded image: ", FamiliarName(record.name()), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> SaveImages(const Context& context, const ImageArguments& arguments) {
  const bool to_stdout = arguments.file.empty() || arguments.file == "-";
  if (to_stdout && IsTerminal(BorrowedFd(STDOUT_FILENO))) {
    return absl::InvalidArgumentError(
        "an archive is nothing for a terminal: name a file with -o, or redirect");
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  std::vector<ImageRecord> images;
  for (const std::string& name : arguments.rest) {
    BERTH_ASSIGN_OR_RETURN(ImageRecord record, FindImage(connection, name));
    images.push_back(std::move(record));
  }
  UniqueFd file;
  if (!to_stdout) {
    BERTH_ASSIGN_OR_RETURN(file, OpenFile(arguments.file, O_WRONLY | O_CREAT | O_TRUNC, 0644),
                           _ << "open the archive");
  }
  const absl::Status saved =
      ExportImages(connection, images, to_stdout ? BorrowedFd(STDOUT_FILENO) : BorrowedFd(file));
  if (!saved.ok()) {
    if (!to_stdout) ::unlink(arguments.file.c_str());  // half an archive helps nobody
    return Annotate(saved, "save");
  }
  return kExitOk;
}

absl::StatusOr<int> RemoveImages(const Context& context, const ImageArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("image rm", arguments.rest, [&](const std::string& name) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, name));
    return ImageClient(connection)
        .Delete(record.name(), arguments.is_synchronous ? Collect::kBeforeAnswer : Collect::kLater);
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
  BERTH_ASSIGN_OR_RETURN(const ScopedLease lease, ScopedLease::Create(connection));
  const std::string snapshotter = ChooseSnapshotter(connection, context.options().snapshotter);
  return ForEach("image unpack", arguments.rest, [&](const std::string& name) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, name));
    BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
    return UnpackImage(lease.connection(), image, snapshotter);
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

void AddImage(Command root, const Context& context) {
  auto arguments = std::make_shared<ImageArguments>();
  Command noun = root.Add("image,i", "Images");
  root.Add("images", "List images")
      .Option("-f,--filter", arguments->filters, "containerd's filters: name~=busybox")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Names only")
      .Rest({"", 0, 0}, arguments->rest)
      .Do([&context, arguments] { return ListImages(context, *arguments); });
  noun.Add("ls,list", "List images")
      .Option("-f,--filter", arguments->filters, "containerd's filters: name~=busybox")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Names only")
      .Rest({"", 0, 0}, arguments->rest)
      .Do([&context, arguments] { return ListImages(context, *arguments); });
  noun.Add("load,import", "Bring in images from an archive (docker save, OCI layout)")
      .Option("-i,--input", arguments->file, "The archive; - or nothing is standard input")
      .Option("--repository", arguments->repository,
              "Name for images that the archive leaves unnamed")
      .Flag("--no-unpack", arguments->skips_unpack, "Do not unpack the layers yet")
      .Rest({"[ARCHIVE]", 0, 1}, arguments->rest)
      .Examples("  berth image load -i busybox.tar\n  docker save redis | berth image load\n")
      .Do([&context, arguments] { return LoadImages(context, *arguments); });
  noun.Add("save,export", "Write images to an archive that docker and OCI tools read")
      .Option("-o,--output", arguments->file, "The archive; - or nothing is standard output")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth image save -o both.tar busybox redis\n")
      .Do([&context, arguments] { return SaveImages(context, *arguments); });
  noun.Add("rm,remove", "Remove names of images")
      .Flag("--sync", arguments->is_synchronous, "Free the disk before returning")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Do([&context, arguments] { return RemoveImages(context, *arguments); });
  noun.Add("tag", "Give an image further names")
      .Rest({"IMAGE NAME [NAME...]", 2, -1}, arguments->rest)
      .Do([&context, arguments] { return TagImage(context, *arguments); });
  noun.Add("label", "Set and remove labels of an image")
      .Rest({"IMAGE KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Do([&context, arguments] { return LabelImage(context, *arguments); });
  noun.Add("unpack", "Turn layers into snapshots")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Do([&context, arguments] { return UnpackImages(context, *arguments); });
  noun.Add("check", "Say which images are complete and unpacked")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Do([&context, arguments] { return CheckImages(context, *arguments); });
  noun.Add("inspect,info", "Show images as JSON")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Do([&context, arguments] { return InspectImages(context, *arguments); });
}

}  // namespace berth::client

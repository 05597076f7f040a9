// berth load, save: archives of images in and out.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/transfer_display.h"
#include "client/commands/verbs.h"
#include "client/sdk/image_export.h"
#include "client/sdk/image_import.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/image_unpack.h"
#include "client/sdk/lease_client.h"
#include "client/sdk/transfer_client.h"

namespace berth::client {
namespace {

struct ArchiveArguments {
  std::string file;
  std::string repository;
  std::vector<std::string> platforms;
  bool all_platforms = false;
  bool skips_unpack = false;
  bool is_quiet = false;
  std::vector<std::string> rest;
};

absl::StatusOr<PlatformChoice> ChoiceOf(const ArchiveArguments& arguments) {
  PlatformChoice choice;
  if (arguments.all_platforms) choice.extent = PlatformChoice::Extent::kAll;
  BERTH_ASSIGN_OR_RETURN(choice.platforms, ParsePlatforms(arguments.platforms));
  return choice;
}

// The name of an archive as the repository of an image that brings none of its own.
std::string RepositoryFromFile(const std::string& file) {
  std::string stem = std::filesystem::path(file).filename().string();
  stem = absl::AsciiStrToLower(stem.substr(0, stem.find('.')));
  return Reference::Parse(stem).ok() ? stem : "imported";
}

// Through the calls that every server of containerd's API has: for those without Transfer.
absl::StatusOr<std::vector<std::string>> LoadByClient(const Connection& connection,
                                                      BorrowedFd input,
                                                      const std::string& repository,
                                                      const std::string& snapshotter) {
  BERTH_ASSIGN_OR_RETURN(const ScopedLease lease, ScopedLease::Create(connection));
  ImportOptions options;
  options.default_repository = repository;
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> records,
                         ImportImages(lease.connection(), input, options));
  std::vector<std::string> names;
  for (const ImageRecord& record : records) {
    if (!snapshotter.empty()) {
      BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(lease.connection(), record));
      BERTH_RETURN_IF_ERROR(UnpackImage(lease.connection(), image, snapshotter));
    }
    names.push_back(record.name());
  }
  return names;
}

absl::StatusOr<std::vector<std::string>> Load(const Connection& connection, BorrowedFd input,
                                              const ArchiveArguments& arguments,
                                              const std::string& repository,
                                              const std::string& snapshotter) {
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(repository),
                         _ << "--repository");
  TransferDisplay display(arguments.is_quiet ? TransferDisplay::Style::kQuiet
                                             : TransferDisplay::ChooseStyle());
  std::vector<std::string> names;
  LoadOptions options;
  options.default_repository = absl::StrCat(reference.host(), "/", reference.path());
  BERTH_ASSIGN_OR_RETURN(options.choice, ChoiceOf(arguments));
  options.snapshotter = snapshotter;
  options.on_step = [&](const TransferStep& step) {
    if (step.event() == "saved") {
      names.push_back(step.name());
    } else if (!arguments.is_quiet) {
      display.Show(step);
    }
  };
  const absl::Status loaded = TransferClient(connection).Load(input, options);
  display.Finish();
  if (absl::IsUnimplemented(loaded)) {
    return LoadByClient(connection, input, repository, snapshotter);
  }
  BERTH_RETURN_IF_ERROR(loaded);
  return names;
}

absl::StatusOr<int> LoadImages(const Context& context, const ArchiveArguments& arguments) {
  const std::string file = !arguments.file.empty()   ? arguments.file
                           : !arguments.rest.empty() ? arguments.rest[0]
                                                     : "-";
  UniqueFd opened;
  if (file != "-") {
    BERTH_ASSIGN_OR_RETURN(opened, OpenFile(file, O_RDONLY), _ << "open the archive");
  } else if (IsTerminal(BorrowedFd(STDIN_FILENO))) {
    return absl::InvalidArgumentError(
        "no archive: name one with -i, or pipe it in (docker save IMAGE | berth load)");
  }
  const BorrowedFd input = file == "-" ? BorrowedFd(STDIN_FILENO) : BorrowedFd(opened);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const std::string repository =
      arguments.repository.empty() ? RepositoryFromFile(file) : arguments.repository;
  const std::string snapshotter =
      arguments.skips_unpack ? "" : ChooseSnapshotter(connection, context.options().snapshotter);
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         Load(connection, input, arguments, repository, snapshotter),
                         _ << "load " << (file == "-" ? "standard input" : file));
  for (const std::string& name : names) {
    PrintText(absl::StrCat("Loaded image: ", FamiliarName(name), "\n"));
  }
  return kExitOk;
}

absl::Status Save(const Connection& connection, const std::vector<ImageRecord>& images,
                  const ArchiveArguments& arguments, BorrowedFd output) {
  SaveOptions options;
  for (const ImageRecord& image : images) options.names.push_back(image.name());
  BERTH_ASSIGN_OR_RETURN(options.choice, ChoiceOf(arguments));
  const absl::Status saved = TransferClient(connection).Save(output, options);
  return absl::IsUnimplemented(saved) ? ExportImages(connection, images, output) : saved;
}

absl::StatusOr<int> SaveImages(const Context& context, const ArchiveArguments& arguments) {
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
      Save(connection, images, arguments, to_stdout ? BorrowedFd(STDOUT_FILENO) : BorrowedFd(file));
  if (!saved.ok()) {
    if (!to_stdout) ::unlink(arguments.file.c_str());  // half an archive helps nobody
    return Annotate(saved, "save");
  }
  return kExitOk;
}

void DescribeLoad(Command command, const Context& context) {
  auto arguments = std::make_shared<ArchiveArguments>();
  command.Option("-i,--input", arguments->file, "The archive; - or nothing is standard input")
      .Option("--repository", arguments->repository,
              "Name for images that the archive leaves unnamed")
      .Option("--platform", arguments->platforms, "Of an archive for several: only these")
      .Flag("--no-unpack", arguments->skips_unpack, "Do not unpack the layers yet")
      .Flag("-q,--quiet", arguments->is_quiet, "Print the names only")
      .Rest({"[ARCHIVE]", 0, 1}, arguments->rest)
      .Examples("  berth load -i busybox.tar\n  docker save redis | berth load\n")
      .Do([&context, arguments] { return LoadImages(context, *arguments); });
}

void DescribeSave(Command command, const Context& context) {
  auto arguments = std::make_shared<ArchiveArguments>();
  command.Option("-o,--output", arguments->file, "The archive; - or nothing is standard output")
      .Option("--platform", arguments->platforms, "These instead of this machine's")
      .Flag("--all-platforms", arguments->all_platforms, "All that are here")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth save -o both.tar busybox redis\n")
      .Do([&context, arguments] { return SaveImages(context, *arguments); });
}

}  // namespace

void AddImageArchive(Command root, Command image, const Context& context) {
  DescribeLoad(root.Add("load", "Bring in images from an archive (docker save, OCI layout)"),
               context);
  DescribeLoad(
      image.Add("load,import", "Bring in images from an archive (docker save, OCI layout)"),
      context);
  DescribeSave(root.Add("save", "Write images to an archive that docker and OCI tools read"),
               context);
  DescribeSave(
      image.Add("save,export", "Write images to an archive that docker and OCI tools read"),
      context);
}

}  // namespace berth::client

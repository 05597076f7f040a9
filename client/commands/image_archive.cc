// berth load, save: archives of images in and out.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/reference/reference.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/image_pull.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/transfer_display.h"
#include "client/commands/verbs.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/local_archive.h"
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

// The files of a directory as a tar stream, made by a thread of its own while they are read.
class DirectoryStream {
 public:
  static absl::StatusOr<std::unique_ptr<DirectoryStream>> Open(const std::string& directory) {
    BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    std::unique_ptr<DirectoryStream> stream(new DirectoryStream(std::move(pipe.read)));
    stream->writer_ = std::thread([self = stream.get(), directory, end = std::move(pipe.write)] {
      // A reader that gives up ends the writing, not the program.
      sigset_t signals;
      ::sigemptyset(&signals);
      ::sigaddset(&signals, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
      self->status_ = WriteArchive(directory, ".", LinkMode::kKeep, end);
    });
    return stream;
  }
  ~DirectoryStream() { Finish().IgnoreError(); }
  DirectoryStream(const DirectoryStream&) = delete;
  DirectoryStream& operator=(const DirectoryStream&) = delete;

  BorrowedFd fd() const { return read_; }
  // How making it ended. The reader may have given up: then that is the reason, and not this.
  absl::Status Finish() {
    read_.Reset();
    if (writer_.joinable()) writer_.join();
    return status_;
  }

 private:
  explicit DirectoryStream(UniqueFd read) : read_(std::move(read)) {}
  UniqueFd read_;
  std::thread writer_;
  absl::Status status_;
};

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
  BERTH_RETURN_IF_ERROR(ExplainTransfer(loaded, reference.host()));
  return names;
}

absl::StatusOr<int> LoadImages(const Context& context, const ArchiveArguments& arguments) {
  const std::string file = !arguments.file.empty()   ? arguments.file
                           : !arguments.rest.empty() ? arguments.rest[0]
                                                     : "-";
  UniqueFd opened;
  std::unique_ptr<DirectoryStream> directory;
  if (file != "-" && std::filesystem::is_directory(file)) {
    BERTH_ASSIGN_OR_RETURN(directory, DirectoryStream::Open(file));
  } else if (file != "-") {
    BERTH_ASSIGN_OR_RETURN(opened, OpenFile(file, O_RDONLY), _ << "open the archive");
  } else if (IsTerminal(BorrowedFd(STDIN_FILENO))) {
    return absl::InvalidArgumentError(
        "no archive: name one with -i, or pipe it in (docker save IMAGE | berth load)");
  }
  const BorrowedFd input = directory != nullptr ? directory->fd()
                           : file == "-"        ? BorrowedFd(STDIN_FILENO)
                                                : BorrowedFd(opened);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const std::string repository =
      arguments.repository.empty() ? RepositoryFromFile(file) : arguments.repository;
  const std::string snapshotter =
      arguments.skips_unpack ? "" : ChooseSnapshotter(connection, context.options().snapshotter);
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         Load(connection, input, arguments, repository, snapshotter),
                         _ << "load " << (file == "-" ? "standard input" : file));
  if (directory != nullptr) {
    BERTH_RETURN_IF_ERROR(directory->Finish()) << "read " << file;
  }
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
  return ExplainTransfer(TransferClient(connection).Save(output, options), "");
}

// Into a directory: the same archive, unpacked while it comes.
absl::Status SaveToDirectory(const Connection& connection, const std::vector<ImageRecord>& images,
                             const ArchiveArguments& arguments) {
  const std::string& directory = arguments.file;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return ErrnoStatus(error.value(), "mkdir", directory);
  if (!std::filesystem::is_empty(directory, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(directory, " is not empty; give a new directory, or empty this one"));
  }
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  absl::Status extracted;
  std::thread reader([&] {
    extracted = ExtractArchive(pipe.read, directory, {}, OwnerMode::kMine).status();
    pipe.read.Reset();
  });
  const absl::Status saved = Save(connection, images, arguments, pipe.write);
  pipe.write.Reset();
  reader.join();
  const absl::Status status = saved.ok() ? extracted : saved;
  if (status.ok()) return status;
  // Half a layout helps nobody; all that is there came from here.
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::filesystem::remove_all(entry.path(), error);
  }
  return status;
}

// A directory that is there, or a name that says so by its end.
bool IsDirectoryName(const std::string& file) {
  return absl::EndsWith(file, "/") || std::filesystem::is_directory(file);
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
  if (!to_stdout && IsDirectoryName(arguments.file)) {
    BERTH_RETURN_IF_ERROR(SaveToDirectory(connection, images, arguments)) << "save";
    return kExitOk;
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
  command
      .Option("-i,--input", arguments->file,
              "The archive or directory; - or nothing is standard input")
      .Option("--repository", arguments->repository,
              "Name for images that the archive leaves unnamed")
      .Option("--platform", arguments->platforms, "Of an archive for several: only these")
      .Flag("--no-unpack", arguments->skips_unpack, "Do not unpack the layers yet")
      .Flag("-q,--quiet", arguments->is_quiet, "Print the names only")
      .Rest({"[ARCHIVE]", 0, 1}, arguments->rest)
      .Examples(
          "  berth load -i busybox.tar\n  docker save redis | berth load\n"
          "  berth load -i layout/\n")
      .Do([&context, arguments] { return LoadImages(context, *arguments); });
}

void DescribeSave(Command command, const Context& context) {
  auto arguments = std::make_shared<ArchiveArguments>();
  command
      .Option("-o,--output", arguments->file,
              "The archive; a directory where it ends in / or is one; - or nothing is standard "
              "output")
      .Option("--platform", arguments->platforms, "These instead of this machine's")
      .Flag("--all-platforms", arguments->all_platforms, "All that are here")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth save -o both.tar busybox redis\n  berth save -o layout/ busybox\n")
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

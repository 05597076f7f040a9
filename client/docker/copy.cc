// berth cp: files between a container and this machine.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/plain_archive.h"
#include "client/format/human.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/local_archive.h"

namespace berth::client {
namespace {

constexpr size_t kPieceBytes = 256 << 10;

struct CopyArguments {
  bool keeps_owners = false;
  bool follows_links = false;
  bool is_quiet = false;
  std::vector<std::string> rest;
};

// "CONTAINER:PATH", or a path of this machine.
struct Place {
  std::string container;  // empty: this machine
  std::string path;
};

Place ParsePlace(const std::string& word) {
  const size_t colon = word.find(':');
  // A path that begins like one is a path, whatever else is in it.
  if (colon == std::string::npos || word[0] == '/' || word[0] == '.') return {"", word};
  const std::string path = word.substr(colon + 1);
  return {word.substr(0, colon), absl::StartsWith(path, "/") ? path : absl::StrCat("/", path)};
}

// The path without a trailing slash or "/.", which say what is meant and not where.
struct CleanPath {
  std::string path;
  bool wants_directory = false;  // ended with "/" or "/."
  bool wants_contents = false;   // ended with "/."
};

CleanPath Clean(absl::string_view text) {
  CleanPath clean;
  clean.wants_contents = text == "." || absl::EndsWith(text, "/.");
  if (text != ".") absl::ConsumeSuffix(&text, "/.");
  clean.wants_directory = clean.wants_contents || absl::EndsWith(text, "/");
  while (text.size() > 1 && absl::ConsumeSuffix(&text, "/")) continue;
  clean.path = text.empty() ? "/" : std::string(text);
  return clean;
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? (absl::StartsWith(path, "/") ? "/" : ".") : parent;
}

std::string NameOf(const std::string& path) { return std::filesystem::path(path).filename(); }

void Tell(const CopyArguments& arguments, int64_t bytes, const std::string& where) {
  if (arguments.is_quiet || !IsTerminal(BorrowedFd(STDERR_FILENO))) return;
  std::fprintf(stderr, "Successfully copied %s to %s\n",
               DecimalSize(static_cast<double>(bytes)).c_str(), where.c_str());
}

// Streams the archive of a path of a container into `out`; `stat` gets what the path is.
absl::Status StreamOut(const EngineClient& client, const Place& from, engine::PathStat& stat,
                       const std::function<absl::Status()>& on_stat, BorrowedFd out) {
  engine::CopyOutRequest request;
  request.set_container(from.container);
  request.set_path(from.path);
  return client.CopyOut(request, [&](const engine::CopyOutResponse& response) -> absl::Status {
    if (response.has_stat()) {
      stat = response.stat();
      return on_stat();
    }
    return WriteAll(out, response.data());
  });
}

// Where on this machine something of a container is to be.
struct Landing {
  std::string directory;
  std::string name;
};

absl::StatusOr<Landing> LandingFor(const CleanPath& source, const engine::PathStat& stat,
                                   const std::string& destination) {
  const bool is_directory = S_ISDIR(stat.mode());
  const CleanPath target = Clean(destination);
  std::error_code error;
  const std::filesystem::file_status found = std::filesystem::status(target.path, error);
  if (std::filesystem::is_directory(found)) {
    const bool has_name = !source.wants_contents && stat.name() != "/" && stat.name() != ".";
    return Landing{target.path, has_name ? stat.name() : "."};
  }
  if (std::filesystem::exists(found)) {
    if (is_directory) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot copy a directory over the file ", target.path));
    }
    if (target.wants_directory) {
      return absl::InvalidArgumentError(absl::StrCat(target.path, " is not a directory"));
    }
  } else if (target.wants_directory && !is_directory) {
    return absl::NotFoundError(
        absl::StrCat("destination directory ", target.path, " does not exist"));
  }
  if (!std::filesystem::is_directory(ParentOf(target.path), error)) {
    return absl::NotFoundError(
        absl::StrCat("directory ", ParentOf(target.path), " does not exist"));
  }
  return Landing{ParentOf(target.path), NameOf(target.path)};
}

absl::StatusOr<int> CopyFromContainer(const EngineClient& client, const CopyArguments& arguments,
                                      Place from, const std::string& destination) {
  engine::PathStat stat;
  if (destination == "-") {
    if (IsTerminal(BorrowedFd(STDOUT_FILENO))) {
      return absl::FailedPreconditionError("an archive is not written to a terminal; use > FILE");
    }
    BERTH_RETURN_IF_ERROR(StreamOut(
        client, from, stat, [] { return absl::OkStatus(); }, BorrowedFd(STDOUT_FILENO)));
    return kExitOk;
  }
  const CleanPath source = Clean(from.path);
  from.path = source.path;
  if (arguments.follows_links) {
    BERTH_ASSIGN_OR_RETURN(const engine::PathStat link, client.StatPath(from.container, from.path));
    if (S_ISLNK(link.mode()) && !link.link_target().empty()) from.path = link.link_target();
  }
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  absl::StatusOr<int64_t> bytes = int64_t{0};
  std::thread extraction;
  const auto begin = [&]() -> absl::Status {
    if (source.wants_directory && !S_ISDIR(stat.mode())) {
      return absl::InvalidArgumentError(absl::StrCat(from.path, " is not a directory"));
    }
    BERTH_ASSIGN_OR_RETURN(const Landing landing, LandingFor(source, stat, destination));
    const OwnerMode owners = arguments.keeps_owners ? OwnerMode::kArchived : OwnerMode::kMine;
    extraction = std::thread([&bytes, &pipe, landing, owners, name = stat.name()] {
      bytes = ExtractArchive(pipe.read, landing.directory, {name, landing.name}, owners);
    });
    return absl::OkStatus();
  };
  const absl::Status streamed = StreamOut(client, from, stat, begin, pipe.write);
  pipe.write.Reset();
  if (extraction.joinable()) extraction.join();
  BERTH_RETURN_IF_ERROR(streamed);
  BERTH_RETURN_IF_ERROR(bytes.status());
  Tell(arguments, *bytes, destination);
  return kExitOk;
}

// What is at the destination; nullopt when nothing is. A link is followed as the container sees it.
absl::StatusOr<std::optional<engine::PathStat>> StatDestination(const EngineClient& client,
                                                                Place& to) {
  for (int links = 0; links < 2; ++links) {
    absl::StatusOr<engine::PathStat> stat = client.StatPath(to.container, to.path);
    if (absl::IsNotFound(stat.status()) &&
        !absl::StrContains(stat.status().message(), "No such container: ")) {
      return std::optional<engine::PathStat>();
    }
    BERTH_RETURN_IF_ERROR(stat.status());
    if (!S_ISLNK(stat->mode()) || stat->link_target().empty()) {
      return std::optional<engine::PathStat>(*std::move(stat));
    }
    to.path = stat->link_target();
  }
  return std::optional<engine::PathStat>();
}

absl::StatusOr<Landing> LandingIn(const CleanPath& source, const std::string& source_name,
                                  bool source_is_directory, const CleanPath& target,
                                  const std::optional<engine::PathStat>& found) {
  if (found.has_value() && S_ISDIR(found->mode())) {
    return Landing{target.path, source.wants_contents ? "." : source_name};
  }
  if (found.has_value() && source_is_directory) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot copy a directory over the file ", target.path));
  }
  if (target.wants_directory && (found.has_value() || !source_is_directory)) {
    return absl::NotFoundError(
        absl::StrCat("destination directory ", target.path, " does not exist"));
  }
  return Landing{ParentOf(target.path), NameOf(target.path)};
}

absl::Status StreamIn(const EngineClient& client, const engine::CopyInRequest::Open& open,
                      BorrowedFd in, int64_t& bytes) {
  return client.CopyIn(open, [&]() -> absl::StatusOr<std::string> {
    std::string piece(kPieceBytes, '\0');
    ssize_t count = 0;
    do {
      count = ::read(in.get(), piece.data(), piece.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return ErrnoStatus(errno, "read the archive");
    piece.resize(static_cast<size_t>(count));
    bytes += count;
    return piece;
  });
}

// Standard input is a user's archive, compressed as they like.
absl::Status StreamStandardInput(const EngineClient& client,
                                 const engine::CopyInRequest::Open& open) {
  BERTH_ASSIGN_OR_RETURN(PlainArchive archive, PlainArchive::Open(BorrowedFd(STDIN_FILENO)));
  return client.CopyIn(open, [&] { return archive.Read(kPieceBytes); });
}

absl::StatusOr<int> CopyToContainer(const EngineClient& client, const CopyArguments& arguments,
                                    const std::string& source_word, Place to) {
  const CleanPath target = Clean(to.path);
  to.path = target.path;
  BERTH_ASSIGN_OR_RETURN(const std::optional<engine::PathStat> found, StatDestination(client, to));
  engine::CopyInRequest::Open open;
  open.set_container(to.container);
  open.set_copy_uid_gid(arguments.keeps_owners);
  open.set_no_overwrite_dir_non_dir(true);
  int64_t bytes = 0;
  if (source_word == "-") {
    if (!found.has_value() || !S_ISDIR(found->mode())) {
      return absl::InvalidArgumentError(
          absl::StrCat("an archive goes into a directory, and ", to.path, " is none"));
    }
    open.set_path(to.path);
    BERTH_RETURN_IF_ERROR(StreamStandardInput(client, open));
    return kExitOk;
  }
  const CleanPath source = Clean(source_word);
  struct stat status = {};
  const int looked = arguments.follows_links || source.wants_directory
                         ? ::stat(source.path.c_str(), &status)
                         : ::lstat(source.path.c_str(), &status);
  if (looked != 0) return ErrnoStatus(errno, source.path);
  const bool is_directory = S_ISDIR(status.st_mode);
  if (source.wants_directory && !is_directory) {
    return absl::InvalidArgumentError(absl::StrCat(source.path, " is not a directory"));
  }
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(source.path, error).lexically_normal();
  CleanPath resolved = target;
  resolved.path = to.path;
  BERTH_ASSIGN_OR_RETURN(const Landing landing, LandingIn(source, NameOf(Clean(absolute).path),
                                                          is_directory, resolved, found));
  open.set_path(landing.directory);
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  ::signal(SIGPIPE, SIG_IGN);  // a refused archive must end in the server's words
  absl::Status written;
  std::thread writer([&] {
    written = WriteArchive(
        source.path, landing.name,
        arguments.follows_links || source.wants_directory ? LinkMode::kFollow : LinkMode::kKeep,
        pipe.write);
    pipe.write.Reset();
  });
  const absl::Status sent = StreamIn(client, open, pipe.read, bytes);
  pipe.read.Reset();
  writer.join();
  BERTH_RETURN_IF_ERROR(sent);
  BERTH_RETURN_IF_ERROR(written);
  Tell(arguments, bytes, arguments.rest[1]);
  return kExitOk;
}

absl::StatusOr<int> Copy(const Context& context, const CopyArguments& arguments) {
  const Place from = ParsePlace(arguments.rest[0]);
  const Place to = ParsePlace(arguments.rest[1]);
  if (from.container.empty() == to.container.empty()) {
    return absl::InvalidArgumentError(from.container.empty()
                                          ? "one of the two must be CONTAINER:PATH"
                                          : "copying between containers is not supported");
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  return from.container.empty() ? CopyToContainer(client, arguments, from.path, to)
                                : CopyFromContainer(client, arguments, from, to.path);
}

}  // namespace

void AddCopy(Command parent, const Context& context) {
  auto arguments = std::make_shared<CopyArguments>();
  parent.Add("cp", "Copy files between a container and this machine")
      .Flag("-a,--archive", arguments->keeps_owners, "Keep owners")
      .Flag("-L,--follow-link", arguments->follows_links, "Copy what a link points to")
      .Flag("-q,--quiet", arguments->is_quiet, "Do not tell how much was copied")
      .Rest({"CONTAINER:SOURCE|SOURCE|- CONTAINER:DESTINATION|DESTINATION|-", 2, 2},
            arguments->rest)
      .Description(
          "\"-\" is a tar archive on standard input or output. SOURCE/. means what is in\n"
          "the directory.")
      .Examples(
          "  berth cp web:/etc/hosts .\n"
          "  berth cp ./site/. web:/www\n"
          "  berth cp web:/var/log - | tar tv\n")
      .Do([&context, arguments] { return Copy(context, *arguments); });
}

}  // namespace berth::client

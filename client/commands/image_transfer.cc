// berth pull, push, login, logout: images and registries.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/hidden_input.h"
#include "client/commands/image_pull.h"
#include "client/commands/listing.h"
#include "client/commands/transfer_display.h"
#include "client/commands/verbs.h"
#include "client/sdk/docker_config.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/quantities.h"
#include "client/sdk/registry_client.h"
#include "client/sdk/transfer_client.h"

namespace berth::client {
namespace {

constexpr char kHub[] = "docker.io";
constexpr size_t kMaxPasswordBytes = 64 << 10;
constexpr char kHostsDirectoryHelp[] =
    "Settings of registries (hosts.toml) instead of the server's own";

struct TransferArguments {
  std::vector<std::string> platforms;
  bool all_platforms = false;
  bool all_tags = false;
  bool is_quiet = false;
  bool plain_http = false;
  std::string hosts_directory;
  bool skips_unpack = false;
  std::vector<std::string> rest;
};

template <typename Arguments>
RegistryReach ReachOf(const Arguments& arguments) {
  RegistryReach reach;
  if (arguments.plain_http) reach.scheme = "http";
  // The server has another working directory.
  if (!arguments.hosts_directory.empty()) {
    reach.hosts_directory = std::filesystem::absolute(arguments.hosts_directory).string();
  }
  return reach;
}

absl::StatusOr<PlatformChoice> ChoiceOf(const TransferArguments& arguments) {
  PlatformChoice choice;
  if (arguments.all_platforms) {
    choice.extent = PlatformChoice::Extent::kAll;
    return choice;
  }
  BERTH_ASSIGN_OR_RETURN(choice.platforms, ParsePlatforms(arguments.platforms));
  return choice;
}

absl::StatusOr<int> PullImages(const Context& context, const TransferArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const PlatformChoice choice, ChoiceOf(arguments));
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(PullImage(
      context,
      {.reference = reference,
       .choice = choice,
       .reach = ReachOf(arguments),
       .unpack = arguments.skips_unpack ? ImagePull::Unpack::kLater : ImagePull::Unpack::kNow,
       .style =
           arguments.is_quiet ? TransferDisplay::Style::kQuiet : TransferDisplay::ChooseStyle()}));
  if (arguments.is_quiet) {
    PrintText(absl::StrCat(reference.Full(), "\n"));
    return kExitOk;
  }
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, ImageClient(connection).Get(reference.Full()));
  PrintText(absl::StrCat("Digest: ", record.target().digest(), "\n", reference.Full(), "\n"));
  return kExitOk;
}

absl::StatusOr<int> PushImages(const Context& context, const TransferArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const PlatformChoice choice, ChoiceOf(arguments));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(
      const Reference reference,
      Reference::Parse(arguments.rest.size() > 1 ? arguments.rest[1] : record.name()));
  TransferDisplay display(arguments.is_quiet ? TransferDisplay::Style::kQuiet
                                             : TransferDisplay::ChooseStyle());
  PushOptions options;
  options.name = record.name();
  options.reference = reference.Full();
  options.choice = choice;
  options.reach = ReachOf(arguments);
  options.credentials = LoginsOf(reference.host());
  options.on_step = display.on_step();
  const absl::Status pushed = TransferClient(connection).Push(options);
  display.Finish();
  BERTH_RETURN_IF_ERROR(ExplainTransfer(pushed, reference.host()));
  PrintText(absl::StrCat(reference.Full(), "\n"));
  return kExitOk;
}

struct LoginArguments {
  std::string username;
  std::string password;
  bool reads_password = false;
  bool plain_http = false;
  std::string hosts_directory;
  std::vector<std::string> rest;
};

absl::StatusOr<std::string> AskPassword(const LoginArguments& arguments) {
  if (!arguments.password.empty()) return arguments.password;
  if (arguments.reads_password) {
    BERTH_ASSIGN_OR_RETURN(const std::string text,
                           ReadAll(BorrowedFd(STDIN_FILENO), kMaxPasswordBytes));
    return std::string(absl::StripSuffix(absl::StripSuffix(text, "\n"), "\r"));
  }
  return ReadHiddenLine("Password: ");
}

absl::StatusOr<int> Login(const Context& context, const LoginArguments& arguments) {
  const std::string host = arguments.rest.empty() ? kHub : arguments.rest[0];
  RegistryLogin login;
  login.username = arguments.username;
  if (login.username.empty()) {
    if (!IsTerminal(BorrowedFd(STDIN_FILENO))) {
      return absl::InvalidArgumentError(
          "no user name: give one with -u, and the password with --password-stdin");
    }
    std::fprintf(stderr, "Username: ");
    if (!std::getline(std::cin, login.username) || login.username.empty()) {
      return absl::InvalidArgumentError("the user name is empty");
    }
  }
  BERTH_ASSIGN_OR_RETURN(login.password, AskPassword(arguments));
  if (login.password.empty()) return absl::InvalidArgumentError("the password is empty");
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(login,
                         RegistryClient(connection).CheckLogin(host, ReachOf(arguments), login));
  BERTH_ASSIGN_OR_RETURN(DockerConfig config, DockerConfig::Load(DockerConfig::DefaultPath()));
  BERTH_ASSIGN_OR_RETURN(const std::string where, config.Store(host, login));
  PrintText(absl::StrCat("Login succeeded; kept in ", where, "\n"));
  return kExitOk;
}

absl::StatusOr<int> Logout(const LoginArguments& arguments) {
  const std::string host = arguments.rest.empty() ? kHub : arguments.rest[0];
  BERTH_ASSIGN_OR_RETURN(DockerConfig config, DockerConfig::Load(DockerConfig::DefaultPath()));
  BERTH_ASSIGN_OR_RETURN(const bool erased, config.Erase(host));
  PrintText(erased ? absl::StrCat("Removed the login for ", host, "\n")
                   : absl::StrCat("Not logged in to ", host, "\n"));
  return kExitOk;
}

struct QuestionArguments {
  std::string artifact_type;
  std::string format = "table";
  bool plain_http = false;
  std::string hosts_directory;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ListReferrers(const Context& context, const QuestionArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const auto referrers = RegistryClient(connection)
                             .ListReferrers(reference.Full(), arguments.artifact_type,
                                            ReachOf(arguments), LoginsOf(reference.host())(""));
  BERTH_RETURN_IF_ERROR(ExplainTransfer(referrers.status(), reference.host()));
  Listing listing;
  listing.AddColumn("ARTIFACT TYPE", "artifactType", Listing::Fit::kMayBeCut);
  listing.AddColumn("DIGEST", "digest");
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("MEDIA TYPE", "mediaType", Listing::Fit::kMayBeCut);
  for (const RegistryClient::Referrer& referrer : referrers->list) {
    listing.AddRow({Cell(referrer.artifact_type), Cell(referrer.digest),
                    Cell(FormatBytes(referrer.size_bytes), referrer.size_bytes),
                    Cell(referrer.media_type)});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> ListTags(const Context& context, const QuestionArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const auto tags =
      RegistryClient(connection)
          .ListTags(reference.Full(), ReachOf(arguments), LoginsOf(reference.host())(""));
  BERTH_RETURN_IF_ERROR(ExplainTransfer(tags.status(), reference.host()));
  Listing listing;
  listing.AddColumn("TAG", "tag");
  for (const std::string& tag : *tags) listing.AddRow({Cell(tag)});
  listing.Print(format);
  return kExitOk;
}

void DescribeQuestions(Command image, const Context& context) {
  auto arguments = std::make_shared<QuestionArguments>();
  image
      .Add("referrers",
           "List what refers to an image in its registry: signatures, bills of materials")
      .Option("--artifact-type", arguments->artifact_type, "These alone")
      .Option("--format", arguments->format, "table or json")
      .Flag("--plain-http", arguments->plain_http, "Talk to the registry without TLS")
      .Option("--hosts-dir", arguments->hosts_directory, kHostsDirectoryHelp)
      .Rest({"IMAGE", 1, 1}, arguments->rest)
      .Examples("  berth image referrers registry.example/app:1\n")
      .Do([&context, arguments] { return ListReferrers(context, *arguments); });
  auto tags = std::make_shared<QuestionArguments>();
  image.Add("tags", "List the tags of a repository in its registry")
      .Option("--format", tags->format, "table or json")
      .Flag("--plain-http", tags->plain_http, "Talk to the registry without TLS")
      .Option("--hosts-dir", tags->hosts_directory, kHostsDirectoryHelp)
      .Rest({"REPOSITORY", 1, 1}, tags->rest)
      .Examples("  berth image tags registry.example/app\n")
      .Do([&context, tags] { return ListTags(context, *tags); });
}

void DescribePull(Command command, const Context& context) {
  auto arguments = std::make_shared<TransferArguments>();
  command
      .Option("--platform", arguments->platforms,
              "OS/ARCHITECTURE[/VARIANT] instead of this machine's; may be repeated")
      .Flag("--all-platforms", arguments->all_platforms, "Everything the image holds")
      .Flag("-q,--quiet", arguments->is_quiet, "Print the image's name only")
      .Flag("--plain-http", arguments->plain_http, "Talk to the registry without TLS")
      .Option("--hosts-dir", arguments->hosts_directory, kHostsDirectoryHelp)
      .Flag("--no-unpack", arguments->skips_unpack, "Do not unpack the layers yet")
      .Rest({"IMAGE", 1, 1}, arguments->rest)
      .Examples("  berth pull busybox\n  berth pull --platform linux/arm64 debian:12\n")
      .Do([&context, arguments] { return PullImages(context, *arguments); });
}

void DescribePush(Command command, const Context& context) {
  auto arguments = std::make_shared<TransferArguments>();
  command.Option("--platform", arguments->platforms, "Push this platform's manifest alone")
      .Flag("-q,--quiet", arguments->is_quiet, "Print the image's name only")
      .Flag("--plain-http", arguments->plain_http, "Talk to the registry without TLS")
      .Option("--hosts-dir", arguments->hosts_directory, kHostsDirectoryHelp)
      .Rest({"IMAGE [TARGET]", 1, 2}, arguments->rest)
      .Examples(
          "  berth push registry.example:5000/app:1\n"
          "  berth push app registry.example:5000/app:1\n")
      .Do([&context, arguments] { return PushImages(context, *arguments); });
}

}  // namespace

void AddImageTransfer(Command root, Command image, const Context& context) {
  DescribePull(root.Add("pull", "Fetch an image from a registry"), context);
  DescribePull(image.Add("pull", "Fetch an image from a registry"), context);
  DescribePush(root.Add("push", "Send an image to a registry"), context);
  DescribePush(image.Add("push", "Send an image to a registry"), context);
  DescribeQuestions(image, context);
  auto login = std::make_shared<LoginArguments>();
  root.Add("login", "Remember who to be at a registry")
      .Option("-u,--username", login->username, "User name")
      .Option("-p,--password", login->password,
              "Password; --password-stdin keeps it off the list "
              "of processes")
      .Flag("--password-stdin", login->reads_password, "Read the password from standard input")
      .Flag("--plain-http", login->plain_http, "Talk to the registry without TLS")
      .Option("--hosts-dir", login->hosts_directory, kHostsDirectoryHelp)
      .Rest({"[HOST]", 0, 1}, login->rest)
      .Examples(
          "  berth login -u me registry.example\n"
          "  pass registry | berth login -u me --password-stdin registry.example:5000\n")
      .Do([&context, login] { return Login(context, *login); });
  root.Add("logout", "Forget who to be at a registry")
      .Rest({"[HOST]", 0, 1}, login->rest)
      .Examples("  berth logout registry.example.com\n")
      .Do([login] { return Logout(*login); });
}

}  // namespace berth::client

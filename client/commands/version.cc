// berth version: this program's and the server's.
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/client_version.h"
#include "client/commands/verbs.h"
#include "client/sdk/json_access.h"
#include "client/sdk/server_client.h"

namespace berth::client {
namespace {

struct VersionArguments {
  std::string format = "table";
  std::vector<std::string> rest;
};

absl::StatusOr<int> ShowVersion(const Context& context, const VersionArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  if (format == Format::kTable) {
    PrintText(absl::StrCat("Client:\n  Version:  ", kClientVersion, "\n"));
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const auto version, ServerClient(connection).Version());
  BERTH_ASSIGN_OR_RETURN(const auto server, ServerClient(connection).Server());
  if (format == Format::kJson) {
    const Json document = {{"client", {{"version", kClientVersion}}},
                           {"server",
                            {{"version", version.version()},
                             {"revision", version.revision()},
                             {"uuid", server.uuid()}}}};
    PrintText(absl::StrCat(Dump(document), "\n"));
  } else {
    PrintText(absl::StrCat("\nServer:\n  Version:  ", version.version(), "\n  Revision: ",
                           version.revision(), "\n  UUID:     ", server.uuid(), "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddVersion(Command root, const Context& context) {
  auto arguments = std::make_shared<VersionArguments>();
  root.Add("version", "Show the versions of client and server")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Do([&context, arguments] { return ShowVersion(context, *arguments); });
}

}  // namespace berth::client

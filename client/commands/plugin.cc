// berth plugin: what the server is made of.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/verbs.h"
#include "client/sdk/server_client.h"

namespace berth::client {
namespace {

struct PluginArguments {
  std::string format = "table";
  std::vector<std::string> rest;
};

std::string PlatformText(const containerd::types::Platform& platform) {
  return absl::StrCat(platform.os(), "/", platform.architecture(),
                      platform.variant().empty() ? "" : "/", platform.variant());
}

absl::StatusOr<int> ListPlugins(const Context& context, const PluginArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<PluginRecord> plugins,
                         ServerClient(connection).Plugins(arguments.rest));
  Listing listing;
  listing.AddColumn("TYPE", "type");
  listing.AddColumn("ID", "id");
  listing.AddColumn("PLATFORMS", "platforms");
  listing.AddColumn("STATUS", "status");
  listing.AddColumn("DETAILS", "details", Listing::Fit::kMayBeCut);
  for (const PluginRecord& plugin : plugins) {
    std::vector<std::string> platforms;
    for (const auto& platform : plugin.platforms()) platforms.push_back(PlatformText(platform));
    std::vector<std::string> details(plugin.capabilities().begin(), plugin.capabilities().end());
    for (const auto& [key, value] : plugin.exports()) {
      details.push_back(absl::StrCat(key, "=", value));
    }
    if (plugin.has_init_err()) details.push_back(plugin.init_err().message());
    const Json exact = {{"capabilities", std::vector<std::string>(plugin.capabilities().begin(),
                                                                  plugin.capabilities().end())},
                        {"exports", LabelsDocument(plugin.exports())},
                        {"error", plugin.init_err().message()}};
    listing.AddRow({Cell(plugin.type()), Cell(plugin.id()),
                    Cell(platforms.empty() ? "-" : absl::StrJoin(platforms, ","), Json(platforms)),
                    Cell(plugin.has_init_err() ? "error" : "ok"),
                    Cell(absl::StrJoin(details, " "), exact)});
  }
  listing.Print(format);
  return kExitOk;
}

}  // namespace

void AddPlugin(Command root, const Context& context) {
  auto arguments = std::make_shared<PluginArguments>();
  Command noun = root.Add("plugin,plugins", "What the server is made of");
  noun.Add("ls,list", "List plugins")
      .Option("--format", arguments->format, "table or json")
      .Rest({"[FILTER...]", 0, -1}, arguments->rest)
      .Examples("  berth plugin ls type==io.containerd.snapshotter.v1\n")
      .Do([&context, arguments] { return ListPlugins(context, *arguments); });
}

}  // namespace berth::client

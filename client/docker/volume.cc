// The noun `volume`: create, ls, inspect, rm, prune.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/each.h"
#include "client/commands/listing.h"
#include "client/docker/confirm.h"
#include "client/docker/creation.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/filters.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/options/value_syntax.h"
#include "client/sdk/engine_client.h"

namespace berth::client {
namespace {

struct VolumeArguments {
  std::string driver;
  std::vector<std::string> labels;
  std::vector<std::string> options;
  std::vector<std::string> filters;
  std::string format;
  bool is_quiet = false;
  bool is_forced = false;
  bool is_all = false;
  std::vector<std::string> rest;
};

absl::Status AddPairs(absl::string_view option, const std::vector<std::string>& words,
                      google::protobuf::Map<std::string, std::string>& map) {
  for (const std::string& word : words) {
    BERTH_ASSIGN_OR_RETURN(const auto pair, ParseKeyValue(word), _ << option);
    map[pair.first] = pair.second;
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Create(const Context& context, const VolumeArguments& arguments) {
  engine::CreateVolumeRequest request;
  if (!arguments.rest.empty()) request.set_name(arguments.rest[0]);
  request.set_driver(arguments.driver);
  BERTH_RETURN_IF_ERROR(AddPairs("--label", arguments.labels, *request.mutable_labels()));
  BERTH_RETURN_IF_ERROR(AddPairs("--opt", arguments.options, *request.mutable_options()));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::Volume volume,
                         EngineClient(connection).CreateVolume(request));
  PrintText(absl::StrCat(volume.name(), "\n"));
  return kExitOk;
}

Json RowOf(const engine::Volume& volume) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : volume.labels()) labels.push_back(absl::StrCat(key, "=", value));
  std::sort(labels.begin(), labels.end());
  return {
      {"Driver", volume.driver()},
      {"Labels", absl::StrJoin(labels, ",")},
      {"Links", volume.references() < 0 ? "N/A" : absl::StrCat(volume.references())},
      {"Mountpoint", volume.mountpoint()},
      {"Name", volume.name()},
      {"Scope", "local"},
      {"Size",
       volume.size_bytes() < 0 ? "N/A" : DecimalSize(static_cast<double>(volume.size_bytes()))}};
}

absl::StatusOr<int> List(const Context& context, const VolumeArguments& arguments) {
  std::string format = arguments.format;
  if (arguments.is_quiet && (format.empty() || format == "table")) format = "{{.Name}}";
  RowKind kind;
  kind.table = "{{.Driver}}\t{{.Name}}";
  kind.headings = {{"Name", "VOLUME NAME"}};
  kind.methods["Label"] = LabelMethod();
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse(format, kind));
  engine::ListVolumesRequest request;
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::ListVolumesResponse response,
                         EngineClient(connection).ListVolumes(request));
  std::vector<Json> rows;
  for (const engine::Volume& volume : response.volumes()) rows.push_back(RowOf(volume));
  BERTH_ASSIGN_OR_RETURN(const std::string text, view.Render(rows));
  PrintText(text);
  return kExitOk;
}

absl::StatusOr<int> Inspect(const Context& context, const VolumeArguments& arguments) {
  BERTH_RETURN_IF_ERROR(RenderDocuments(arguments.format, {}).status());
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  std::vector<Json> documents;
  int exit_code = kExitOk;
  for (const std::string& word : arguments.rest) {
    const auto found = client.InspectVolume(word);
    absl::StatusOr<Json> document = found.ok() ? ParseJson(found->json()) : found.status();
    if (document.ok()) {
      documents.push_back(*std::move(document));
    } else {
      exit_code = FailWith("volume inspect", document.status(), kExitFailure);
    }
  }
  BERTH_ASSIGN_OR_RETURN(const std::string text, RenderDocuments(arguments.format, documents));
  PrintText(text);
  return exit_code;
}

absl::StatusOr<int> Remove(const Context& context, const VolumeArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  return ForEach("volume rm", arguments.rest, [&](const std::string& word) {
    engine::RemoveVolumeRequest request;
    request.set_name(word);
    request.set_force(arguments.is_forced);
    return client.RemoveVolume(request);
  });
}

absl::StatusOr<int> Prune(const Context& context, const VolumeArguments& arguments) {
  engine::PruneVolumesRequest request;
  request.set_all(arguments.is_all);
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  const char* what = arguments.is_all
                         ? "This will remove all local volumes not used by at least one container."
                         : "This will remove anonymous local volumes not used by at least one "
                           "container.";
  if (!Confirm(what, arguments.is_forced ? Confirmation::kForced : Confirmation::kAsk)) {
    return kExitOk;
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::PruneVolumesResponse response,
                         EngineClient(connection).PruneVolumes(request));
  if (response.names_size() > 0) {
    PrintText(absl::StrCat("Deleted Volumes:\n", absl::StrJoin(response.names(), "\n"), "\n\n"));
  }
  PrintText(absl::StrCat("Total reclaimed space: ",
                         DecimalSize(static_cast<double>(response.reclaimed_bytes()), 4), "\n"));
  return kExitOk;
}

}  // namespace

void AddVolume(Command root, const Context& context) {
  auto arguments = std::make_shared<VolumeArguments>();
  Command noun = root.Add("volume,volumes", "Directories that outlive containers");
  noun.Add("create", "Create a volume")
      .Option("-d,--driver NAME", arguments->driver, "local, the only one")
      .Option("--label LIST", arguments->labels, "KEY=VALUE on the volume")
      .Option("-o,--opt LIST", arguments->options, "KEY=VALUE for the driver")
      .Rest({"[VOLUME]", 0, 1}, arguments->rest)
      .Examples("  berth volume create data\n  berth run -v data:/data busybox ls /data\n")
      .Do([&context, arguments] { return Create(context, *arguments); });
  noun.Add("ls,list", "List volumes")
      .Flag("-q,--quiet", arguments->is_quiet, "Names only")
      .Option("-f,--filter KEY=VALUE", arguments->filters, "name, label, dangling, driver")
      .Option("--format FORMAT", arguments->format, "table, json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth volume ls --filter dangling=true\n")
      .Do([&context, arguments] { return List(context, *arguments); });
  noun.Add("inspect", "Show all that is known of volumes")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Rest({"VOLUME [VOLUME...]", 1, -1}, arguments->rest)
      .Examples("  berth volume inspect --format '{{.Mountpoint}}' data\n")
      .Do([&context, arguments] { return Inspect(context, *arguments); });
  noun.Add("rm,remove", "Remove volumes that no container uses")
      .Flag("-f,--force", arguments->is_forced, "A missing volume is no error")
      .Rest({"VOLUME [VOLUME...]", 1, -1}, arguments->rest)
      .Examples("  berth volume rm data\n")
      .Do([&context, arguments] { return Remove(context, *arguments); });
  noun.Add("prune", "Remove the volumes that no container uses")
      .Flag("-a,--all", arguments->is_all, "Named ones as well")
      .Flag("-f,--force", arguments->is_forced, "Do not ask")
      .Option("--filter KEY=VALUE", arguments->filters, "label, label!")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth volume prune -f\n")
      .Do([&context, arguments] { return Prune(context, *arguments); });
}

}  // namespace berth::client

// What concerns the engine as a whole: system df and prune, the prunes of nouns, info, version.
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/client_version.h"
#include "client/commands/listing.h"
#include "client/docker/confirm.h"
#include "client/docker/disk_usage.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/filters.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/platform.h"
#include "client/sdk/server_client.h"

namespace berth::client {
namespace {

constexpr char kDockerApiVersion[] = "1.47";

struct SystemArguments {
  bool is_forced = false;
  bool is_all = false;
  bool has_volumes = false;
  bool is_verbose = false;
  std::vector<std::string> filters;
  std::string format;
  std::vector<std::string> rest;
};

Confirmation ModeOf(const SystemArguments& arguments) {
  return arguments.is_forced ? Confirmation::kForced : Confirmation::kAsk;
}

template <typename List>
void PrintDeleted(const char* heading, const List& names) {
  if (names.empty()) return;
  PrintText(absl::StrCat(heading, ":\n", absl::StrJoin(names, "\n"), "\n\n"));
}

void PrintReclaimed(uint64_t bytes) {
  PrintText(
      absl::StrCat("Total reclaimed space: ", DecimalSize(static_cast<double>(bytes), 4), "\n"));
}

absl::StatusOr<int> PruneContainers(const Context& context, const SystemArguments& arguments) {
  engine::PruneContainersRequest request;
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  if (!Confirm("This will remove all stopped containers.", ModeOf(arguments))) return kExitOk;
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::PruneContainersResponse response,
                         EngineClient(connection).PruneContainers(request));
  PrintDeleted("Deleted Containers", response.ids());
  PrintReclaimed(response.reclaimed_bytes());
  return kExitOk;
}

// Answers how many bytes nobody else needed.
absl::StatusOr<uint64_t> RemoveUnusedImages(const EngineClient& client,
                                            const engine::PruneImagesRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const engine::PruneImagesResponse response, client.PruneImages(request));
  std::vector<std::string> images;
  for (const std::string& name : response.untagged()) {
    images.push_back(absl::StrCat("untagged: ", FamiliarName(name)));
  }
  for (const std::string& id : response.deleted()) images.push_back(absl::StrCat("deleted: ", id));
  PrintDeleted("Deleted Images", images);
  return response.reclaimed_bytes();
}

std::string SystemWarning(const SystemArguments& arguments) {
  std::string warning = "This will remove:\n  - all stopped containers\n";
  if (arguments.has_volumes) {
    absl::StrAppend(&warning, "  - all anonymous volumes not used by at least one container\n");
  }
  absl::StrAppend(&warning,
                  arguments.is_all
                      ? "  - all images without at least one container associated to them\n"
                      : "  - all dangling images\n");
  if (!arguments.filters.empty()) {
    absl::StrAppend(&warning, "\n  Items to be pruned will be filtered with:\n  - ",
                    absl::StrJoin(arguments.filters, "\n  - "), "\n");
  }
  return warning;
}

absl::StatusOr<int> PruneSystem(const Context& context, const SystemArguments& arguments) {
  engine::PruneContainersRequest containers;
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *containers.mutable_filters()));
  for (const auto& [key, filter] : containers.filters()) {
    if (arguments.has_volumes && key == "until") {
      return absl::InvalidArgumentError(
          "--filter until contradicts --volumes: volumes have no last use");
    }
  }
  if (!Confirm(SystemWarning(arguments), ModeOf(arguments))) return kExitOk;
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  BERTH_ASSIGN_OR_RETURN(const engine::PruneContainersResponse removed,
                         client.PruneContainers(containers));
  PrintDeleted("Deleted Containers", removed.ids());
  uint64_t reclaimed = removed.reclaimed_bytes();
  if (arguments.has_volumes) {
    engine::PruneVolumesRequest request;
    *request.mutable_filters() = containers.filters();
    BERTH_ASSIGN_OR_RETURN(const engine::PruneVolumesResponse response,
                           client.PruneVolumes(request));
    PrintDeleted("Deleted Volumes", response.names());
    reclaimed += response.reclaimed_bytes();
  }
  engine::PruneImagesRequest request;
  request.set_all(arguments.is_all);
  *request.mutable_filters() = containers.filters();
  BERTH_ASSIGN_OR_RETURN(const uint64_t bytes, RemoveUnusedImages(client, request));
  PrintReclaimed(reclaimed + bytes);
  return kExitOk;
}

absl::StatusOr<int> PruneImages(const Context& context, const SystemArguments& arguments) {
  engine::PruneImagesRequest request;
  request.set_all(arguments.is_all);
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  const char* what = arguments.is_all
                         ? "This will remove all images without at least one container associated "
                           "to them."
                         : "This will remove all dangling images.";
  if (!Confirm(what, ModeOf(arguments))) return kExitOk;
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const uint64_t bytes,
                         RemoveUnusedImages(EngineClient(connection), request));
  PrintReclaimed(bytes);
  return kExitOk;
}

absl::StatusOr<int> ShowDiskUsage(const Context& context, const SystemArguments& arguments) {
  engine::DiskUsageRequest request;
  request.set_verbose(arguments.is_verbose);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::DiskUsageResponse usage,
                         EngineClient(connection).DiskUsage(request));
  BERTH_ASSIGN_OR_RETURN(const std::string text, arguments.is_verbose
                                                     ? VerboseDiskUsage(usage, absl::Now())
                                                     : DiskUsageSummary(usage, arguments.format));
  PrintText(text);
  return kExitOk;
}

// "  CPUs: 4" for a field of docker's document; lists become one line.
void AppendField(std::string& text, const Json& document, const char* key, const char* heading) {
  const Json* value = Find(document, key);
  if (value == nullptr) return;
  std::string shown = value->is_string() ? value->get<std::string>() : value->dump();
  if (value->is_array()) {
    std::vector<std::string> words;
    for (const Json& one : *value)
      words.push_back(one.is_string() ? one.get<std::string>() : one.dump());
    shown = absl::StrJoin(words, " ");
  }
  if (absl::string_view(key) == "MemTotal" && value->is_number()) {
    shown = BinarySize(value->get<double>());
  }
  absl::StrAppend(&text, " ", heading, ": ", shown, "\n");
}

absl::StatusOr<int> ShowInfo(const Context& context, const SystemArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::InfoResponse response, EngineClient(connection).Info());
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(response.json()));
  if (!arguments.format.empty()) {
    const std::string format = arguments.format == "json" ? "{{json .}}" : arguments.format;
    BERTH_ASSIGN_OR_RETURN(const std::string text, RenderDocuments(format, {document}));
    PrintText(text);
    return kExitOk;
  }
  std::string text = absl::StrCat("Client:\n Version: ", kClientVersion, "\n\nServer:\n");
  absl::StrAppend(
      &text, " Containers: ", response.containers(), "\n  Running: ", response.containers_running(),
      "\n  Paused: ", response.containers_paused(), "\n  Stopped: ", response.containers_stopped(),
      "\n Images: ", response.images(), "\n");
  constexpr struct {
    const char* key;
    const char* heading;
  } kFields[] = {{"ServerVersion", "Server Version"},
                 {"Driver", "Storage Driver"},
                 {"LoggingDriver", "Logging Driver"},
                 {"CgroupDriver", "Cgroup Driver"},
                 {"CgroupVersion", "Cgroup Version"},
                 {"DefaultRuntime", "Default Runtime"},
                 {"SecurityOptions", "Security Options"},
                 {"KernelVersion", "Kernel Version"},
                 {"OperatingSystem", "Operating System"},
                 {"OSType", "OSType"},
                 {"Architecture", "Architecture"},
                 {"NCPU", "CPUs"},
                 {"MemTotal", "Total Memory"},
                 {"Name", "Name"},
                 {"ID", "ID"},
                 {"DockerRootDir", "Root Dir"}};
  for (const auto& field : kFields) AppendField(text, document, field.key, field.heading);
  PrintText(text);
  return kExitOk;
}

absl::StatusOr<int> ShowVersion(const Context& context, const SystemArguments& arguments) {
  // The engine API's version is the one whose documents and formats these are.
  Json document = {{"Client",
                    {{"Version", kClientVersion},
                     {"ApiVersion", kDockerApiVersion},
                     {"DefaultAPIVersion", kDockerApiVersion},
                     {"Os", "linux"},
                     {"Arch", HostPlatform().architecture},
                     {"Context", "default"}}}};
  if (arguments.format.empty()) {
    PrintText(absl::StrCat("Client:\n Version:    ", kClientVersion, "\n"));
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  // Any server of containerd's API has this one; the engine's own says more.
  BERTH_ASSIGN_OR_RETURN(const auto server, ServerClient(connection).Version());
  Json about = {{"Version", server.version()}, {"Revision", server.revision()}};
  if (const auto engine = EngineClient(connection).Version(); engine.ok()) {
    const absl::StatusOr<Json> more = ParseJson(engine->json());
    if (more.ok()) about.update(*more);
  }
  document["Server"] = about;
  if (!arguments.format.empty()) {
    const std::string format = arguments.format == "json" ? "{{json .}}" : arguments.format;
    BERTH_ASSIGN_OR_RETURN(const std::string text, RenderDocuments(format, {document}));
    PrintText(text);
    return kExitOk;
  }
  std::string text = "\nServer:\n";
  for (auto it = about.begin(); it != about.end(); ++it) {
    if (it->is_structured()) continue;
    absl::StrAppend(&text, absl::StrFormat(" %-11s ", it.key() + ":"),
                    it->is_string() ? it->get<std::string>() : it->dump(), "\n");
  }
  PrintText(text);
  return kExitOk;
}

}  // namespace

void AddContainerPrune(Command noun, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  noun.Add("prune", "Remove all containers that do not run")
      .Flag("-f,--force", arguments->is_forced, "Do not ask")
      .Option("--filter KEY=VALUE", arguments->filters, "until, label, label!")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth container prune -f --filter until=24h\n")
      .Do([&context, arguments] { return PruneContainers(context, *arguments); });
}

void AddImagePrune(Command noun, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  noun.Add("prune", "Remove images that nobody needs")
      .Flag("-a,--all", arguments->is_all, "Also images that have a name but no container")
      .Flag("-f,--force", arguments->is_forced, "Do not ask")
      .Option("--filter KEY=VALUE", arguments->filters, "until, label, label!, dangling")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth image prune\n  berth image prune -a --filter until=240h\n")
      .Do([&context, arguments] { return PruneImages(context, *arguments); });
}

void AddInfo(Command parent, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  parent.Add("info", "Show what the server is and holds")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth info\n  berth info --format '{{.KernelVersion}}'\n")
      .Do([&context, arguments] { return ShowInfo(context, *arguments); });
}

void AddVersion(Command root, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  root.Add("version", "Show the versions of client and server")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth version --format '{{.Server.Version}}'\n")
      .Do([&context, arguments] { return ShowVersion(context, *arguments); });
}

void AddDiskUsage(Command parent, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  parent.Add("df", "Show how much disk images, containers and volumes take")
      .Flag("-v,--verbose", arguments->is_verbose, "Each one")
      .Option("--format FORMAT", arguments->format, "table, json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth df -v\n")
      .Do([&context, arguments] { return ShowDiskUsage(context, *arguments); });
}

void AddSystem(Command root, const Context& context) {
  auto arguments = std::make_shared<SystemArguments>();
  Command noun = root.Add("system", "The engine as a whole");
  AddDiskUsage(noun, context);
  noun.Add("prune", "Remove what is not used")
      .Flag("-a,--all", arguments->is_all, "Also images that have a name but no container")
      .Flag("-f,--force", arguments->is_forced, "Do not ask")
      .Flag("--volumes", arguments->has_volumes, "Also anonymous volumes")
      .Option("--filter KEY=VALUE", arguments->filters, "until, label, label!")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth system prune\n  berth system prune -af --volumes\n")
      .Do([&context, arguments] { return PruneSystem(context, *arguments); });
  AddInfo(noun, context);
  AddEvents(noun, context);
}

}  // namespace berth::client

// berth ps: the containers there are.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/filters.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/format/template_printf.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct PsArguments {
  bool is_all = false;
  bool is_quiet = false;
  bool is_latest = false;
  int last = 0;
  bool has_sizes = false;
  bool shows_operations = false;
  bool is_untruncated = false;
  std::vector<std::string> filters;
  std::string format;
  std::vector<std::string> rest;
};

constexpr size_t kShortIdLength = 12;
constexpr size_t kShortCommandLength = 20;

const char* StateName(engine::Status status) {
  switch (status) {
    case engine::STATUS_CREATED:
      return "created";
    case engine::STATUS_RUNNING:
      return "running";
    case engine::STATUS_PAUSED:
      return "paused";
    case engine::STATUS_RESTARTING:
      return "restarting";
    case engine::STATUS_REMOVING:
      return "removing";
    case engine::STATUS_EXITED:
      return "exited";
    case engine::STATUS_DEAD:
      return "dead";
    default:
      return "unknown";
  }
}

std::string Shortened(const std::string& text, size_t length) {
  // A digit of a multi-byte character must not be cut.
  size_t end = length - 1;
  if (text.size() <= length) return text;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "…");
}

RowKind ContainerRows(const PsArguments& arguments) {
  RowKind kind;
  kind.table =
      "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
  if (arguments.has_sizes) kind.table += "\t{{.Size}}";
  kind.headings = {{"ID", "CONTAINER ID"},
                   {"RunningFor", "CREATED"},
                   {"CreatedAt", "CREATED AT"},
                   {"LocalVolumes", "LOCAL VOLUMES"}};
  kind.methods["Label"] = LabelMethod();
  return kind;
}

std::string SizeOf(const engine::ContainerSummary& container) {
  std::string size = DecimalSize(static_cast<double>(container.size_rw_bytes()));
  if (container.size_root_bytes() > 0) {
    absl::StrAppend(&size, " (virtual ",
                    DecimalSize(static_cast<double>(container.size_root_bytes())), ")");
  }
  return size;
}

std::string LabelsOf(const engine::ContainerSummary& container) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : container.labels()) {
    labels.push_back(absl::StrCat(key, "=", value));
  }
  std::sort(labels.begin(), labels.end());
  return absl::StrJoin(labels, ",");
}

std::string MountsOf(const engine::ContainerSummary& container, const PsArguments& arguments) {
  std::vector<std::string> mounts;
  for (const engine::MountPoint& mount : container.mounts()) {
    const bool is_volume = mount.type() == engine::Mount::TYPE_VOLUME;
    const std::string& name = is_volume ? mount.name() : mount.source();
    mounts.push_back(arguments.is_untruncated ? name : Shortened(name, 15));
  }
  return absl::StrJoin(mounts, ",");
}

std::string CommandOf(const engine::ContainerSummary& container, const PsArguments& arguments) {
  return Quote(arguments.is_untruncated ? container.command()
                                        : Shortened(container.command(), kShortCommandLength));
}

std::string IdOf(const engine::ContainerSummary& container, const PsArguments& arguments) {
  return arguments.is_untruncated ? container.id() : container.id().substr(0, kShortIdLength);
}

// Fields that the view does not show are left out: there may be thousands of rows.
enum class Fields { kWanted, kAll };

Json RowOf(const engine::ContainerSummary& container, const PsArguments& arguments,
           const RowView& view, Fields fields, absl::Time now) {
  Json row = Json::object();
  const auto put = [&](const char* field, auto make) {
    if (fields == Fields::kAll || view.Wants(field)) row[field] = make();
  };
  const absl::Time created = FromProto(container.created_at());
  put("Command", [&] { return CommandOf(container, arguments); });
  put("CreatedAt", [&] { return HumanMoment(created); });
  put("ID", [&] { return IdOf(container, arguments); });
  put("Image", [&] { return container.image(); });
  put("Labels", [&] { return LabelsOf(container); });
  put("LocalVolumes", [&] {
    return absl::StrCat(std::count_if(
        container.mounts().begin(), container.mounts().end(),
        [](const auto& mount) { return mount.type() == engine::Mount::TYPE_VOLUME; }));
  });
  put("Mounts", [&] { return MountsOf(container, arguments); });
  put("Names", [&] { return absl::StrJoin(container.names(), ","); });
  put("Networks", [&] { return absl::StrJoin(container.networks(), ","); });
  put("Platform", [&] { return container.platform(); });
  put("Ports", [&] { return absl::StrJoin(container.ports(), ", "); });
  put("RunningFor", [&] { return HumanAgo(created, now); });
  put("Size", [&] { return arguments.has_sizes ? SizeOf(container) : std::string("0B"); });
  put("State", [&] { return std::string(StateName(container.state().status())); });
  put("Status", [&] { return container.status(); });
  return row;
}

absl::StatusOr<int> ListContainers(const Context& context, const PsArguments& arguments) {
  std::string format = arguments.format;
  if (arguments.is_quiet && (format.empty() || format == "table")) format = "{{.ID}}";
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse(format, ContainerRows(arguments)));
  engine::ListContainersRequest request;
  request.set_all(arguments.is_all);
  request.set_last(arguments.is_latest ? 1 : std::max(0, arguments.last));
  request.set_sizes(arguments.has_sizes || format.find(".Size") != std::string::npos);
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<engine::ContainerSummary> containers,
                         EngineClient(connection).List(request));
  PsArguments shown = arguments;
  shown.has_sizes = request.sizes();
  const absl::Time now = absl::Now();
  const auto rows_with = [&](Fields fields) {
    std::vector<Json> rows;
    rows.reserve(containers.size());
    for (const engine::ContainerSummary& container : containers) {
      rows.push_back(RowOf(container, shown, view, fields, now));
    }
    return rows;
  };
  absl::StatusOr<std::string> text = view.Render(rows_with(Fields::kWanted));
  // A field that there is not: the answer names those that there are.
  if (!text.ok()) text = view.Render(rows_with(Fields::kAll));
  BERTH_RETURN_IF_ERROR(text.status());
  PrintText(*text);
  return kExitOk;
}

}  // namespace

void AddPs(Command parent, const Context& context, absl::string_view names) {
  auto arguments = std::make_shared<PsArguments>();
  parent.Add(names, "List containers")
      .Flag("-a,--all", arguments->is_all, "Also those that do not run")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Flag("-l,--latest", arguments->is_latest, "The one created last, running or not")
      .Option("-n,--last N", arguments->last, "The N created last, running or not")
      .Flag("-s,--size", arguments->has_sizes, "With the size of their files")
      .Flag("--ops", arguments->shows_operations,
            "Instead the calls on containers that have no answer yet, with stage and age")
      .Flag("--no-trunc", arguments->is_untruncated, "Whole ids and commands")
      .Option("-f,--filter KEY=VALUE", arguments->filters,
              "id, name, label, status, exited, ancestor, before, since, volume, network, "
              "health, publish, expose, is-task")
      .Option("--format FORMAT", arguments->format, "table, json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples(
          "  berth ps -a\n"
          "  berth ps --filter status=exited --filter label=app=web\n"
          "  berth ps --format 'table {{.Names}}\\t{{.Status}}'\n")
      .Do([&context, arguments] {
        return arguments->shows_operations ? ListOperations(context)
                                           : ListContainers(context, *arguments);
      });
}

}  // namespace berth::client

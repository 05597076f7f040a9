// berth ps: the containers there are.
#include <algorithm>
#include <memory>
#include <utility>

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

// One container as it is shown.
struct Shown {
  const engine::ContainerSummary& container;
  const PsArguments& arguments;
  bool has_size;
  absl::Time now;
};

std::string SizeOf(const Shown& shown) {
  if (!shown.has_size) return "0B";
  const engine::ContainerSummary& container = shown.container;
  std::string size = DecimalSize(static_cast<double>(container.size_rw_bytes()));
  if (container.size_root_bytes() > 0) {
    absl::StrAppend(&size, " (virtual ",
                    DecimalSize(static_cast<double>(container.size_root_bytes())), ")");
  }
  return size;
}

std::string LabelsOf(const Shown& shown) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : shown.container.labels()) {
    labels.push_back(absl::StrCat(key, "=", value));
  }
  std::sort(labels.begin(), labels.end());
  return absl::StrJoin(labels, ",");
}

std::string MountsOf(const Shown& shown) {
  std::vector<std::string> mounts;
  for (const engine::MountPoint& mount : shown.container.mounts()) {
    const bool is_volume = mount.type() == engine::Mount::TYPE_VOLUME;
    const std::string& name = is_volume ? mount.name() : mount.source();
    mounts.push_back(shown.arguments.is_untruncated ? name : Shortened(name, 15));
  }
  return absl::StrJoin(mounts, ",");
}

std::string VolumesOf(const Shown& shown) {
  const auto& mounts = shown.container.mounts();
  return absl::StrCat(std::count_if(mounts.begin(), mounts.end(), [](const auto& mount) {
    return mount.type() == engine::Mount::TYPE_VOLUME;
  }));
}

std::string CommandOf(const Shown& shown) {
  const std::string& command = shown.container.command();
  return Quote(shown.arguments.is_untruncated ? command : Shortened(command, kShortCommandLength));
}

std::string IdOf(const Shown& shown) {
  return shown.arguments.is_untruncated ? shown.container.id()
                                        : shown.container.id().substr(0, kShortIdLength);
}

std::string CreatedAtOf(const Shown& shown) {
  return HumanMoment(FromProto(shown.container.created_at()));
}

std::string RunningForOf(const Shown& shown) {
  return HumanAgo(FromProto(shown.container.created_at()), shown.now);
}

struct Field {
  absl::string_view name;
  std::string (*text)(const Shown&);
};

constexpr Field kFields[] = {
    {"Command", CommandOf},
    {"CreatedAt", CreatedAtOf},
    {"ID", IdOf},
    {"Image", [](const Shown& shown) { return shown.container.image(); }},
    {"Labels", LabelsOf},
    {"LocalVolumes", VolumesOf},
    {"Mounts", MountsOf},
    {"Names", [](const Shown& shown) { return absl::StrJoin(shown.container.names(), ","); }},
    {"Networks", [](const Shown& shown) { return absl::StrJoin(shown.container.networks(), ","); }},
    {"Platform", [](const Shown& shown) { return shown.container.platform(); }},
    {"Ports", [](const Shown& shown) { return absl::StrJoin(shown.container.ports(), ", "); }},
    {"RunningFor", RunningForOf},
    {"Size", SizeOf},
    {"State",
     [](const Shown& shown) { return std::string(StateName(shown.container.state().status())); }},
    {"Status", [](const Shown& shown) { return shown.container.status(); }},
};

absl::Status AppendRow(const RowView& view, const Shown& shown, std::string& text) {
  const auto append = [&](absl::string_view name, std::string& out) {
    for (const Field& field : kFields) {
      if (field.name != name) continue;
      out += field.text(shown);
      return true;
    }
    return false;
  };
  const auto whole = [&] {
    Json row = Json::object();
    for (const Field& field : kFields) row[std::string(field.name)] = field.text(shown);
    return row;
  };
  return view.Append(append, whole, text);
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
  const absl::Time now = absl::Now();
  std::string text = view.Begin();
  absl::Status rendered;
  const auto show = [&](const engine::ContainerSummary& container) {
    if (rendered.ok()) {
      rendered = AppendRow(view, {container, arguments, request.sizes(), now}, text);
    }
  };
  BERTH_RETURN_IF_ERROR(EngineClient(connection).List(request, show));
  BERTH_RETURN_IF_ERROR(rendered);
  PrintText(view.Finish(std::move(text)));
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

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

constexpr size_t kTextBytes = 1 << 20;  // untouched, it costs nothing
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

void AppendCommand(const Shown& shown, std::string& out) {
  const std::string& command = shown.container.command();
  out += Quote(shown.arguments.is_untruncated ? command : Shortened(command, kShortCommandLength));
}

void AppendId(const Shown& shown, std::string& out) {
  const std::string& id = shown.container.id();
  out.append(id, 0, shown.arguments.is_untruncated ? id.size() : kShortIdLength);
}

template <typename List>
void AppendJoined(const List& list, const char* separator, std::string& out) {
  for (int i = 0; i < list.size(); ++i) absl::StrAppend(&out, i == 0 ? "" : separator, list[i]);
}

// Appended where they go: there may be thousands of rows.
struct Field {
  absl::string_view name;
  void (*append)(const Shown& shown, std::string& out);
};

constexpr Field kFields[] = {
    {"Command", AppendCommand},
    {"CreatedAt",
     [](const Shown& shown, std::string& out) {
       out += HumanMoment(FromProto(shown.container.created_at()));
     }},
    {"ID", AppendId},
    {"Image", [](const Shown& shown, std::string& out) { out += shown.container.image(); }},
    {"Labels", [](const Shown& shown, std::string& out) { out += LabelsOf(shown); }},
    {"LocalVolumes", [](const Shown& shown, std::string& out) { out += VolumesOf(shown); }},
    {"Mounts", [](const Shown& shown, std::string& out) { out += MountsOf(shown); }},
    {"Names",
     [](const Shown& shown, std::string& out) { AppendJoined(shown.container.names(), ",", out); }},
    {"Networks", [](const Shown& shown,
                    std::string& out) { AppendJoined(shown.container.networks(), ",", out); }},
    {"Platform", [](const Shown& shown, std::string& out) { out += shown.container.platform(); }},
    {"Ports", [](const Shown& shown,
                 std::string& out) { AppendJoined(shown.container.ports(), ", ", out); }},
    {"RunningFor",
     [](const Shown& shown, std::string& out) {
       out += HumanAgo(FromProto(shown.container.created_at()), shown.now);
     }},
    {"Size", [](const Shown& shown, std::string& out) { out += SizeOf(shown); }},
    {"State", [](const Shown& shown,
                 std::string& out) { out += StateName(shown.container.state().status()); }},
    {"Status", [](const Shown& shown, std::string& out) { out += shown.container.status(); }},
};

absl::Status AppendRow(const RowView& view, const Shown& shown, std::string& text) {
  const auto append = [&](absl::string_view name, std::string& out) {
    for (const Field& field : kFields) {
      if (field.name != name) continue;
      field.append(shown, out);
      return true;
    }
    return false;
  };
  const auto whole = [&] {
    Json row = Json::object();
    for (const Field& field : kFields) {
      std::string value;
      field.append(shown, value);
      row[std::string(field.name)] = std::move(value);
    }
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
  text.reserve(kTextBytes);
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

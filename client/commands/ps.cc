// berth ps: containers and how they are.
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/record_labels.h"
#include "client/commands/task_names.h"
#include "client/commands/verbs.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct PsArguments {
  bool shows_all = false;
  bool is_quiet = false;
  std::string format = "table";
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

using Process = containerd::v1::types::Process;

std::string Since(absl::Time moment) { return FormatAge(absl::Now() - moment); }

absl::Time MomentOf(const ContainerRecord& container, const char* label) {
  absl::Time moment = FromProto(container.created_at());
  const auto found = container.labels().find(label);
  if (found != container.labels().end()) {
    std::string unused;
    absl::ParseTime(absl::RFC3339_full, found->second, &moment, &unused);
  }
  return moment;
}

// In docker's words.
std::string StatusText(const ContainerRecord& container, const Process* task) {
  if (task == nullptr) {
    const auto exit = container.labels().find(kExitStatusLabel);
    if (exit == container.labels().end()) return "Created";
    return absl::StrCat("Exited (", exit->second, ") ", Since(MomentOf(container, kExitedAtLabel)),
                        " ago");
  }
  const std::string up = Since(MomentOf(container, kStartedAtLabel));
  switch (task->status()) {
    case containerd::v1::types::RUNNING:
      return absl::StrCat("Up ", up);
    case containerd::v1::types::PAUSED:
    case containerd::v1::types::PAUSING:
      return absl::StrCat("Up ", up, " (Paused)");
    case containerd::v1::types::STOPPED:
      return absl::StrCat("Exited (", task->exit_status(), ") ",
                          Since(FromProto(task->exited_at())), " ago");
    default:
      return "Created";
  }
}

std::string StateOf(const ContainerRecord& container, const Process* task) {
  if (task != nullptr) return std::string(TaskStateName(task->status()));
  return container.labels().contains(kExitStatusLabel) ? "stopped" : "created";
}

absl::StatusOr<int> Ps(const Context& context, const PsArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(std::vector<ContainerRecord> containers,
                         ContainerClient(connection).List(arguments.filters));
  BERTH_ASSIGN_OR_RETURN(const std::vector<Process> tasks, TaskClient(connection).List());
  std::map<std::string, const Process*> task_of;
  for (const Process& task : tasks) task_of[task.id()] = &task;
  std::sort(containers.begin(), containers.end(),
            [](const ContainerRecord& a, const ContainerRecord& b) {
              return FromProto(a.created_at()) > FromProto(b.created_at());
            });

  Listing listing;
  listing.AddColumn("CONTAINER ID", "id");
  if (!arguments.is_quiet) {
    listing.AddColumn("IMAGE", "image", Listing::Fit::kMayBeCut);
    listing.AddColumn("COMMAND", "command", Listing::Fit::kMayBeCut);
    listing.AddColumn("CREATED", "created_at");
    listing.AddColumn("STATUS", "status", Listing::Fit::kMayBeCut);
    listing.AddColumn("PID", "pid");
    listing.AddColumn("NAMES", "name");
  }
  std::string ids;
  for (const ContainerRecord& container : containers) {
    const auto found = task_of.find(container.id());
    const Process* task = found == task_of.end() ? nullptr : found->second;
    const bool is_running = task != nullptr && task->status() != containerd::v1::types::STOPPED;
    if (!arguments.shows_all && !is_running) continue;
    absl::StrAppend(&ids, container.id(), "\n");
    if (arguments.is_quiet) {
      listing.AddRow({Cell(container.id())});
      continue;
    }
    const absl::Time created = FromProto(container.created_at());
    listing.AddRow(
        {Cell(container.id()), Cell(FamiliarName(container.image()), container.image()),
         Cell(CommandOf(container)),
         Cell(absl::StrCat(Since(created), " ago"), FormatMoment(created)),
         Cell(StatusText(container, task), StateOf(container, task)),
         is_running ? Cell(absl::StrCat(task->pid()), Json(task->pid())) : Cell("-", Json(nullptr)),
         Cell(NameOf(container))});
  }
  if (arguments.is_quiet && format == Format::kTable) {
    PrintText(ids);
  } else {
    listing.Print(format);
  }
  return kExitOk;
}

}  // namespace

void AddPs(Command root, const Context& context) {
  auto arguments = std::make_shared<PsArguments>();
  Command ps = root.Add("ps", "List containers");
  ps.Flag("-a,--all", arguments->shows_all, "Also those that do not run")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Option("-f,--filter", arguments->filters, "containerd's filters: labels.\"a\"==b")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth ps -a\n  berth ps --format json | jq '.[].id'\n")
      .Do([&context, arguments] { return Ps(context, *arguments); });
}

}  // namespace berth::client

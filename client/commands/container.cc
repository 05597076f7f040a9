// berth container: records of containers.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/container_factory.h"
#include "client/commands/container_lookup.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/verbs.h"
#include "client/sdk/lease_client.h"
#include "client/sdk/random_id.h"

namespace berth::client {
namespace {

struct ContainerArguments {
  std::string format = "table";
  bool is_quiet = false;
  RunOptions options;
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ListContainers(const Context& context, const ContainerArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<ContainerRecord> containers,
                         ContainerClient(connection).List(arguments.filters));
  if (arguments.is_quiet) {
    for (const ContainerRecord& record : containers) PrintText(absl::StrCat(record.id(), "\n"));
    return kExitOk;
  }
  Listing listing;
  listing.AddColumn("CONTAINER", "id");
  listing.AddColumn("IMAGE", "image", Listing::Fit::kMayBeCut);
  listing.AddColumn("RUNTIME", "runtime", Listing::Fit::kMayBeCut);
  listing.AddColumn("SNAPSHOTTER", "snapshotter");
  listing.AddColumn("LABELS", "labels", Listing::Fit::kMayBeCut);
  for (const ContainerRecord& record : containers) {
    listing.AddRow({Cell(record.id()), Cell(record.image().empty() ? "-" : record.image()),
                    Cell(record.runtime().name()), Cell(record.snapshotter()),
                    Cell(FormatLabels(record.labels()), LabelsDocument(record.labels()))});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> ShowContainer(const Context& context, const ContainerArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record,
                         FindContainer(connection, arguments.rest[0]));
  PrintText(absl::StrCat(Dump(ContainerDocument(record)), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Create(const Context& context, ContainerArguments& arguments) {
  arguments.options.image = arguments.rest[0];
  arguments.options.command.assign(arguments.rest.begin() + 1, arguments.rest.end());
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const std::string id = arguments.options.name.empty() ? RandomId() : arguments.options.name;
  FactoryOptions factory;
  factory.snapshotter = ChooseSnapshotter(connection, context.options().snapshotter);
  factory.log_path =
      absl::StrCat(context.options().log_directory, "/", connection.ns(), "/", id, ".log");
  BERTH_ASSIGN_OR_RETURN(const ScopedLease lease, ScopedLease::Create(connection));
  BERTH_RETURN_IF_ERROR(CreateContainer(lease.connection(), id, arguments.options, factory));
  PrintText(absl::StrCat(id, "\n"));
  return kExitOk;
}

absl::StatusOr<int> LabelContainer(const Context& context, const ContainerArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record,
                         FindContainer(connection, arguments.rest[0]));
  BERTH_RETURN_IF_ERROR(ContainerClient(connection).SetLabels(record.id(), labels));
  return kExitOk;
}

absl::StatusOr<int> Remove(const Context& context, const ContainerArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("container rm", arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, FindContainer(connection, word));
    BERTH_ASSIGN_OR_RETURN(const auto task, FindTask(connection, record.id()));
    if (task.has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat("container ", word, " has a task; delete it with `berth task rm ", word,
                       "` first, or use `berth rm`"));
    }
    return RemoveContainer(connection, record);
  });
}

}  // namespace

void AddContainer(Command root, const Context& context) {
  auto arguments = std::make_shared<ContainerArguments>();
  Command noun = root.Add("container,containers,c", "Records of containers");
  noun.Add("ls,list", "List containers")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Rest({"", 0, 0}, arguments->rest)
      .Do([&context, arguments] { return ListContainers(context, *arguments); });
  noun.Add("info", "Show a container's record as JSON")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Do([&context, arguments] { return ShowContainer(context, *arguments); });
  Command create = noun.Add("create", "Create a container without starting it");
  BindRunOptions(create, arguments->options);
  create.Rest({"IMAGE [COMMAND [ARG...]]", 1, -1, OptionPlace::kBeforeArguments}, arguments->rest)
      .Examples("  berth container create --name job busybox sleep 60 && berth task start -d job\n")
      .Do([&context, arguments] { return Create(context, *arguments); });
  noun.Add("label", "Set and remove labels of a container")
      .Rest({"CONTAINER KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Do([&context, arguments] { return LabelContainer(context, *arguments); });
  noun.Add("rm,remove,delete", "Remove containers without a task")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Do([&context, arguments] { return Remove(context, *arguments); });
}

}  // namespace berth::client

// berth rm: removes containers with their root and their log.
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/container_stop.h"
#include "client/commands/each.h"
#include "client/commands/verbs.h"

namespace berth::client {
namespace {

struct RmArguments {
  bool is_forced = false;
  std::vector<std::string> rest;
};

absl::Status Remove(const Connection& connection, const std::string& word, bool is_forced) {
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord container, FindContainer(connection, word));
  BERTH_ASSIGN_OR_RETURN(const std::optional<containerd::v1::types::Process> task,
                         FindTask(connection, container.id()));
  if (task.has_value()) {
    if (task->status() != containerd::v1::types::STOPPED && !is_forced) {
      return absl::FailedPreconditionError(absl::StrCat("container ", word,
                                                        " runs; stop it with `berth stop ", word,
                                                        "`, or remove it with `berth rm -f`"));
    }
    BERTH_RETURN_IF_ERROR(StopContainer(connection, container, SIGKILL, absl::Seconds(10)));
  }
  return RemoveContainer(connection, container);
}

absl::StatusOr<int> Rm(const Context& context, const RmArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEachAtOnce("rm", arguments.rest, [&](const std::string& word) {
    return Remove(connection, word, arguments.is_forced);
  });
}

}  // namespace

void AddRm(Command root, const Context& context) {
  auto arguments = std::make_shared<RmArguments>();
  root.Add("rm", "Remove containers")
      .Flag("-f,--force", arguments->is_forced, "Kill those that run")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth rm web\n  berth rm -f $(berth ps -aq)\n")
      .Do([&context, arguments] { return Rm(context, *arguments); });
}

}  // namespace berth::client

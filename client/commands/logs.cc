// berth logs: what a container has written.
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/log_follower.h"
#include "client/commands/record_labels.h"
#include "client/commands/verbs.h"

namespace berth::client {
namespace {

struct LogsArguments {
  bool follows = false;
  std::string tail = "all";
  std::vector<std::string> rest;
};

absl::StatusOr<int> Logs(const Context& context, const LogsArguments& arguments) {
  int lines = kAllLines;
  if (arguments.tail != "all" && (!absl::SimpleAtoi(arguments.tail, &lines) || lines < 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tail \"", arguments.tail, "\": expected a number of lines or all"));
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord container,
                         FindContainer(connection, arguments.rest[0]));
  const auto label = container.labels().find(kLogLabel);
  if (label == container.labels().end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "container ", arguments.rest[0],
        " keeps no log: it was made by another client, or with --rm (whose output is shown only)"));
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(label->second, O_RDONLY),
                         _ << "the log of container " << arguments.rest[0]);
  BERTH_ASSIGN_OR_RETURN(const int64_t offset, FindTail(file, lines));
  const BorrowedFd sink(STDOUT_FILENO);
  if (!arguments.follows) {
    BERTH_RETURN_IF_ERROR(CopyLog(label->second, offset, sink, BorrowedFd(-1)));
    return kExitOk;
  }
  // A container that has ended answers at once; the pending wait ends the copy.
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<PendingWait> wait,
                         TaskClient(connection).StartWait({container.id(), ""}));
  BERTH_RETURN_IF_ERROR(CopyLog(label->second, offset, sink, wait->ready()));
  return kExitOk;
}

}  // namespace

void AddLogs(Command root, const Context& context) {
  auto arguments = std::make_shared<LogsArguments>();
  root.Add("logs", "Print what a container has written")
      .Flag("-f,--follow", arguments->follows, "Go on until the container ends")
      .Option("-n,--tail", arguments->tail, "Only the last lines: a number, or all")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth logs web\n  berth logs -f --tail 20 web\n")
      .Do([&context, arguments] { return Logs(context, *arguments); });
}

}  // namespace berth::client

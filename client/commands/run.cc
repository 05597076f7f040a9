// berth run: a container from an image to its exit.
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/container_factory.h"
#include "client/commands/container_lookup.h"
#include "client/commands/run_options.h"
#include "client/commands/task_starter.h"
#include "client/commands/verbs.h"
#include "client/sdk/lease_client.h"
#include "client/sdk/random_id.h"

namespace berth::client {
namespace {

struct RunArguments {
  RunOptions options;
  bool is_interactive = false;
  bool is_detached = false;
  bool removes = false;
  std::vector<std::string> rest;
};

// Every failure before the program runs is 125, or 126 and 127 for the program itself.
int Fail(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "berth run: %s\n", std::string(status.message()).c_str());
  return exit_code;
}

absl::Status Check(const RunArguments& arguments) {
  if (arguments.is_detached && arguments.removes) {
    return absl::InvalidArgumentError(
        "--rm needs somebody who waits for the exit, and -d leaves nobody; drop one of them and "
        "use `berth rm` later");
  }
  if (arguments.is_detached && arguments.is_interactive) {
    return absl::InvalidArgumentError("-i and -d contradict each other");
  }
  return absl::OkStatus();
}

std::string LogPath(const Context& context, const RunArguments& arguments, absl::string_view id) {
  if (arguments.removes) return "";
  return absl::StrCat(context.options().log_directory, "/", context.options().ns, "/", id, ".log");
}

absl::StatusOr<int> Run(const Context& context, RunArguments& arguments) {
  if (absl::Status fault = Check(arguments); !fault.ok()) return Fail(fault, kExitDaemonError);
  arguments.options.image = arguments.rest[0];
  arguments.options.command.assign(arguments.rest.begin() + 1, arguments.rest.end());
  absl::StatusOr<Connection> connection = context.Connect();
  if (!connection.ok()) return Fail(connection.status(), kExitDaemonError);

  const std::string id = arguments.options.name.empty() ? RandomId() : arguments.options.name;
  FactoryOptions factory;
  factory.snapshotter = ChooseSnapshotter(*connection, context.options().snapshotter);
  factory.log_path = LogPath(context, arguments, id);
  if (absl::StatusOr<WindowSize> size = GetWindowSize(BorrowedFd(STDOUT_FILENO)); size.ok()) {
    factory.terminal_columns = size->columns;
    factory.terminal_rows = size->rows;
  }
  absl::StatusOr<CreatedContainer> created;
  {
    absl::StatusOr<ScopedLease> lease = ScopedLease::Create(*connection);
    if (!lease.ok()) return Fail(lease.status(), kExitDaemonError);
    created = CreateContainer(lease->connection(), id, arguments.options, factory);
  }
  if (!created.ok()) return Fail(created.status(), kExitDaemonError);

  StartOptions start;
  start.container_id = id;
  start.root_mounts = created->root_mounts;
  start.terminal = arguments.options.has_terminal ? WithTerminal::kYes : WithTerminal::kNo;
  start.stdin_attached = arguments.is_interactive ? WithStdin::kYes : WithStdin::kNo;
  start.fifo_directory = context.options().fifo_directory;
  start.log_path = factory.log_path;
  if (arguments.is_detached) {
    absl::StatusOr<uint32_t> pid = StartInBackground(*connection, start);
    if (!pid.ok()) {
      RemoveContainer(*connection, created->record).IgnoreError();  // the start's error counts
      return Fail(pid.status(), ExitCodeOfStartFailure(pid.status(), created->arguments[0]));
    }
    std::printf("%s\n", id.c_str());
    return kExitOk;
  }

  absl::StatusOr<ExitResult> result = StartInForeground(*connection, start);
  if (!result.ok()) {
    // A task that still runs (the server went away, say) keeps its container.
    absl::StatusOr<std::optional<containerd::v1::types::Process>> task = FindTask(*connection, id);
    if (task.ok() && !task->has_value()) {
      RemoveContainer(*connection, created->record).IgnoreError();
    }
    return Fail(result.status(), ExitCodeOfStartFailure(result.status(), created->arguments[0]));
  }
  absl::Status ended = arguments.removes ? TaskClient(*connection).Delete({id, ""}).status()
                                         : ReapTask(*connection, id).status();
  if (ended.ok() && arguments.removes) ended = RemoveContainer(*connection, created->record);
  if (!ended.ok()) {
    std::fprintf(stderr, "berth run: the program ended with %d, but cleaning up failed: %s\n",
                 result->exit_status, std::string(ended.message()).c_str());
  }
  return result->exit_status;
}

}  // namespace

void AddRun(Command root, const Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  Command run = root.Add("run", "Create a container from an image and run it");
  run.Flag("--rm", arguments->removes, "Remove the container when the program has ended")
      .Flag("-i,--interactive", arguments->is_interactive, "Pass your standard input on")
      .Flag("-d,--detach", arguments->is_detached, "Run in the background and print the id");
  BindRunOptions(run, arguments->options);
  run.Rest({"IMAGE [COMMAND [ARG...]]", 1, -1, OptionPlace::kBeforeArguments}, arguments->rest)
      .Examples(
          "  berth run busybox echo hi\n"
          "  berth run --rm -it busybox sh\n"
          "  berth run -d --name web -v /srv/www:/www:ro --net host busybox httpd -f -h /www\n"
          "  echo data | berth run --rm -i busybox wc -c\n"
          "\n"
          "The exit code is the program's; 125 when the server failed, 126 when the program\n"
          "cannot be executed, 127 when it was not found, 128+N when signal N ended it.\n")
      .Do([&context, arguments] { return Run(context, *arguments); });
}

}  // namespace berth::client

// berth task: running containers and their processes.
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/attach/session.h"
#include "client/commands/container_lookup.h"
#include "client/commands/each.h"
#include "client/commands/exec_runner.h"
#include "client/commands/payload_document.h"
#include "client/commands/record_labels.h"
#include "client/commands/task_names.h"
#include "client/commands/task_starter.h"
#include "client/commands/verbs.h"
#include "client/sdk/quantities.h"
#include "proto/containerd/runc/v1/options.pb.h"

namespace berth::client {
namespace {

struct TaskArguments {
  std::string format = "table";
  bool is_quiet = false;
  bool is_detached = false;
  bool is_forced = false;
  bool is_for_all = false;
  std::string signal = "TERM";
  std::string exec_id;
  std::vector<std::string> rest;
};

// ctr's own clients may run tasks whose container has gone: only the id counts then.
absl::StatusOr<std::string> IdOf(const Connection& connection, const std::string& word) {
  absl::StatusOr<ContainerRecord> record = FindContainer(connection, word);
  if (record.ok()) return record->id();
  if (absl::IsNotFound(record.status())) return word;
  return record.status();
}

absl::StatusOr<int> ListTasks(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const auto tasks, TaskClient(connection).List());
  Listing listing;
  listing.AddColumn("TASK", "id");
  listing.AddColumn("PID", "pid");
  listing.AddColumn("STATUS", "status");
  for (const containerd::v1::types::Process& task : tasks) {
    listing.AddRow({Cell(task.id()), Cell(absl::StrCat(task.pid()), Json(task.pid())),
                    Cell(std::string(TaskStateName(task.status())))});
  }
  if (arguments.is_quiet) {
    for (const containerd::v1::types::Process& task : tasks) {
      PrintText(absl::StrCat(task.id(), "\n"));
    }
  } else {
    listing.Print(format);
  }
  return kExitOk;
}

absl::StatusOr<int> ListPids(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const auto pids, TaskClient(connection).Pids(id));
  Listing listing;
  listing.AddColumn("PID", "pid");
  listing.AddColumn("EXEC", "exec_id");
  for (const containerd::v1::types::ProcessInfo& process : pids) {
    containerd::runc::v1::ProcessDetails details;
    details.ParseFromString(process.info().value());
    listing.AddRow({Cell(absl::StrCat(process.pid()), Json(process.pid())),
                    Cell(details.exec_id().empty() ? "-" : details.exec_id(), details.exec_id())});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> Start(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  if (!arguments.is_detached) {
    BERTH_RETURN_IF_ERROR(connection.RequireSameMachine("`berth task start` without -d"));
  }
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record,
                         FindContainer(connection, arguments.rest[0]));
  StartOptions start;
  start.container_id = record.id();
  start.fifo_directory = context.options().fifo_directory;
  start.terminal = SpecHasTerminal(record.spec().value()) ? WithTerminal::kYes : WithTerminal::kNo;
  start.stdin_attached = arguments.is_detached ? WithStdin::kNo : WithStdin::kYes;
  if (!record.snapshot_key().empty()) {
    BERTH_ASSIGN_OR_RETURN(
        start.root_mounts,
        SnapshotClient(connection, record.snapshotter()).GetMounts(record.snapshot_key()));
  }
  const auto log = record.labels().find(kLogLabel);
  start.log_path = log != record.labels().end()
                       ? log->second
                       : absl::StrCat(context.options().log_directory, "/", connection.ns(), "/",
                                      record.id(), ".log");
  if (arguments.is_detached) {
    BERTH_RETURN_IF_ERROR(StartInBackground(connection, start));
    return kExitOk;
  }
  BERTH_ASSIGN_OR_RETURN(const ExitResult result, StartInForeground(connection, start));
  BERTH_RETURN_IF_ERROR(ReapTask(connection, record.id()));
  return result.exit_status;
}

// Joins the named pipes of a running task. Whoever reads them already gets what we do not.
absl::StatusOr<int> Attach(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(connection.RequireSameMachine("`berth task attach`"));
  BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, arguments.rest[0]));
  const TaskClient tasks(connection);
  const ProcessId process = {id, arguments.exec_id};
  BERTH_ASSIGN_OR_RETURN(const containerd::v1::types::Process task, tasks.Get(process));
  const WithTerminal terminal = task.terminal() ? WithTerminal::kYes : WithTerminal::kNo;
  BERTH_ASSIGN_OR_RETURN(
      StdioFifos fifos,
      StdioFifos::Open({.in = task.stdin(), .out = task.stdout(), .err = task.stderr()}, terminal),
      _ << "attach to " << id << " (a container started with -d writes a log: see `berth logs`)");
  BERTH_ASSIGN_OR_RETURN(
      Session session,
      Session::Prepare(
          {.terminal = terminal,
           .stdin_attached = task.stdin().empty() ? WithStdin::kNo : WithStdin::kYes}));
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<PendingWait> wait, tasks.StartWait(process));
  BERTH_ASSIGN_OR_RETURN(const ExitResult result,
                         session.Run(tasks, process, fifos.TakeEnds(), *wait));
  // As ctr does: who sees the exit deletes the task; another client may have been faster.
  const absl::Status reaped = arguments.exec_id.empty() ? ReapTask(connection, id).status()
                                                        : tasks.Delete(process).status();
  if (!reaped.ok() && !absl::IsNotFound(reaped)) return reaped;
  return result.exit_status;
}

absl::StatusOr<int> Kill(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const int signal, ParseSignal(arguments.signal), _ << "--signal");
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("task kill", arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, word));
    return TaskClient(connection)
        .Kill({id, arguments.exec_id}, signal,
              arguments.is_for_all ? KillScope::kAllProcesses : KillScope::kProcess);
  });
}

absl::StatusOr<int> Remove(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const TaskClient tasks(connection);
  return ForEach("task rm", arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, word));
    const ProcessId process = {id, arguments.exec_id};
    if (arguments.is_forced) {
      // Not running any more is what we want.
      const absl::Status killed = tasks.Kill(process, SIGKILL, KillScope::kAllProcesses);
      if (!killed.ok() && !absl::IsNotFound(killed)) return killed;
      BERTH_RETURN_IF_ERROR(tasks.Wait(process, absl::Seconds(30)));
    }
    BERTH_ASSIGN_OR_RETURN(const containerd::v1::types::Process task, tasks.Get(process));
    if (task.status() == containerd::v1::types::RUNNING) {
      return absl::FailedPreconditionError(
          absl::StrCat(word, " runs; end it with `berth task kill` or use -f"));
    }
    return arguments.exec_id.empty() ? ReapTask(connection, id).status()
                                     : tasks.Delete(process).status();
  });
}

absl::StatusOr<int> PauseOrResume(const Context& context, const TaskArguments& arguments,
                                  const char* verb,
                                  absl::Status (TaskClient::*method)(absl::string_view) const) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const TaskClient tasks(connection);
  return ForEach(verb, arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, word));
    return (tasks.*method)(id);
  });
}

absl::StatusOr<int> ShowMetrics(const Context& context, const TaskArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  std::vector<std::string> filters;
  for (const std::string& word : arguments.rest) {
    BERTH_ASSIGN_OR_RETURN(const std::string id, IdOf(connection, word));
    filters.push_back(absl::StrCat("id==", id));
  }
  BERTH_ASSIGN_OR_RETURN(const auto metrics, TaskClient(connection).Metrics(filters));
  if (metrics.empty()) return absl::NotFoundError("no metrics: the task does not run");
  Json list = Json::array();
  for (const containerd::types::Metric& metric : metrics) list.push_back(MetricDocument(metric));
  PrintText(absl::StrCat(Dump(list), "\n"));
  return kExitOk;
}

}  // namespace

void AddTask(Command root, const Context& context) {
  auto arguments = std::make_shared<TaskArguments>();
  Command noun = root.Add("task,tasks,t", "Running containers and their processes");
  noun.Add("ls,list", "List tasks")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth task ls\n")
      .Do([&context, arguments] { return ListTasks(context, *arguments); });
  noun.Add("start", "Start a container that was created")
      .Flag("-d,--detach", arguments->is_detached, "In the background")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth task start web\n")
      .Do([&context, arguments] { return Start(context, *arguments); });
  noun.Add("attach", "Join the standard input and output of a task")
      .Option("--exec-id", arguments->exec_id, "Of this process instead of the main one")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth task attach web\n")
      .Do([&context, arguments] { return Attach(context, *arguments); });
  auto exec_options = std::make_shared<ExecOptions>();
  Command exec = noun.Add("exec", "Run one more process");
  BindExecOptions(exec, *exec_options);
  exec.Do([&context, exec_options] { return RunExec(context, *exec_options); });
  noun.Add("ps", "List the processes of a task")
      .Option("--format", arguments->format, "table or json")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth task ps web\n")
      .Do([&context, arguments] { return ListPids(context, *arguments); });
  noun.Add("kill", "Send a signal")
      .Option("-s,--signal", arguments->signal, "Name or number (default: TERM)")
      .Option("--exec-id", arguments->exec_id, "To this process instead of the main one")
      .Flag("-a,--all", arguments->is_for_all, "To every process")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth task kill -s SIGTERM web\n")
      .Do([&context, arguments] { return Kill(context, *arguments); });
  noun.Add("pause", "Freeze every process")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth task pause web\n")
      .Do([&context, arguments] {
        return PauseOrResume(context, *arguments, "task pause", &TaskClient::Pause);
      });
  noun.Add("resume", "Thaw what was frozen")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth task resume web\n")
      .Do([&context, arguments] {
        return PauseOrResume(context, *arguments, "task resume", &TaskClient::Resume);
      });
  noun.Add("metrics,metric", "Show use of resources as JSON")
      .Rest({"[CONTAINER...]", 0, -1}, arguments->rest)
      .Examples("  berth task metrics web\n")
      .Do([&context, arguments] { return ShowMetrics(context, *arguments); });
  noun.Add("rm,remove,delete", "Delete tasks that have ended")
      .Flag("-f,--force", arguments->is_forced, "Kill those that run")
      .Option("--exec-id", arguments->exec_id, "This process instead of the main one")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth task rm web\n")
      .Do([&context, arguments] { return Remove(context, *arguments); });
}

}  // namespace berth::client

// exec: a further process in a running container.
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/oci/commands.h"
#include "shim/oci/console.h"
#include "shim/oci/foreground.h"

namespace berth::oci {
namespace {

absl::Status WriteUser(const CommandContext& context, const json::Value& process,
                       json::Writer& writer) {
  if (!context.options.Has("user")) {
    if (process.Find("user").present()) writer.Key("user").Raw(process.Find("user").raw());
    return absl::OkStatus();
  }
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(context.options.Get("user"), absl::MaxSplits(':', 1));
  uint32_t uid = 0;
  uint32_t gid = 0;
  if (!absl::SimpleAtoi(parts.first, &uid) ||
      (!parts.second.empty() && !absl::SimpleAtoi(parts.second, &gid))) {
    return absl::InvalidArgumentError(absl::StrCat("--user: expected <uid>[:<gid>], found \"",
                                                   context.options.Get("user"), "\""));
  }
  writer.Key("user").BeginObject().Key("uid").Uint(uid).Key("gid").Uint(gid);
  writer.Key("additionalGids").BeginArray();
  for (const std::string& text : context.options.All("additional-gids")) {
    uint32_t group = 0;
    if (!absl::SimpleAtoi(text, &group)) {
      return absl::InvalidArgumentError(absl::StrCat("--additional-gids: not a number: ", text));
    }
    writer.Uint(group);
  }
  writer.EndArray().EndObject();
  return absl::OkStatus();
}

void WriteCapabilities(const CommandContext& context, const json::Value& process,
                       json::Writer& writer) {
  const json::Value own = process.Find("capabilities");
  const std::vector<std::string> more = context.options.All("cap");
  writer.Key("capabilities").BeginObject();
  for (const char* set : {"bounding", "effective", "inheritable", "permitted", "ambient"}) {
    writer.Key(set).BeginArray();
    for (auto name : own.Find(set)) writer.String(name.value().text());
    const absl::string_view which(set);
    if (which == "bounding" || which == "effective" || which == "permitted") {
      for (const std::string& name : more) writer.String(name);
    }
    writer.EndArray();
  }
  writer.EndObject();
}

// The container's own process with what the command line says instead.
absl::StatusOr<std::string> ProcessFromOptions(const CommandContext& context,
                                               const ContainerRecord& record) {
  if (context.arguments.size() < 2) {
    return absl::InvalidArgumentError("process args cannot be empty");
  }
  BERTH_ASSIGN_OR_RETURN(std::string text, ReadFile(absl::StrCat(record.bundle, "/config.json")));
  BERTH_ASSIGN_OR_RETURN(const json::Document document, json::Document::Parse(std::move(text)));
  const json::Value process = document.root().Find("process");
  json::Writer writer;
  writer.BeginObject().Key("terminal").Boolean(context.options.Has("tty"));
  BERTH_RETURN_IF_ERROR(WriteUser(context, process, writer));
  writer.Key("args").BeginArray();
  for (size_t i = 1; i < context.arguments.size(); ++i) writer.String(context.arguments[i]);
  writer.EndArray().Key("env").BeginArray();
  for (auto variable : process.Find("env")) writer.String(variable.value().text());
  for (const std::string& variable : context.options.All("env")) writer.String(variable);
  writer.EndArray();
  const std::string cwd(process.Find("cwd").text());
  writer.Key("cwd").String(context.options.Get("cwd", cwd.empty() ? "/" : cwd));
  WriteCapabilities(context, process, writer);
  if (const auto score = process.Find("oomScoreAdj").AsInt64()) {
    writer.Key("oomScoreAdj").Int(*score);
  }
  for (const char* name : {"rlimits", "scheduler", "ioPriority"}) {
    if (process.Find(name).present()) writer.Key(name).Raw(process.Find(name).raw());
  }
  writer.Key("noNewPrivileges")
      .Boolean(context.options.Has("no-new-privs") ||
               process.Find("noNewPrivileges").kind() == json::Kind::kTrue);
  const std::string apparmor(process.Find("apparmorProfile").text());
  writer.Key("apparmorProfile").String(context.options.Get("apparmor", apparmor));
  const std::string label(process.Find("selinuxLabel").text());
  writer.Key("selinuxLabel").String(context.options.Get("process-label", label));
  writer.EndObject();
  return writer.Take();
}

absl::StatusOr<launch::ExecProcess> AwaitExec(Loop& loop, launch::Container& container,
                                              launch::ExecOptions options) {
  absl::optional<absl::StatusOr<launch::ExecProcess>> result;
  container.Exec(std::move(options), [&](absl::StatusOr<launch::ExecProcess> process) {
    result.emplace(std::move(process));
  });
  while (!result) BERTH_RETURN_IF_ERROR(loop.RunOnce(absl::Seconds(10)));
  return *std::move(result);
}

}  // namespace

absl::StatusOr<int> RunExec(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, context.store.Load(id));
  const RuntimeState state = context.store.StateOf(record);
  if (state == RuntimeState::kStopped) {
    return absl::FailedPreconditionError("cannot exec in a stopped container");
  }
  if (state == RuntimeState::kPaused && !context.options.Has("ignore-paused")) {
    return absl::FailedPreconditionError(
        "cannot exec in a paused container (use --ignore-paused to override)");
  }
  launch::ExecOptions options;
  options.exec_id = id;
  if (context.options.Has("process")) {
    BERTH_ASSIGN_OR_RETURN(options.process_json, ReadFile(context.options.Get("process")));
  } else {
    BERTH_ASSIGN_OR_RETURN(options.process_json, ProcessFromOptions(context, record));
  }
  BERTH_ASSIGN_OR_RETURN(options.stdio, InheritedStdio());
  options.preserved_fds = std::move(context.preserved_fds);
  options.cgroup_subpaths = context.options.All("cgroup");
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<launch::Container> container,
      launch::Container::Attach(*loop, ToCleanupRecord(record), context.store.SeccompCache()));
  BERTH_ASSIGN_OR_RETURN(launch::ExecProcess process,
                         AwaitExec(*loop, *container, std::move(options)));
  context.log.Latency("exec", container->latency());
  PrintWarnings(*container);
  if (context.options.Has("pid-file")) {
    BERTH_RETURN_IF_ERROR(ReplaceFileAt(BorrowedFd(AT_FDCWD), context.options.Get("pid-file"),
                                        absl::StrCat(process.pid), 0644, Durability::kUnsynced));
  }
  if (context.options.Has("pidfd-socket")) {
    BERTH_RETURN_IF_ERROR(SendPidFd(context.options.Get("pidfd-socket"), process.pidfd));
  }
  if (context.options.Has("console-socket") && process.console.valid()) {
    BERTH_RETURN_IF_ERROR(
        SendConsole(context.options.Get("console-socket"), std::move(process.console)));
  }
  if (context.options.Has("detach")) return 0;
  return WaitInForeground(*loop, process.pidfd, std::move(process.console));
}

}  // namespace berth::oci

#include "shim/launch/runtime_command.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json/document.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

extern char** environ;

namespace berth::launch {
namespace {

constexpr size_t kLogLimitBytes = 1u << 20;
constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (absl::StrContains(name, '/')) return name;
  const char* path = ::getenv("PATH");
  for (const absl::string_view directory :
       absl::StrSplit(path != nullptr && *path != '\0' ? path : kDefaultPath, ':')) {
    std::string candidate = absl::StrCat(directory, "/", name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(
      absl::StrCat("runtime option BinaryName \"", name,
                   "\": executable file not found in $PATH; install it, or name it by its path"));
}

// The last message of level error in the runtime's log; empty when there is none.
std::string LastError(const std::string& log) {
  const auto text = ReadFile(log, kLogLimitBytes);
  if (!text.ok()) return "";
  std::string last;
  for (const absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const auto document = json::Document::Parse(std::string(line));
    if (!document.ok()) continue;
    const absl::string_view level = document->root().Find("level").text();
    if (level != "error" && level != "fatal") continue;
    last = std::string(document->root().Find("msg").text());
  }
  return last;
}

absl::StatusOr<ChildProcess> SpawnRuntime(const ForeignRuntime& runtime,
                                          const RuntimeInvocation& invocation) {
  SpawnOptions options;
  BERTH_ASSIGN_OR_RETURN(options.executable, FindProgram(runtime.binary));
  options.arguments = {options.executable, "--root",       runtime.root, "--log",
                       invocation.log,     "--log-format", "json"};
  if (runtime.systemd_cgroup) options.arguments.push_back("--systemd-cgroup");
  options.arguments.insert(options.arguments.end(), invocation.arguments.begin(),
                           invocation.arguments.end());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    options.environment.emplace_back(*variable);
  }
  options.descriptors = invocation.descriptors;
  options.working_directory = invocation.working_directory;
  (void)::unlink(invocation.log.c_str());  // of the command before this one
  return Spawn(options);
}

absl::Status Ended(const std::string& what, const ExitState& state, const std::string& log) {
  if (state.ExitCode() == 0) return absl::OkStatus();
  const std::string reason = LastError(log);
  const std::string message = absl::StrCat(
      what, ": ", reason.empty() ? absl::StrCat("ended with status ", state.ExitCode()) : reason);
  if (absl::StrContains(reason, "does not exist") || absl::StrContains(reason, "not running") ||
      absl::StrContains(reason, "already finished")) {
    return absl::NotFoundError(message);
  }
  return absl::InternalError(message);
}

std::string Describe(const ForeignRuntime& runtime, const RuntimeInvocation& invocation) {
  return absl::StrCat(runtime.binary, " ", invocation.arguments.front());
}

}  // namespace

absl::StatusOr<std::unique_ptr<RuntimeCommand>> RuntimeCommand::Start(
    Loop& loop, const ForeignRuntime& runtime, const RuntimeInvocation& invocation, Done done) {
  std::unique_ptr<RuntimeCommand> command(
      new RuntimeCommand(loop, Describe(runtime, invocation), invocation.log, std::move(done)));
  BERTH_ASSIGN_OR_RETURN(command->child_, SpawnRuntime(runtime, invocation));
  RuntimeCommand* const raw = command.get();
  BERTH_ASSIGN_OR_RETURN(command->watch_, loop.Watch(raw->child_.pidfd(), EPOLLIN,
                                                     [raw](uint32_t) { raw->OnEnded(); }));
  command->timer_ = loop.After(invocation.timeout, [raw] {
    raw->timer_ = TimerId::kNone;
    raw->timed_out_ = true;
    raw->Kill();
  });
  return command;
}

RuntimeCommand::~RuntimeCommand() {
  loop_.Cancel(timer_);
  watch_.Reset();
}

void RuntimeCommand::OnEnded() {
  const auto state = child_.Wait(absl::Seconds(1));  // it has ended: returns at once
  watch_.Reset();
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  absl::Status status = state.ok() ? Ended(what_, *state, log_) : state.status();
  if (timed_out_) status = absl::DeadlineExceededError(absl::StrCat(what_, " did not end in time"));
  Done done = std::move(done_);
  done(std::move(status));  // may destroy this
}

absl::Status RuntimeCommand::Run(const ForeignRuntime& runtime,
                                 const RuntimeInvocation& invocation) {
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, SpawnRuntime(runtime, invocation));
  BERTH_ASSIGN_OR_RETURN(const ExitState state, child.Wait(invocation.timeout),
                         _ << Describe(runtime, invocation));
  return Ended(Describe(runtime, invocation), state, invocation.log);
}

}  // namespace berth::launch

// The life of containers that exist: start, stop, kill, restart, pause, unpause, wait, rename, rm.
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/each.h"
#include "client/commands/listing.h"
#include "client/docker/creation.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/foreground.h"
#include "client/docker/stop_hint.h"
#include "client/sdk/json_access.h"

namespace berth::client {
namespace {

struct LifeArguments {
  std::string signal;
  std::optional<int> timeout_seconds;
  bool is_forced = false;
  bool removes_volumes = false;
  bool attaches = false;
  bool is_interactive = false;
  bool proxies_signals = true;
  std::string detach_keys;
  std::vector<std::string> rest;
};

constexpr char kSeveral[] = "CONTAINER [CONTAINER...]";

absl::StatusOr<int> StartSeveral(const EngineClient& client, const LifeArguments& arguments) {
  return ForEach("start", arguments.rest, [&](const std::string& word) {
    engine::StartContainerRequest request;
    request.set_container(word);
    return client.Start(request).status();
  });
}

absl::StatusOr<int> StartAttached(const EngineClient& client, const LifeArguments& arguments) {
  if (arguments.rest.size() > 1) {
    return absl::InvalidArgumentError("only one container can be started and attached to at once");
  }
  engine::InspectContainerRequest inspect;
  inspect.set_container(arguments.rest[0]);
  BERTH_ASSIGN_OR_RETURN(const engine::InspectContainerResponse found, client.Inspect(inspect));
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(found.json()));
  const Json* config = Find(document, "Config");
  const Json* terminal = config == nullptr ? nullptr : Find(*config, "Tty");
  ForegroundOptions options;
  options.container = StringAt(document, "Id");
  options.terminal =
      terminal != nullptr && *terminal == true ? WithTerminal::kYes : WithTerminal::kNo;
  options.attaches_stdin = arguments.is_interactive;
  options.signal_proxy = arguments.proxies_signals ? SignalProxy::kYes : SignalProxy::kNo;
  options.detach_keys = arguments.detach_keys;
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<Foreground> foreground,
                         Foreground::Attach(client, options));
  engine::WaitContainerRequest wait_request;
  wait_request.set_container(options.container);
  wait_request.set_condition(engine::WaitContainerRequest::CONDITION_NEXT_EXIT);
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<EngineWait> wait, client.StartWait(wait_request));
  engine::StartContainerRequest request;
  request.set_container(options.container);
  const WindowSize size = TerminalSize();
  request.set_terminal_columns(static_cast<uint32_t>(size.columns));
  request.set_terminal_rows(static_cast<uint32_t>(size.rows));
  const absl::StatusOr<engine::StartContainerResponse> started = client.Start(request);
  if (!started.ok()) {
    return FailWith("start", started.status(), ExitCodeOf(started.status(), kExitFailure));
  }
  return foreground->Follow([&]() -> absl::StatusOr<int> {
    BERTH_ASSIGN_OR_RETURN(const engine::WaitContainerResponse ended, wait->Result());
    return ended.exit_code();
  });
}

absl::StatusOr<int> Start(const Context& context, const LifeArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  return arguments.attaches || arguments.is_interactive ? StartAttached(client, arguments)
                                                        : StartSeveral(client, arguments);
}

// `operation` on each container, several at once.
using Operation = std::function<absl::Status(const EngineClient&, const std::string& word)>;

absl::StatusOr<int> OnEach(const Context& context, const char* verb,
                           const std::vector<std::string>& words, const Operation& operation) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  return ForEachAtOnce(verb, words,
                       [&](const std::string& word) { return operation(client, word); });
}

absl::StatusOr<int> Stop(const Context& context, const LifeArguments& arguments) {
  return OnEach(context, "stop", arguments.rest,
                [&](const EngineClient& client, const std::string& word) {
                  ExplainStop(client, word, arguments.signal, arguments.timeout_seconds);
                  engine::StopContainerRequest request;
                  request.set_container(word);
                  request.set_signal(arguments.signal);
                  if (arguments.timeout_seconds.has_value()) {
                    request.set_timeout_seconds(*arguments.timeout_seconds);
                  }
                  return client.Stop(request).status();
                });
}

absl::StatusOr<int> Restart(const Context& context, const LifeArguments& arguments) {
  return OnEach(context, "restart", arguments.rest,
                [&](const EngineClient& client, const std::string& word) {
                  engine::RestartContainerRequest request;
                  request.set_container(word);
                  request.set_signal(arguments.signal);
                  if (arguments.timeout_seconds.has_value()) {
                    request.set_timeout_seconds(*arguments.timeout_seconds);
                  }
                  return client.Restart(request);
                });
}

absl::StatusOr<int> Kill(const Context& context, const LifeArguments& arguments) {
  return OnEach(context, "kill", arguments.rest,
                [&](const EngineClient& client, const std::string& word) {
                  engine::KillContainerRequest request;
                  request.set_container(word);
                  request.set_signal(arguments.signal);
                  return client.Kill(request);
                });
}

absl::StatusOr<int> Remove(const Context& context, const LifeArguments& arguments) {
  return OnEach(context, "rm", arguments.rest,
                [&](const EngineClient& client, const std::string& word) {
                  engine::RemoveContainerRequest request;
                  request.set_container(word);
                  request.set_force(arguments.is_forced);
                  request.set_remove_volumes(arguments.removes_volumes);
                  const absl::Status removed = client.Remove(request);
                  // -f: what is not there need not be removed, but the user learns of it.
                  if (arguments.is_forced && absl::IsNotFound(removed)) {
                    std::fprintf(stderr, "berth rm: %s\n", std::string(removed.message()).c_str());
                    return absl::OkStatus();
                  }
                  return removed;
                });
}

// Prints the exit code of each, in the order of the words.
absl::StatusOr<int> Wait(const Context& context, const LifeArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  std::vector<absl::StatusOr<std::unique_ptr<EngineWait>>> waits;
  for (const std::string& word : arguments.rest) {
    engine::WaitContainerRequest request;
    request.set_container(word);
    waits.push_back(client.StartWait(request));
  }
  int exit_code = kExitOk;
  for (auto& wait : waits) {
    absl::Status failed = wait.status();
    if (wait.ok()) {
      const absl::StatusOr<engine::WaitContainerResponse> ended = (*wait)->Result();
      failed = ended.status();
      if (ended.ok()) PrintText(absl::StrCat(ended->exit_code(), "\n"));
    }
    if (!failed.ok()) exit_code = FailWith("wait", failed, kExitFailure);
  }
  return exit_code;
}

absl::StatusOr<int> Rename(const Context& context, const LifeArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(EngineClient(connection).Rename(arguments.rest[0], arguments.rest[1]));
  return kExitOk;
}

void AddEnds(Command parent, const Context& context) {
  auto arguments = std::make_shared<LifeArguments>();
  parent.Add("stop", "Ask containers to end, and kill those that do not")
      .Option("-t,--time,--timeout SECONDS", arguments->timeout_seconds,
              "How long to wait (default: the container's, else 10; -1: for ever)")
      .Option("-s,--signal SIGNAL", arguments->signal, "What to send first")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth stop web\n  berth stop -t 30 db cache\n")
      .Do([&context, arguments] { return Stop(context, *arguments); });
  parent.Add("restart", "Stop containers and start them again")
      .Option("-t,--time,--timeout SECONDS", arguments->timeout_seconds, "As of `berth stop`")
      .Option("-s,--signal SIGNAL", arguments->signal, "What to send first")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth restart web\n")
      .Do([&context, arguments] { return Restart(context, *arguments); });
  parent.Add("kill", "Send a signal to containers")
      .Option("-s,--signal SIGNAL", arguments->signal, "Name or number (default: KILL)")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth kill web\n  berth kill -s HUP web\n")
      .Do([&context, arguments] { return Kill(context, *arguments); });
  parent.Add("wait", "Wait until containers have ended and print their exit codes")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth wait job\n")
      .Do([&context, arguments] { return Wait(context, *arguments); });
  parent.Add("rm,remove,delete", "Remove containers")
      .Flag("-f,--force", arguments->is_forced, "Kill those that run")
      .Flag("-v,--volumes", arguments->removes_volumes, "And their anonymous volumes")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth rm web\n  berth rm -f $(berth ps -aq)\n")
      .Do([&context, arguments] { return Remove(context, *arguments); });
}

}  // namespace

void AddStart(Command parent, const Context& context) {
  auto arguments = std::make_shared<LifeArguments>();
  parent.Add("start", "Start containers that were created or have ended")
      .Flag("-a,--attach", arguments->attaches, "Show the output, pass signals on")
      .Flag("-i,--interactive", arguments->is_interactive, "Pass standard input on")
      .Flag("--sig-proxy", arguments->proxies_signals, "Pass signals on (default: true)")
      .Option("--detach-keys KEYS", arguments->detach_keys,
              "Keys that detach from a terminal (default: ctrl-p,ctrl-q)")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth start web db\n  berth start -ai shell\n")
      .Do([&context, arguments] { return Start(context, *arguments); });
}

void AddLifeVerbs(Command parent, const Context& context) {
  AddEnds(parent, context);
  auto arguments = std::make_shared<LifeArguments>();
  parent.Add("pause", "Freeze all processes of containers")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth pause web\n")
      .Do([&context, arguments] {
        return OnEach(
            context, "pause", arguments->rest,
            [](const EngineClient& client, const std::string& word) { return client.Pause(word); });
      });
  parent.Add("unpause", "Thaw all processes of containers")
      .Rest({kSeveral, 1, -1}, arguments->rest)
      .Examples("  berth unpause web\n")
      .Do([&context, arguments] {
        return OnEach(context, "unpause", arguments->rest,
                      [](const EngineClient& client, const std::string& word) {
                        return client.Unpause(word);
                      });
      });
  parent.Add("rename", "Give a container another name")
      .Rest({"CONTAINER NEW_NAME", 2, 2}, arguments->rest)
      .Examples("  berth rename web web-old\n")
      .Do([&context, arguments] { return Rename(context, *arguments); });
}

}  // namespace berth::client

// berth exec and berth attach: entering a container that runs.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/creation.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/foreground.h"
#include "client/options/create_request.h"
#include "client/sdk/environment.h"
#include "client/sdk/json_access.h"

namespace berth::client {
namespace {

struct ExecArguments {
  bool is_interactive = false;
  bool has_terminal = false;
  bool is_detached = false;
  bool is_privileged = false;
  std::vector<std::string> environment;
  std::vector<std::string> environment_files;
  std::string working_directory;
  std::string user;
  std::string detach_keys;
  std::vector<std::string> rest;  // container, command
};

struct AttachArguments {
  bool has_no_stdin = false;
  bool proxies_signals = true;
  std::string detach_keys;
  std::vector<std::string> rest;
};

absl::StatusOr<engine::CreateExecRequest> MakeExecRequest(const ExecArguments& arguments) {
  engine::CreateExecRequest request;
  request.set_container(arguments.rest[0]);
  for (size_t i = 1; i < arguments.rest.size(); ++i) request.add_command(arguments.rest[i]);
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> environment,
                         ResolveEnvironment(arguments.environment_files, arguments.environment,
                                            InheritedEnvironment()));
  for (const std::string& entry : environment) request.add_environment(entry);
  request.set_working_directory(arguments.working_directory);
  request.set_user(arguments.user);
  request.set_privileged(arguments.is_privileged);
  request.set_terminal(arguments.has_terminal);
  request.set_open_stdin(arguments.is_interactive && !arguments.is_detached);
  request.set_attach_stdout(!arguments.is_detached);
  request.set_attach_stderr(!arguments.is_detached);
  const WindowSize size = TerminalSize();
  request.set_terminal_columns(static_cast<uint32_t>(size.columns));
  request.set_terminal_rows(static_cast<uint32_t>(size.rows));
  return request;
}

absl::StatusOr<int> Execute(const EngineClient& client, const ExecArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const engine::CreateExecRequest request, MakeExecRequest(arguments));
  BERTH_ASSIGN_OR_RETURN(const engine::CreateExecResponse created, client.CreateExec(request));
  engine::StartExecRequest start;
  start.set_exec_id(created.exec_id());
  start.set_detach(arguments.is_detached);
  if (arguments.is_detached) {
    BERTH_RETURN_IF_ERROR(client.StartExec(start).status());
    return kExitOk;
  }
  ForegroundOptions options;
  options.container = arguments.rest[0];
  options.exec_id = created.exec_id();
  options.terminal = arguments.has_terminal ? WithTerminal::kYes : WithTerminal::kNo;
  options.attaches_stdin = arguments.is_interactive;
  options.attaches_stderr = !arguments.has_terminal;
  options.detach_keys = arguments.detach_keys;
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<Foreground> foreground,
                         Foreground::Attach(client, options));
  BERTH_RETURN_IF_ERROR(client.StartExec(start).status());
  return foreground->Follow([&]() -> absl::StatusOr<int> {
    BERTH_ASSIGN_OR_RETURN(const engine::InspectExecResponse ended,
                           client.InspectExec(created.exec_id()));
    if (ended.running()) {
      return absl::UnavailableError(
          "the program's end was not seen, as the server was away; look with 'berth top'");
    }
    return ended.exit_code();
  });
}

absl::StatusOr<int> Exec(const Context& context, const ExecArguments& arguments) {
  const absl::StatusOr<Connection> connection = context.Connect();
  if (!connection.ok()) return FailWith("exec", connection.status(), kExitFailure);
  const absl::StatusOr<int> code = Execute(EngineClient(*connection), arguments);
  if (code.ok()) return *code;
  return FailWith("exec", code.status(), ExitCodeOf(code.status(), kExitFailure));
}

absl::StatusOr<int> Attach(const Context& context, const AttachArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  engine::InspectContainerRequest inspect;
  inspect.set_container(arguments.rest[0]);
  BERTH_ASSIGN_OR_RETURN(const engine::InspectContainerResponse found, client.Inspect(inspect));
  BERTH_ASSIGN_OR_RETURN(const Json document, ParseJson(found.json()));
  const Json* state = Find(document, "State");
  const Json* config = Find(document, "Config");
  const std::string status = state == nullptr ? "" : StringAt(*state, "Status");
  if (status == "paused") {
    return absl::FailedPreconditionError(
        "You cannot attach to a paused container, unpause it first");
  }
  if (status != "running" && status != "restarting") {
    return absl::FailedPreconditionError(
        "You cannot attach to a stopped container, start it first");
  }
  const auto is_set = [&](const char* key) {
    const Json* value = config == nullptr ? nullptr : Find(*config, key);
    return value != nullptr && *value == true;
  };
  ForegroundOptions options;
  options.container = StringAt(document, "Id");
  options.terminal = is_set("Tty") ? WithTerminal::kYes : WithTerminal::kNo;
  options.attaches_stdin = is_set("OpenStdin") && !arguments.has_no_stdin;
  options.signal_proxy = arguments.proxies_signals ? SignalProxy::kYes : SignalProxy::kNo;
  options.detach_keys = arguments.detach_keys;
  engine::WaitContainerRequest wait_request;
  wait_request.set_container(options.container);
  wait_request.set_condition(engine::WaitContainerRequest::CONDITION_NEXT_EXIT);
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<EngineWait> wait, client.StartWait(wait_request));
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<Foreground> foreground,
                         Foreground::Attach(client, options));
  return foreground->Follow([&] { return ExitCodeOf(client, *wait, options.container); });
}

}  // namespace

void AddExec(Command parent, const Context& context) {
  auto arguments = std::make_shared<ExecArguments>();
  parent.Add("exec", "Run one more program in a container that runs")
      .Flag("-i,--interactive", arguments->is_interactive, "Keep standard input open")
      .Flag("-t,--tty", arguments->has_terminal, "Give the program a terminal")
      .Flag("-d,--detach", arguments->is_detached, "Do not wait, throw the output away")
      .Flag("--privileged", arguments->is_privileged, "All capabilities")
      .Option("-e,--env LIST", arguments->environment, "KEY=VALUE, or KEY to pass yours on")
      .Option("--env-file FILE", arguments->environment_files, "Read KEY=VALUE lines from a file")
      .Option("-w,--workdir,--cwd DIR", arguments->working_directory,
              "Working directory (default: the container's)")
      .Option("-u,--user USER", arguments->user, "NAME|UID[:GROUP|GID]")
      .Option("--detach-keys KEYS", arguments->detach_keys,
              "Keys that detach from a terminal (default: ctrl-p,ctrl-q)")
      .Rest({"CONTAINER COMMAND [ARG...]", 2, -1, OptionPlace::kBeforeArguments}, arguments->rest)
      .Examples(
          "  berth exec -it web sh\n"
          "  berth exec -e DEBUG=1 -w /tmp web env\n"
          "  berth exec -u nobody web id\n")
      .Do([&context, arguments] { return Exec(context, *arguments); });
}

void AddAttach(Command parent, const Context& context) {
  auto arguments = std::make_shared<AttachArguments>();
  parent.Add("attach", "Join the input and output of a container that runs")
      .Flag("--no-stdin", arguments->has_no_stdin, "Look on only")
      .Flag("--sig-proxy", arguments->proxies_signals,
            "Pass signals on to the program (default: true)")
      .Option("--detach-keys KEYS", arguments->detach_keys,
              "Keys that detach from a terminal (default: ctrl-p,ctrl-q)")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth attach web\n  berth attach --no-stdin --sig-proxy=false web\n")
      .Do([&context, arguments] { return Attach(context, *arguments); });
}

}  // namespace berth::client

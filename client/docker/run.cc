// berth run and berth create: a container from an image, and with run to its exit.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/creation.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/foreground.h"

namespace berth::client {
namespace {

struct RunArguments {
  CreateOptions options;
  bool is_detached = false;
  bool proxies_signals = true;
  std::string detach_keys;
};

struct Streams {
  bool in = false;
  bool out = false;
  bool err = false;
};

// As docker: -a chooses; without it all, standard input with -i.
absl::StatusOr<Streams> StreamsOf(const RunArguments& arguments) {
  const CreateOptions& options = arguments.options;
  Streams streams;
  for (const std::string& name : options.attach) {
    if (name != "stdin" && name != "stdout" && name != "stderr") {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", name, "\" is no value for --attach: expected stdin, stdout or stderr"));
    }
    (name == "stdin" ? streams.in : name == "stdout" ? streams.out : streams.err) = true;
  }
  if (arguments.is_detached) {
    if (!options.attach.empty()) {
      return absl::InvalidArgumentError("--attach contradicts --detach");
    }
    return streams;
  }
  if (options.attach.empty()) streams = {options.is_interactive, true, true};
  return streams;
}

void DescribeStreams(const Streams& streams, engine::CreateContainerRequest& request) {
  engine::ContainerConfig& config = *request.mutable_config();
  config.set_attach_stdin(streams.in);
  config.set_attach_stdout(streams.out);
  config.set_attach_stderr(streams.err);
  // Piped input ends with the client that brought it. At a terminal the user may detach and come
  // back.
  config.set_stdin_once(config.open_stdin() && streams.in && !config.terminal());
  const WindowSize size = TerminalSize();
  request.set_terminal_columns(static_cast<uint32_t>(size.columns));
  request.set_terminal_rows(static_cast<uint32_t>(size.rows));
}

// The container exists; its start failed or was never tried.
int FailStart(const EngineClient& client, const RunArguments& arguments, const std::string& id,
              const absl::Status& status) {
  if (arguments.options.removes) {
    engine::RemoveContainerRequest request;
    request.set_container(id);
    request.set_force(true);
    request.set_remove_volumes(true);
    client.Remove(request).IgnoreError();  // it may have gone by itself; the start's error counts
  }
  return FailWith("run", status, ExitCodeOf(status, kExitDaemonError));
}

absl::StatusOr<int> RunInForeground(const EngineClient& client, const RunArguments& arguments,
                                    const Streams& streams, const std::string& id) {
  ForegroundOptions options;
  options.container = id;
  options.terminal = arguments.options.has_terminal ? WithTerminal::kYes : WithTerminal::kNo;
  options.attaches_stdin = streams.in;
  options.attaches_stdout = streams.out;
  options.attaches_stderr = streams.err;
  options.signal_proxy = arguments.proxies_signals ? SignalProxy::kYes : SignalProxy::kNo;
  options.detach_keys = arguments.detach_keys;
  options.kills_on_lost_output = true;
  absl::StatusOr<std::unique_ptr<Foreground>> foreground = Foreground::Attach(client, options);
  if (!foreground.ok()) return FailStart(client, arguments, id, foreground.status());

  engine::WaitContainerRequest wait_request;
  wait_request.set_container(id);
  wait_request.set_condition(arguments.options.removes
                                 ? engine::WaitContainerRequest::CONDITION_REMOVED
                                 : engine::WaitContainerRequest::CONDITION_NEXT_EXIT);
  absl::StatusOr<std::unique_ptr<EngineWait>> wait = client.StartWait(wait_request);
  if (!wait.ok()) return FailStart(client, arguments, id, wait.status());

  engine::StartContainerRequest start;
  start.set_container(id);
  const WindowSize size = TerminalSize();
  start.set_terminal_columns(static_cast<uint32_t>(size.columns));
  start.set_terminal_rows(static_cast<uint32_t>(size.rows));
  if (const auto started = client.Start(start); !started.ok()) {
    foreground->reset();
    return FailStart(client, arguments, id, started.status());
  }
  const auto ask = [&] { return ExitCodeOf(client, **wait, id); };
  const absl::StatusOr<int> code = (*foreground)->Follow(ask);
  if (!code.ok()) return FailWith("run", code.status(), kExitDaemonError);
  // --rm: the name is free again when we are done. An error says nothing new: the program ended.
  if ((*foreground)->has_exited() && arguments.options.removes)
    (*wait)->Result().status().IgnoreError();
  return *code;
}

absl::StatusOr<int> Run(const Context& context, const RunArguments& arguments) {
  const absl::StatusOr<Streams> streams = StreamsOf(arguments);
  if (!streams.ok()) return FailWith("run", streams.status(), kExitDaemonError);
  const absl::StatusOr<DetachKeys> keys = DetachKeys::Parse(arguments.detach_keys);
  if (!keys.ok()) return FailWith("run", keys.status(), kExitDaemonError);
  if (!arguments.is_detached && arguments.options.has_terminal && streams->in &&
      !IsTerminal(BorrowedFd(0))) {
    return FailWith("run",
                    absl::FailedPreconditionError("the input device is not a TTY: -t wants a "
                                                  "terminal; leave it out when input is piped"),
                    kExitFailure);
  }
  const absl::StatusOr<Connection> connection = context.Connect();
  if (!connection.ok()) return FailWith("run", connection.status(), kExitDaemonError);
  const EngineClient client(*connection);
  const auto created =
      CreateFromOptions(context, client, arguments.options,
                        [&](engine::CreateContainerRequest& r) { DescribeStreams(*streams, r); });
  if (!created.ok()) return FailWith("run", created.status(), kExitDaemonError);
  if (streams->in || streams->out || streams->err) {
    return RunInForeground(client, arguments, *streams, created->id());
  }
  engine::StartContainerRequest start;
  start.set_container(created->id());
  if (const auto started = client.Start(start); !started.ok()) {
    return FailStart(client, arguments, created->id(), started.status());
  }
  PrintText(absl::StrCat(created->id(), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Create(const Context& context, const CreateOptions& options) {
  const absl::StatusOr<Connection> connection = context.Connect();
  if (!connection.ok()) return FailWith("create", connection.status(), kExitDaemonError);
  RunArguments arguments;
  arguments.options.attach = options.attach;
  arguments.options.is_interactive = options.is_interactive;
  const absl::StatusOr<Streams> streams = StreamsOf(arguments);
  if (!streams.ok()) return FailWith("create", streams.status(), kExitDaemonError);
  const auto created =
      CreateFromOptions(context, EngineClient(*connection), options,
                        [&](engine::CreateContainerRequest& r) { DescribeStreams(*streams, r); });
  if (!created.ok()) return FailWith("create", created.status(), kExitDaemonError);
  PrintText(absl::StrCat(created->id(), "\n"));
  return kExitOk;
}

}  // namespace

void AddRun(Command parent, const Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  Command run = parent.Add("run", "Create a container from an image and run it");
  run.Flag("-d,--detach", arguments->is_detached, "Run in the background and print the id")
      .Flag("--sig-proxy", arguments->proxies_signals,
            "Pass signals on to the program (default: true)")
      .Option("--detach-keys KEYS", arguments->detach_keys,
              "Keys that detach from a terminal (default: ctrl-p,ctrl-q)");
  BindCreateOptions(run, arguments->options);
  run.Description(
         "The exit code is the program's; 125 when berth or its server failed, 126 when the "
         "program\n"
         "cannot be executed, 127 when it was not found, 128+N when signal N ended it.")
      .Examples(
          "  berth run busybox echo hi\n"
          "  berth run --rm -it busybox sh\n"
          "  berth run -d --name web -v /srv/www:/www:ro --network host busybox httpd -f -h /www\n"
          "  echo data | berth run --rm -i busybox wc -c\n")
      .Do([&context, arguments] { return Run(context, *arguments); });
}

void AddCreate(Command parent, const Context& context) {
  auto options = std::make_shared<CreateOptions>();
  Command create = parent.Add("create", "Create a container and do not start it");
  BindCreateOptions(create, *options);
  create
      .Examples(
          "  berth create --name job busybox sleep 60\n"
          "  berth start -a job\n")
      .Do([&context, options] { return Create(context, *options); });
}

}  // namespace berth::client

#include "client/docker/foreground.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

// How long a server may be away before we give up, and how often we look for a signal meanwhile and
// for the server.
constexpr absl::Duration kServerPatience = absl::Minutes(1);
constexpr absl::Duration kServerWait = absl::Milliseconds(200);
constexpr absl::Duration kPause = absl::Milliseconds(20);

engine::AttachRequest::Open OpenFor(const ForegroundOptions& options,
                                    const EngineSession& session) {
  engine::AttachRequest::Open open;
  open.set_container(options.container);
  open.set_exec_id(options.exec_id);
  open.set_stdin(options.attaches_stdin);
  open.set_stdout(options.attaches_stdout);
  open.set_stderr(options.attaches_stderr);
  if (options.attaches_stdin) open.set_input_session(session.input_session());
  return open;
}

}  // namespace

absl::StatusOr<int> ExitCodeOf(const EngineClient& client, EngineWait& wait,
                               const std::string& id) {
  absl::StatusOr<engine::WaitContainerResponse> result = wait.Result();
  if (result.ok()) return result->exit_code();
  if (!absl::IsUnavailable(result.status())) return result.status();
  // The server was restarted; by now it is back.
  engine::WaitContainerRequest request;
  request.set_container(id);
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<EngineWait> again, client.StartWait(request));
  BERTH_ASSIGN_OR_RETURN(result, again->Result());
  return result->exit_code();
}

WindowSize TerminalSize() {
  const absl::StatusOr<WindowSize> size = GetWindowSize(BorrowedFd(STDOUT_FILENO));
  return size.ok() ? *size : WindowSize();
}

absl::StatusOr<std::unique_ptr<Foreground>> Foreground::Attach(const EngineClient& client,
                                                               const ForegroundOptions& options) {
  EngineSessionOptions session_options;
  session_options.terminal = options.terminal;
  session_options.stdin_attached = options.attaches_stdin ? WithStdin::kYes : WithStdin::kNo;
  session_options.signal_proxy = options.signal_proxy;
  session_options.detach_keys = options.detach_keys;
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<EngineSession> session,
                         EngineSession::Prepare(session_options));
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<EngineAttach> attach,
                         client.Attach(OpenFor(options, *session)));
  return std::unique_ptr<Foreground>(
      new Foreground(client, options, std::move(session), std::move(attach)));
}

absl::Status Foreground::Kill(int signal) const {
  if (!options_.exec_id.empty()) return absl::UnimplementedError("an exec takes no signals");
  engine::KillContainerRequest request;
  request.set_container(options_.container);
  request.set_signal(absl::StrCat(signal));
  return client_.Kill(request);
}

// Waits for the server to come back. Answers the signal that ended the waiting, or 0.
absl::StatusOr<int> Foreground::Reattach() {
  const absl::Time deadline = absl::Now() + kServerPatience;
  absl::Status last;
  while (absl::Now() < deadline) {
    if (const int signal = session_->Pause(kPause); signal != 0) return signal;
    client_.connection().AwaitServer(kServerWait);
    engine::AttachRequest::Open open = OpenFor(options_, *session_);
    open.set_resumes(true);
    absl::StatusOr<std::unique_ptr<EngineAttach>> attach = client_.Attach(open);
    if (attach.ok()) {
      attach_ = *std::move(attach);
      return 0;
    }
    last = attach.status();
    if (!absl::IsUnavailable(last)) return last;
  }
  return last;
}

absl::StatusOr<int> Foreground::Follow(const std::function<absl::StatusOr<int>()>& exit_code) {
  ProcessControl control;
  control.kill = [this](int signal) { return Kill(signal); };
  control.resize = [this](const WindowSize& size) {
    engine::ResizeRequest request;
    request.set_container(options_.container);
    request.set_exec_id(options_.exec_id);
    request.set_columns(static_cast<uint32_t>(size.columns));
    request.set_rows(static_cast<uint32_t>(size.rows));
    // The process may not run yet, or no more; its size is then of no interest.
    client_.Resize(request).IgnoreError();
  };
  if (options_.kills_on_lost_output) {
    control.on_output_lost = [this] { Kill(SIGKILL).IgnoreError(); };
  }
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const SessionEnd end, session_->Run(*attach_, control));
    if (end.exit_code.has_value()) {
      has_exited_ = true;
      return *end.exit_code;
    }
    if (end.is_detached) return 0;
    if (end.fatal_signal != 0) return 128 + end.fatal_signal;
    if (end.stream.ok()) return exit_code();
    if (!absl::IsUnavailable(end.stream)) return end.stream;
    const absl::StatusOr<int> signal = Reattach();
    if (!signal.ok()) {
      // The process ended while the server was away.
      const bool is_over =
          absl::IsFailedPrecondition(signal.status()) || absl::IsNotFound(signal.status());
      if (is_over) return exit_code();
      return signal.status();
    }
    if (*signal != 0) return 128 + *signal;
  }
}

}  // namespace berth::client

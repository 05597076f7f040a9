#include "client/attach/session.h"

#include <unistd.h>

#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/attach/stdio_pump.h"
#include "client/attach/terminal.h"

namespace berth::client {
namespace {

// What a user sends to the program in the foreground, by keyboard or by kill.
const std::vector<int>& ForwardedSignals() {
  static const auto& signals =
      *new std::vector<int>{SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT};
  return signals;
}

// A program that ignores ctrl-C (PID 1 without a handler does) must not hold the user.
constexpr int kImpatientInterrupts = 3;

// Output may stay open after the exit when another process of the host holds it.
constexpr absl::Duration kDrainTime = absl::Seconds(5);

const BorrowedFd kStdin = BorrowedFd(STDIN_FILENO);
const BorrowedFd kStdout = BorrowedFd(STDOUT_FILENO);
const BorrowedFd kStderr = BorrowedFd(STDERR_FILENO);

}  // namespace

absl::StatusOr<Session> Session::Prepare(const SessionOptions& options) {
  if (options.terminal == WithTerminal::kYes && options.stdin_attached == WithStdin::kYes &&
      !IsTerminal(kStdin)) {
    return absl::FailedPreconditionError(
        "-t wants a terminal, but standard input is none; leave out -t when input is piped");
  }
  std::vector<int> signals = ForwardedSignals();
  signals.push_back(SIGWINCH);
  // A lost reader of our output is seen as EPIPE; the signal would end us and leave the container.
  signals.push_back(SIGPIPE);
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<SignalPipe> pipe, SignalPipe::Open(signals));
  return Session(options, std::move(pipe));
}

absl::StatusOr<ExitResult> Session::Run(const TaskClient& tasks, const ProcessId& process,
                                        StdioEnds ends, PendingWait& wait) {
  const bool has_terminal = options_.terminal == WithTerminal::kYes;
  std::optional<RawTerminal> raw;
  const auto resize = [&] {
    const absl::StatusOr<WindowSize> size = GetWindowSize(kStdout);
    // The process may have ended already; its size is then of no interest.
    if (size.ok()) tasks.Resize(process, size->columns, size->rows).IgnoreError();
  };
  if (has_terminal) {
    if (options_.stdin_attached == WithStdin::kYes) {
      BERTH_ASSIGN_OR_RETURN(RawTerminal entered, RawTerminal::Enter(kStdin));
      raw.emplace(std::move(entered));
    }
    resize();
  }

  int interrupts = 0;
  bool output_lost = false;
  PumpEvents events;
  events.on_signal = [&](int signal) {
    if (signal == SIGPIPE) return Proceed::kYes;
    if (signal == SIGWINCH) {
      if (has_terminal) resize();
      return Proceed::kYes;
    }
    if (signal == SIGINT || signal == SIGTERM) ++interrupts;
    if (interrupts >= kImpatientInterrupts) {
      std::fprintf(stderr, "\nberth: %d interrupts had no effect, killing the process\n",
                   interrupts);
      signal = SIGKILL;
    }
    // NOT_FOUND: it has just ended. Without the server nothing can be sent, and nothing is lost.
    const absl::Status sent = tasks.Kill(process, signal, KillScope::kProcess);
    const bool is_away = absl::IsUnavailable(sent) || absl::IsDeadlineExceeded(sent);
    return is_away && signal == SIGKILL ? Proceed::kGiveUp : Proceed::kYes;
  };
  events.on_stdin_end = [&] { tasks.CloseStdin(process).IgnoreError(); };
  events.on_output_lost = [&] {
    // What SIGPIPE does to the writer in a shell's pipeline. A PID 1 without a handler ignores
    // every other signal.
    if (!output_lost) tasks.Kill(process, SIGKILL, KillScope::kProcess).IgnoreError();
    output_lost = true;
  };
  UserStdio user = {.out = kStdout, .err = kStderr, .log = options_.log};
  if (options_.stdin_attached == WithStdin::kYes) user.in = kStdin;

  StdioPump pump(std::move(ends), user, std::move(events));
  const absl::Status pumped = pump.Run(wait.ready(), *signals_, kDrainTime);
  if (absl::IsCancelled(pumped)) {
    return absl::UnavailableError(absl::StrCat("the server does not answer; container ",
                                               process.container_id, " is left as it is"));
  }
  BERTH_RETURN_IF_ERROR(pumped);
  return wait.Result();
}

}  // namespace berth::client

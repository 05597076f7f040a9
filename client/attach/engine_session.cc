#include "client/attach/engine_session.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

const std::vector<int>& ForwardedSignals() {
  static const auto& signals =
      *new std::vector<int>{SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT};
  return signals;
}

bool EndsPrograms(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGQUIT || signal == SIGHUP;
}

// A program that ignores ctrl-C (PID 1 without a handler does) must not hold the user.
constexpr int kImpatientInterrupts = 3;
constexpr size_t kInputBytes = 32 << 10;  // the API takes 64 KiB
constexpr char kInterruptKey = '\x03';    // ctrl-C, as a raw terminal gives it

const BorrowedFd kStdin = BorrowedFd(STDIN_FILENO);
const BorrowedFd kStdout = BorrowedFd(STDOUT_FILENO);

}  // namespace

// Between the threads of one Run.
struct EngineSession::Shared {
  Pipe wake;  // a byte: something ended
  Pipe stop;  // closed: the input thread is to end
  std::atomic<bool> is_detached = false;
  std::atomic<bool> output_lost = false;
  std::atomic<bool> has_exited = false;
  std::atomic<bool> has_ended = false;  // the stream
  std::atomic<int> exit_code = 0;
  int fatal_signal = 0;
  bool lost_was_told = false;

  void Wake() {
    // A full pipe wakes as well.
    [[maybe_unused]] const ssize_t count = ::write(wake.write.get(), "x", 1);
  }
};

absl::StatusOr<std::unique_ptr<EngineSession>> EngineSession::Prepare(
    const EngineSessionOptions& options) {
  if (options.terminal == WithTerminal::kYes && options.stdin_attached == WithStdin::kYes &&
      !IsTerminal(kStdin)) {
    return absl::FailedPreconditionError(
        "the input device is not a TTY: -t wants a terminal; leave it out when input is piped");
  }
  BERTH_ASSIGN_OR_RETURN(DetachKeys keys, DetachKeys::Parse(options.detach_keys),
                         _ << "--detach-keys");
  std::vector<int> signals = ForwardedSignals();
  signals.push_back(SIGWINCH);
  // A lost reader of our output is seen as EPIPE; the signal would end us and leave the container.
  signals.push_back(SIGPIPE);
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<SignalPipe> pipe, SignalPipe::Open(signals));
  return std::unique_ptr<EngineSession>(
      new EngineSession(options, std::move(keys), std::move(pipe)));
}

void EngineSession::PumpOutput(EngineAttach& attach, Shared& shared) {
  engine::AttachResponse response;
  while (attach.Read(response)) {
    if (response.has_exited()) {
      shared.exit_code = response.exited().exit_code();
      shared.has_exited = true;
    } else if (response.content_case() == engine::AttachResponse::kInputTaken) {
      sent_.Taken(response.input_taken());
    } else if (response.has_output() && !shared.output_lost) {
      const BorrowedFd sink(response.output().stream() == engine::STREAM_STDERR ? STDERR_FILENO
                                                                                : STDOUT_FILENO);
      if (!WriteAll(sink, response.output().data()).ok() && sink.get() == STDOUT_FILENO) {
        shared.output_lost = true;
        shared.Wake();
      }
    }
  }
  shared.has_ended = true;
  sent_.Stop();
  shared.Wake();
}

bool EngineSession::SendAgain(EngineAttach& attach) {
  const std::optional<std::string> kept = sent_.AwaitResume();
  if (!kept.has_value()) return false;
  for (size_t at = 0; at < kept->size(); at += kInputBytes) {
    engine::AttachRequest request;
    request.set_stdin(kept->substr(at, kInputBytes));
    if (!attach.Write(request)) return false;
  }
  if (!input_ended_) return true;
  engine::AttachRequest request;
  request.set_close_stdin(true);
  attach.Write(request);
  return false;
}

void EngineSession::PumpInput(EngineAttach& attach, Shared& shared) {
  std::string buffer(kInputBytes, '\0');
  pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {shared.stop.read.get(), POLLIN, 0}};
  if (std::exchange(has_run_, true) && !SendAgain(attach)) return;
  while (!input_ended_ && sent_.AwaitRoom()) {
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[1].revents != 0) return;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    engine::AttachRequest request;
    if (count <= 0) {
      input_ended_ = true;
      // A raw terminal knows no end of input: it went away, and nobody is there to go on for.
      if (raw_.has_value()) {
        shared.is_detached = true;
        shared.Wake();
        return;
      }
      request.set_close_stdin(true);
      attach.Write(request);
      return;
    }
    absl::string_view data(buffer.data(), static_cast<size_t>(count));
    DetachKeys::Passed passed;
    if (raw_.has_value()) {
      passed = keys_.Feed(data);
      data = passed.data;
    }
    if (!data.empty()) {
      sent_.Add(data);
      request.set_stdin(std::string(data));
      if (!attach.Write(request)) return;  // the reading thread sees why
    }
    if (passed.detaches) {
      shared.is_detached = true;
      shared.Wake();
      return;
    }
  }
}

void EngineSession::HandleSignals(const ProcessControl& control, Shared& shared) {
  for (int signal : signals_->Take()) {
    if (signal == SIGPIPE) continue;
    if (signal == SIGWINCH) {
      const absl::StatusOr<WindowSize> size = GetWindowSize(kStdout);
      if (options_.terminal == WithTerminal::kYes && size.ok()) control.resize(*size);
      continue;
    }
    if (options_.signal_proxy == SignalProxy::kNo) {
      if (EndsPrograms(signal)) shared.fatal_signal = signal;
      continue;
    }
    if ((signal == SIGINT || signal == SIGTERM) && ++interrupts_ >= kImpatientInterrupts) {
      std::fprintf(stderr, "\nberth: %d interrupts had no effect, killing the process\n",
                   interrupts_);
      signal = SIGKILL;
    }
    const absl::Status sent = control.kill(signal);
    // An exec gets no signals by the server: ctrl-C then ends the session.
    const bool cannot_send = absl::IsUnimplemented(sent) || absl::IsUnavailable(sent);
    if (cannot_send && (EndsPrograms(signal) || signal == SIGKILL)) shared.fatal_signal = signal;
  }
}

absl::StatusOr<SessionEnd> EngineSession::Run(EngineAttach& attach, const ProcessControl& control) {
  Shared shared;
  BERTH_ASSIGN_OR_RETURN(shared.wake, MakePipe());
  BERTH_ASSIGN_OR_RETURN(shared.stop, MakePipe());
  if (options_.terminal == WithTerminal::kYes) {
    if (options_.stdin_attached == WithStdin::kYes && !raw_.has_value()) {
      BERTH_ASSIGN_OR_RETURN(RawTerminal entered, RawTerminal::Enter(kStdin));
      raw_.emplace(std::move(entered));
    }
    if (const absl::StatusOr<WindowSize> size = GetWindowSize(kStdout); size.ok()) {
      control.resize(*size);
    }
  }
  sent_.Begin();
  std::thread output([&] { PumpOutput(attach, shared); });
  std::thread input;
  if (options_.stdin_attached == WithStdin::kYes) {
    input = std::thread([&] { PumpInput(attach, shared); });
  }
  pollfd fds[2] = {{shared.wake.read.get(), POLLIN, 0}, {signals_->ready().get(), POLLIN, 0}};
  while (!shared.has_ended && !shared.is_detached && shared.fatal_signal == 0) {
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) break;
    if (fds[0].revents != 0) {
      char byte = 0;
      [[maybe_unused]] const ssize_t count = ::read(shared.wake.read.get(), &byte, 1);
    }
    HandleSignals(control, shared);
    if (shared.output_lost && !shared.lost_was_told) {
      shared.lost_was_told = true;
      if (control.on_output_lost == nullptr) {
        shared.fatal_signal = SIGPIPE;
      } else {
        control.on_output_lost();
      }
    }
  }
  shared.stop.write.Reset();
  sent_.Stop();
  // A write that the server does not take ends with the call, as the reading does.
  if (!shared.has_ended) attach.Cancel();
  output.join();
  if (input.joinable()) input.join();
  SessionEnd end;
  end.stream = attach.Finish();
  end.is_detached = shared.is_detached;
  end.fatal_signal = shared.fatal_signal;
  if (shared.has_exited) end.exit_code = shared.exit_code;
  // While the server is away the session goes on, and so does raw mode.
  const bool may_go_on = !end.is_detached && end.fatal_signal == 0 && !end.exit_code.has_value() &&
                         absl::IsUnavailable(end.stream);
  if (!may_go_on) raw_.reset();
  return end;
}

int EngineSession::Pause(absl::Duration time) {
  // A raw terminal turns no key into a signal. The key may have been typed just before.
  if (raw_.has_value() && sent_.Contains(kInterruptKey)) return SIGINT;
  pollfd fds[2] = {{signals_->ready().get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  // What is typed meanwhile is kept for the program.
  const nfds_t count = raw_.has_value() && !input_ended_ && !sent_.IsFull() ? 2 : 1;
  if (::poll(fds, count, static_cast<int>(absl::ToInt64Milliseconds(time))) <= 0) return 0;
  for (const int signal : signals_->Take()) {
    if (EndsPrograms(signal)) return signal;
  }
  if (count < 2 || fds[1].revents == 0) return 0;
  char buffer[256];
  const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof(buffer));
  if (size <= 0) return SIGHUP;  // the terminal went away
  sent_.Add(absl::string_view(buffer, static_cast<size_t>(size)));
  return sent_.Contains(kInterruptKey) ? SIGINT : 0;
}

}  // namespace berth::client

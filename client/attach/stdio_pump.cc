#include "client/attach/stdio_pump.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"

namespace berth::client {
namespace {

// The kernel's pipe size; more in one read is not to be had.
constexpr size_t kBufferBytes = 64 << 10;

}  // namespace

StdioPump::StdioPump(StdioEnds process, UserStdio user, PumpEvents events)
    : process_in_(std::move(process.in)), user_(user), events_(std::move(events)) {
  if (process.out.valid()) outputs_.push_back({std::move(process.out), user.out});
  if (process.err.valid()) outputs_.push_back({std::move(process.err), user.err});
  if (!process_in_.valid() || !user_.in.valid()) input_ended_ = true;
}

absl::Status StdioPump::Run(BorrowedFd exited, SignalPipe& signals, absl::Duration drain) {
  absl::Time give_up = absl::InfiniteFuture();
  for (;;) {
    const bool has_exited = give_up != absl::InfiniteFuture();
    const bool output_open = std::any_of(outputs_.begin(), outputs_.end(),
                                         [](const Output& o) { return o.source.valid(); });
    if (has_exited && (!output_open || absl::Now() >= give_up)) return absl::OkStatus();

    // A negative descriptor makes poll skip the entry.
    const bool reading = !input_ended_ && pending_input_.empty() && !has_exited;
    const bool writing = process_in_.valid() && !pending_input_.empty() && !has_exited;
    std::array<pollfd, 6> fds = {{
        {has_exited ? -1 : exited.get(), POLLIN, 0},
        {signals.ready().get(), POLLIN, 0},
        {reading ? user_.in.get() : -1, POLLIN, 0},
        {writing ? process_in_.get() : -1, POLLOUT, 0},
        {outputs_.size() > 0 ? outputs_[0].source.get() : -1, POLLIN, 0},
        {outputs_.size() > 1 ? outputs_[1].source.get() : -1, POLLIN, 0},
    }};
    const int timeout_ms =
        has_exited ? static_cast<int>(std::clamp<int64_t>(
                         absl::ToInt64Milliseconds(give_up - absl::Now()) + 1, 0, 60'000))
                   : -1;
    if (::poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "poll");
    }
    if (fds[1].revents != 0) {
      for (const int signal : signals.Take()) {
        if (events_.on_signal && events_.on_signal(signal) == Proceed::kGiveUp) {
          return absl::CancelledError("given up");
        }
      }
    }
    if (fds[2].revents != 0) ReadInput();
    if (fds[3].revents != 0) WriteInput();
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (fds[4 + i].revents != 0) ReadOutput(outputs_[i]);
    }
    if (fds[0].revents != 0) give_up = absl::Now() + drain;
  }
}

void StdioPump::ReadInput() {
  pending_input_.resize(kBufferBytes);
  const ssize_t count = ::read(user_.in.get(), pending_input_.data(), pending_input_.size());
  const int error = errno;
  pending_input_.resize(count > 0 ? static_cast<size_t>(count) : 0);
  if (count > 0) {
    WriteInput();
  } else if (count == 0 || (error != EAGAIN && error != EINTR)) {
    EndInput();  // also for a terminal that is gone
  }
}

void StdioPump::WriteInput() {
  const ssize_t count = ::write(process_in_.get(), pending_input_.data(), pending_input_.size());
  if (count > 0) {
    pending_input_.erase(0, static_cast<size_t>(count));
  } else if (errno != EAGAIN && errno != EINTR) {
    pending_input_.clear();
    EndInput();
  }
}

void StdioPump::EndInput() {
  if (input_ended_) return;
  input_ended_ = true;
  process_in_.Reset();
  if (events_.on_stdin_end) events_.on_stdin_end();
}

void StdioPump::ReadOutput(Output& output) {
  std::array<char, kBufferBytes> buffer;
  const ssize_t count = ::read(output.source.get(), buffer.data(), buffer.size());
  if (count > 0) {
    Deliver(output, absl::string_view(buffer.data(), static_cast<size_t>(count)));
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    output.source.Reset();
  }
}

void StdioPump::Deliver(Output& output, absl::string_view data) {
  // A full disk must not take the program's output from the terminal.
  if (user_.log.valid()) WriteAll(user_.log, data).IgnoreError();
  if (!output.sink.valid()) return;
  const absl::Status written = WriteAll(output.sink, data);
  if (written.ok()) return;
  if (ErrnoOf(written) == EPIPE && events_.on_output_lost) events_.on_output_lost();
  output.sink = BorrowedFd(-1);
}

}  // namespace berth::client

#include "client/attach/signal_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

// A signal handler gets no argument of ours, so that the pipe has to be found here.
std::atomic<int> g_pipe_write_fd = -1;

void OnSignal(int signal) {
  const int saved_errno = errno;
  const char byte = static_cast<char>(signal);
  // A full pipe holds enough signals already.
  [[maybe_unused]] const ssize_t count = ::write(g_pipe_write_fd.load(), &byte, 1);
  errno = saved_errno;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalPipe>> SignalPipe::Open(const std::vector<int>& signals) {
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe(O_NONBLOCK));
  auto result = std::unique_ptr<SignalPipe>(new SignalPipe(std::move(pipe)));
  int none = -1;
  BERTH_CHECK(g_pipe_write_fd.compare_exchange_strong(none, result->pipe_.write.get()));
  for (const int signal : signals) {
    struct sigaction action = {};
    struct sigaction former = {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(signal, &action, &former) != 0) return ErrnoStatus(errno, "sigaction");
    result->saved_.emplace_back(signal, former);
  }
  return result;
}

SignalPipe::~SignalPipe() {
  for (const auto& [signal, former] : saved_) ::sigaction(signal, &former, nullptr);
  g_pipe_write_fd.store(-1);
}

std::vector<int> SignalPipe::Take() {
  std::vector<int> signals;
  char bytes[64];
  ssize_t count = 0;
  while ((count = ::read(pipe_.read.get(), bytes, sizeof(bytes))) > 0) {
    for (ssize_t i = 0; i < count; ++i) signals.push_back(bytes[i]);
  }
  return signals;
}

}  // namespace berth::client

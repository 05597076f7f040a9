// Signals as bytes in a pipe, for a poll loop.
//
// signalfd would need the signals blocked in every thread, gRPC's included, and so also while an
// image is unpacked, when ctrl-C must simply end the program. Handlers have no such need.
// Invariant: while a SignalPipe exists, the listed signals do nothing but appear in it; afterwards
// the former handlers are back. At most one exists at a time. Thread-hostile; owned by the attach
// session.
#ifndef BERTH_CLIENT_ATTACH_SIGNAL_PIPE_H_
#define BERTH_CLIENT_ATTACH_SIGNAL_PIPE_H_

#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/os/fd_factories.h"

namespace berth::client {

class SignalPipe {
 public:
  static absl::StatusOr<std::unique_ptr<SignalPipe>> Open(const std::vector<int>& signals);
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  // Readable when a signal came.
  BorrowedFd ready() const { return pipe_.read; }
  // The signals that came, oldest first; empty when none did.
  std::vector<int> Take();

 private:
  explicit SignalPipe(Pipe pipe) : pipe_(std::move(pipe)) {}

  const Pipe pipe_;
  std::vector<std::pair<int, struct sigaction>> saved_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_SIGNAL_PIPE_H_

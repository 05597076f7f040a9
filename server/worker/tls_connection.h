// One client of the TLS door: the handshake, then a relay between its TCP connection and a socket
// on which berthd serves it in the clear.
//
// Invariant: no byte of the client's reaches the socket, and nobody is given the socket, before the
// handshake succeeded. Loop-only; owned by the door, which destroys it after on_end.
#ifndef BERTH_SERVER_WORKER_TLS_CONNECTION_H_
#define BERTH_SERVER_WORKER_TLS_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/tls/tls_relay.h"
#include "server/worker/tls_identity.h"

namespace berth::worker {

class TlsConnection {
 public:
  static constexpr absl::Duration kHandshakePatience = absl::Seconds(10);

  struct Events {
    // The handshake is done: `socket` is berthd's end. Counts as opened, also when it returns an
    // error, which ends the connection.
    absl::AnyInvocable<absl::Status(UniqueFd socket, std::string subject)> on_open;
    // Once, last; `why` is not OK where the client was turned away. Called by the connection, which
    // is not to be destroyed before it returns.
    absl::AnyInvocable<void(absl::Status why)> on_end;
  };
  // `loop` and `identity` outlive it. `tcp` is connected and non-blocking.
  TlsConnection(Loop& loop, const TlsIdentity& identity, UniqueFd tcp, Events events);
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Begins the handshake. Calls nothing before it returns.
  absl::Status Start();
  // The handshake succeeded, also when it has ended since.
  bool opened() const { return opened_; }

 private:
  void OnReady();
  absl::Status Shake();
  absl::Status Open();
  absl::Status DescribeFailure() const;
  void End(absl::Status why);

  Loop& loop_;
  Events events_;
  UniqueFd tcp_;
  TlsSession ssl_;
  bool opened_ = false;
  bool ended_ = false;
  TimerId deadline_ = TimerId::kNone;
  FdWatch tcp_watch_;
  std::unique_ptr<TlsRelay> relay_;  // after the handshake
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_TLS_CONNECTION_H_

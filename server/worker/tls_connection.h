// One client of the TLS door: the handshake, then bytes both ways between its TCP connection and a
// socket on which berthd serves it in the clear.
//
// Invariant: no byte of the client's reaches the socket, and nobody is given the socket, before the
// handshake succeeded; each direction holds at most one buffer, so that a slow side slows the
// other. Loop-only; owned by the door, which destroys it after on_end.
#ifndef BERTH_SERVER_WORKER_TLS_CONNECTION_H_
#define BERTH_SERVER_WORKER_TLS_CONNECTION_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
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
  struct FreeSsl {
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  };
  // One direction's bytes between their arrival and their departure.
  struct Buffer {
    std::vector<char> bytes;
    size_t begin = 0;
    size_t end = 0;
    bool over = false;  // no more will come
    bool empty() const { return begin == end; }
  };

  void OnReady();
  absl::Status Shake();
  absl::Status Open();
  bool open() const { return local_.valid(); }
  void Relay();
  bool ReadClient();  // these four: something moved
  bool WriteClient();
  bool ReadServer();
  bool WriteServer();
  // What OpenSSL waits for; false: nothing, its side is over.
  bool AwaitsTls(int result);
  absl::Status Await();
  absl::Status DescribeFailure() const;
  void End(absl::Status why);

  Loop& loop_;
  Events events_;
  UniqueFd tcp_;
  UniqueFd local_;  // our end of berthd's socket; invalid before the handshake is done
  std::unique_ptr<SSL, FreeSsl> ssl_;
  Buffer up_;    // to berthd
  Buffer down_;  // to the client
  bool tls_wants_write_ = false;
  bool tls_wants_read_ = false;
  bool opened_ = false;
  bool tls_pending_ = false;  // it stopped for the others' sake
  bool ended_ = false;
  TimerId deadline_ = TimerId::kNone;  // of the handshake; later, of its next turn
  FdWatch tcp_watch_;
  FdWatch local_watch_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_TLS_CONNECTION_H_

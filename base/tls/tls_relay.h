// Bytes both ways between a TLS session on a TCP connection and a local stream socket that speaks
// in the clear, from after the handshake until one side has ended and what it said is passed on.
//
// Invariant: each direction holds at most one buffer, so that a slow side slows the other. Loop-
// only; owned by whoever made the session, who destroys it after on_end.
#ifndef BERTH_BASE_TLS_TLS_RELAY_H_
#define BERTH_BASE_TLS_TLS_RELAY_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth {

struct FreeSsl {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
};
using TlsSession = std::unique_ptr<SSL, FreeSsl>;

class TlsRelay {
 public:
  // `ssl` has done its handshake on `tcp`, which does not block, as `local` does not. `on_end` is
  // called once, last, and not before Start has returned.
  TlsRelay(Loop& loop, TlsSession ssl, UniqueFd tcp, UniqueFd local,
           absl::AnyInvocable<void()> on_end);
  ~TlsRelay();
  TlsRelay(const TlsRelay&) = delete;
  TlsRelay& operator=(const TlsRelay&) = delete;

  absl::Status Start();

 private:
  // One direction's bytes between their arrival and their departure.
  struct Buffer {
    std::vector<char> bytes;
    size_t begin = 0;
    size_t end = 0;
    bool over = false;  // no more will come
    bool empty() const { return begin == end; }
  };

  void OnReady();
  void Relay();
  bool ReadTls();  // these four: something moved
  bool WriteTls();
  bool ReadLocal();
  bool WriteLocal();
  // What OpenSSL waits for; false: nothing, its side is over.
  bool AwaitsTls(int result);
  absl::Status Await();
  void End();

  Loop& loop_;
  absl::AnyInvocable<void()> on_end_;
  UniqueFd tcp_;
  UniqueFd local_;
  TlsSession ssl_;
  Buffer in_;   // from TLS
  Buffer out_;  // to TLS
  bool tls_wants_write_ = false;
  bool tls_wants_read_ = false;
  bool tls_pending_ = false;  // it stopped for the others' sake
  bool ended_ = false;
  TimerId turn_ = TimerId::kNone;
  FdWatch tcp_watch_;
  FdWatch local_watch_;
};

}  // namespace berth

#endif  // BERTH_BASE_TLS_TLS_RELAY_H_

// The TLS door, berth-worker's third kind of process: accepts clients on berthd's TCP socket,
// checks their certificates, and hands berthd a socket for each that may come in.
//
// Why a process of its own: what a stranger sends before the handshake is done, and the server's
// key, are then outside of the one that is root over every container; and berthd needs no TLS.
//
// Invariants: at most kMaxConnections clients, of which kMaxHandshakes have not shown anything yet;
// more wait in the listener's backlog. Nothing is opened, made or connected to after Confine.
// Loop-only; owned by worker_main. The messages are described in docs/formats/worker.md.
#ifndef BERTH_SERVER_WORKER_TLS_DOOR_H_
#define BERTH_SERVER_WORKER_TLS_DOOR_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "server/worker/tls_connection.h"
#include "server/worker/tls_identity.h"

namespace berth::worker {

class TlsDoor {
 public:
  static constexpr size_t kMaxConnections = 1024;
  static constexpr size_t kMaxHandshakes = 128;
  // Clients that are turned away are told of no more often.
  static constexpr absl::Duration kTellEach = absl::Seconds(1);
  // How long what berthd said last may take to reach the clients, once it has no more clients.
  static constexpr absl::Duration kLeavePatience = absl::Seconds(1);

  // `loop` outlives it. `control`: a SOCK_SEQPACKET to berthd; `listener` is non-blocking.
  TlsDoor(Loop& loop, TlsIdentity identity, UniqueFd control, UniqueFd listener);

  // Tells berthd that the door is open, and accepts. Errors: those of the control socket.
  absl::Status Open();

 private:
  absl::Status Tell(char kind, absl::string_view text, BorrowedFd socket = BorrowedFd(-1));
  void Accept();
  void Leave();
  void Take(UniqueFd tcp, std::string peer);
  void OnEnd(uint64_t number, const std::string& peer, const absl::Status& why);
  void SetAccepting();
  bool full() const { return connections_.size() >= kMaxConnections || shaking_ >= kMaxHandshakes; }

  Loop& loop_;
  const TlsIdentity identity_;
  const UniqueFd control_;
  UniqueFd listener_;
  FdWatch control_watch_;
  FdWatch listener_watch_;
  bool exhausted_ = false;  // no descriptor was left; the timer tries again
  bool leaving_ = false;
  uint64_t next_ = 1;
  size_t shaking_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<TlsConnection>> connections_;
  absl::Time told_ = absl::InfinitePast();
  size_t untold_ = 0;
};

// The process: descriptors 3 to 7 are the control socket, the listener, and the clients' authority,
// the server's certificate and its key as files. When berthd closes its end, or half of it, nobody
// is accepted any more; returns when the clients have gone, or an error that berthd was told.
absl::Status ServeTlsDoor(absl::string_view client_name);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_TLS_DOOR_H_

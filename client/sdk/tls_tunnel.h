// A door on this side: an abstract unix socket of this process, each connection to which goes
// through TLS to the server. gRPC, linked without TLS, connects to it as to any local server, again
// too when the server was away.
//
// Invariant: only this process is served (SO_PEERCRED): to others the socket, which has no mode, is
// shut. Thread-safe; owned by the connection; its thread ends with it.
#ifndef BERTH_CLIENT_SDK_TLS_TUNNEL_H_
#define BERTH_CLIENT_SDK_TLS_TUNNEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"
#include "base/tls/tls_relay.h"
#include "client/sdk/tls_dialer.h"

namespace berth::client {

class TlsTunnel {
 public:
  // Connects once, so that what is wrong is told now; that connection serves the first client.
  // Blocks. Errors: as TlsDialer::Dial.
  static absl::StatusOr<std::unique_ptr<TlsTunnel>> Open(TlsDialer dialer);
  ~TlsTunnel();
  TlsTunnel(const TlsTunnel&) = delete;
  TlsTunnel& operator=(const TlsTunnel&) = delete;

  // For gRPC: "unix-abstract:00a1f".
  const std::string& target() const { return target_; }
  // Why the server could not be reached the last time; OK where it could.
  absl::Status last_dial() const;

 private:
  TlsTunnel(TlsDialer dialer, TlsConnectionToServer first)
      : dialer_(std::move(dialer)), first_(std::move(first)) {}
  absl::Status Start();
  void Accept();
  absl::Status Serve(UniqueFd local);
  absl::StatusOr<TlsConnectionToServer> NextConnection();

  const TlsDialer dialer_;
  std::string target_;
  mutable Mutex mutex_;
  absl::Status last_dial_ ABSL_GUARDED_BY(mutex_);
  // The rest is the loop's, once it runs.
  std::optional<TlsConnectionToServer> first_;
  std::unique_ptr<Loop> loop_;
  UniqueFd listener_;
  FdWatch listener_watch_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::unique_ptr<TlsRelay>> relays_;
  std::thread thread_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TLS_TUNNEL_H_

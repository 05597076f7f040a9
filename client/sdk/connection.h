// A channel to berthd (or any server of containerd's API) together with the namespace and the lease
// that its calls carry.
//
// Invariant: every call made through one Connection carries the same `containerd-namespace` header,
// and the `containerd-lease` header when a lease is set. Copies share the channel. Thread-safe;
// whoever opened it owns it.
#ifndef BERTH_CLIENT_SDK_CONNECTION_H_
#define BERTH_CLIENT_SDK_CONNECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/sdk/tls_files.h"

namespace grpc {
class ClientContext;
class Status;
}  // namespace grpc

namespace berth::client {

struct Stubs;  // client/sdk/stubs.h, for this folder's sources only

struct ConnectionOptions {
  std::string address;  // as ParseServerAddress reads it
  std::string ns;
  std::optional<TlsFiles> tls = std::nullopt;  // for TCP; without it that is spoken in the clear
  std::function<void(absl::string_view)> warn = nullptr;
};

class Connection {
 public:
  // Connects once to learn early why the server cannot be reached. Errors: UNAVAILABLE with the
  // address, the cause and what to do.
  static absl::StatusOr<Connection> Open(const ConnectionOptions& options);

  const std::string& ns() const { return ns_; }
  // As a user writes it.
  const std::string& address() const;
  // As gRPC takes it, for a further channel.
  const std::string& target() const;
  // OK where the server sees this machine's files and pipes; else FAILED_PRECONDITION, saying that
  // `command` needs that and what to do instead.
  absl::Status RequireSameMachine(absl::string_view command) const;

  // After a call that was UNAVAILABLE: returns when the server is there again, or after `patience`.
  // Calls that fail at once bring no connection about: gRPC looks at one only while somebody waits.
  void AwaitServer(absl::Duration patience) const;

  Connection WithLease(std::string lease) const;
  Connection WithNamespace(std::string ns) const;

  // For the typed clients of this folder.
  const Stubs& stubs() const;
  void Prepare(grpc::ClientContext& context, absl::Duration timeout) const;
  absl::Status ToStatus(const grpc::Status& status) const;

 private:
  struct Shared;

  std::shared_ptr<const Shared> shared_;
  std::string ns_;
  std::string lease_;
};

// Longest time that a call without an end of its own (Wait, streams) may take. Unpacking a large
// layer on a slow disk is the call that needs it.
inline constexpr absl::Duration kCallTimeout = absl::Minutes(30);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_CONNECTION_H_

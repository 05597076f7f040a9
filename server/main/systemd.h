// The two protocols of a service manager: readiness, and sockets that it hands over. A daemon that
// makes place for its successor hands over its sockets in the same way.
//
// Without a service manager (no variables in the environment) every function does nothing and
// succeeds. Thread-hostile: reads and changes the environment; called by main before threads start,
// but for Notify, which is thread-safe.
#ifndef BERTH_SERVER_MAIN_SYSTEMD_H_
#define BERTH_SERVER_MAIN_SYSTEMD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

class ServiceManager {
 public:
  // Takes NOTIFY_SOCKET out of the environment, so that no child speaks for us.
  static ServiceManager FromEnvironment();
  // For tests: `notify_socket` may be empty.
  explicit ServiceManager(absl::string_view notify_socket) : notify_socket_(notify_socket) {}

  // Sends `state`: "READY=1", "STOPPING=1", each optionally with "\nSTATUS=...".
  absl::Status Notify(absl::string_view state) const;
  // For a successor's environment; empty: none.
  const std::string& notify_socket() const { return notify_socket_; }

 private:
  std::string notify_socket_;
};

struct InheritedSocket {
  UniqueFd fd;       // listening, non-blocking, CLOEXEC
  std::string path;  // where it is bound: a path, or a numeric host and port
};

// The variable in which a daemon tells its successor, instead of LISTEN_PID, who hands over.
inline constexpr char kHandoverVariable[] = "BERTH_HANDOVER_FROM";

// The sockets of LISTEN_FDS, when LISTEN_PID means this process or the parent hands over; the
// variables are removed. Errors: INVALID_ARGUMENT for a descriptor that is no listening unix or TCP
// socket.
absl::StatusOr<std::vector<InheritedSocket>> TakeInheritedSockets();

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_SYSTEMD_H_

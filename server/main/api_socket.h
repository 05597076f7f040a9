// The listening unix socket of the API, and the loop that accepts on it.
//
// Berth accepts itself and hands connected descriptors to gRPC, because gRPC's own listener
// replaces a socket that another server is serving, and leaves it open to everybody.
#ifndef BERTH_SERVER_MAIN_API_SOCKET_H_
#define BERTH_SERVER_MAIN_API_SOCKET_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/log/logger.h"
#include "base/os/unique_fd.h"

namespace berth {

struct SocketOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Binds and listens at `path`, mode 0660, owned by `owner`; missing parent directories are made.
// What a dead server left at `path` is replaced. Errors: FAILED_PRECONDITION when somebody serves
// there, with their pid, or when `path` is no socket.
absl::StatusOr<UniqueFd> BindSocket(absl::string_view path, SocketOwner owner);

// The number of a group by name. Errors: NOT_FOUND.
absl::StatusOr<gid_t> FindGroup(absl::string_view name);

// Accepts on one thread. On a unix socket each peer's credentials are read at once; who may not use
// the API is turned away before a byte of theirs is read: the kernel checked the socket's mode when
// they connected, and this holds the line should somebody widen it. On TCP everybody may: see
// tcp_door.h. Thread-compatible; Stop() ends the thread.
class Acceptor {
 public:
  enum class Transport { kUnix, kTcp };
  struct Listener {
    UniqueFd fd;
    Transport transport = Transport::kUnix;
  };
  struct Peer {
    pid_t pid = 0;
    uid_t uid = 0;
  };
  // Called on the accepting thread with a connected, non-blocking socket.
  using OnConnection = std::function<void(UniqueFd socket)>;

  // `log` must outlive this.
  Acceptor(std::vector<Listener> listeners, SocketOwner owner, const Logger& log,
           OnConnection on_connection);
  ~Acceptor();
  absl::Status Start();
  // Idempotent. Blocks until the thread has ended; waiting clients stay in the listener's backlog.
  void Stop();
  // Of every listener, for a successor. Requires: stopped.
  std::vector<Listener> TakeListeners();

 private:
  void Run();
  void AcceptFrom(const Listener& listener);
  bool MayConnect(BorrowedFd socket, Peer& peer) const;

  std::vector<Listener> listeners_;
  const SocketOwner owner_;
  const Logger& log_;
  const OnConnection on_connection_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::thread thread_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_API_SOCKET_H_

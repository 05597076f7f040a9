#include "server/main/api_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn
constexpr mode_t kSocketMode = 0660;
constexpr int kRetryAfterExhaustionMs = 100;

// Errors when something other than a dead server's socket stands at `path`.
absl::Status CheckFree(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "lstat", path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "\"", path, "\" exists and is no socket: remove it, or choose another --address"));
  }
  const auto connection = ConnectUnix(path);
  if (!connection.ok()) return absl::OkStatus();
  struct ucred peer = {};
  socklen_t size = sizeof(peer);
  (void)::getsockopt(connection->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);  // pid stays 0
  return absl::FailedPreconditionError(
      absl::StrCat("\"", path, "\" is served by another process (pid ", peer.pid,
                   "): stop that one, or choose another --address"));
}

bool IsMember(BorrowedFd socket, gid_t gid, gid_t peer_gid) {
  if (peer_gid == gid) return true;
  std::vector<gid_t> groups(256);
  socklen_t size = groups.size() * sizeof(gid_t);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) {
    return false;
  }
  groups.resize(size / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

}  // namespace

absl::StatusOr<UniqueFd> BindSocket(absl::string_view path, SocketOwner owner) {
  const std::string name(path);
  const size_t slash = name.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    BERTH_RETURN_IF_ERROR(EnsureDirectory(name.substr(0, slash), 0711));
  }
  BERTH_RETURN_IF_ERROR(CheckFree(name));
  BERTH_ASSIGN_OR_RETURN(UniqueFd socket, ListenUnix(name, kSocketMode, kBacklog));
  if (owner.uid != ::geteuid() || owner.gid != ::getegid()) {
    if (::chown(name.c_str(), owner.uid, owner.gid) != 0) return ErrnoStatus(errno, "chown", name);
  }
  return socket;
}

absl::StatusOr<gid_t> FindGroup(absl::string_view name) {
  const std::string group(name);
  std::vector<char> buffer(64 << 10);
  struct group entry;
  struct group* found = nullptr;
  const int error = ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) return ErrnoStatus(error, "getgrnam_r", name);
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no group \"", name,
                                            "\": make it with groupadd, or change grpc.group"));
  }
  return entry.gr_gid;
}

Acceptor::Acceptor(std::vector<Listener> listeners, SocketOwner owner, const Logger& log,
                   OnConnection on_connection)
    : listeners_(std::move(listeners)),
      owner_(owner),
      log_(log),
      on_connection_(std::move(on_connection)) {}

Acceptor::~Acceptor() { Stop(); }

absl::Status Acceptor::Start() {
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  stop_read_ = std::move(pipe.read);
  stop_write_ = std::move(pipe.write);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Acceptor::Stop() {
  stop_write_.Reset();  // the thread sees the end of the pipe
  if (thread_.joinable()) thread_.join();
}

std::vector<Acceptor::Listener> Acceptor::TakeListeners() { return std::exchange(listeners_, {}); }

void Acceptor::Run() {
  ::pthread_setname_np(::pthread_self(), "accept");
  std::vector<struct pollfd> polled;
  polled.push_back({stop_read_.get(), POLLIN, 0});
  for (const Listener& listener : listeners_) polled.push_back({listener.fd.get(), POLLIN, 0});
  while (true) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      log_.Error("the accepting thread ends", {{"error", ErrnoStatus(errno, "poll")}});
      return;
    }
    if (polled[0].revents != 0) return;
    for (size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents != 0) AcceptFrom(listeners_[i - 1]);
    }
  }
}

void Acceptor::AcceptFrom(const Listener& listener) {
  UniqueFd socket(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    const int error = errno;
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED) return;
    // Out of descriptors or memory: the client stays in the backlog; give others time to let go.
    log_.Warning("cannot accept a client for now", {{"error", ErrnoStatus(error, "accept4")}});
    struct pollfd stop = {stop_read_.get(), POLLIN, 0};
    (void)::poll(&stop, 1, kRetryAfterExhaustionMs);  // either way the caller looks again
    return;
  }
  if (listener.transport == Transport::kTcp) {
    on_connection_(std::move(socket));
    return;
  }
  Peer peer;
  if (!MayConnect(socket, peer)) {
    log_.Warning("turned a client away: neither root nor in the socket's group",
                 {{"pid", peer.pid}, {"uid", peer.uid}});
    return;
  }
  log_.Trace("client connected", {{"pid", peer.pid}, {"uid", peer.uid}});
  on_connection_(std::move(socket));
}

bool Acceptor::MayConnect(BorrowedFd socket, Peer& peer) const {
  struct ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
  peer = {credentials.pid, credentials.uid};
  return credentials.uid == 0 || credentials.uid == ::geteuid() || credentials.uid == owner_.uid ||
         IsMember(socket, owner_.gid, credentials.gid);
}

}  // namespace berth

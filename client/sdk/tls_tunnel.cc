#include "client/sdk/tls_tunnel.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

constexpr absl::Duration kDialPatience = absl::Seconds(20);
constexpr int kBacklog = 16;

bool IsThisProcess(BorrowedFd socket) {
  struct ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.pid == ::getpid();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsTunnel>> TlsTunnel::Open(TlsDialer dialer) {
  BERTH_ASSIGN_OR_RETURN(TlsConnectionToServer first, dialer.Dial(absl::Now() + kDialPatience));
  std::unique_ptr<TlsTunnel> tunnel(new TlsTunnel(std::move(dialer), std::move(first)));
  BERTH_RETURN_IF_ERROR(tunnel->Start()) << "make the local end of the TLS connection";
  return tunnel;
}

TlsTunnel::~TlsTunnel() {
  if (!thread_.joinable()) return;
  loop_->Stop();
  thread_.join();
}

absl::Status TlsTunnel::Start() {
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.valid()) return ErrnoStatus(errno, "socket");
  // Without a name the kernel chooses one that is free, in the abstract namespace.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, sizeof(sa_family_t)) != 0) return ErrnoStatus(errno, "bind");
  socklen_t size = sizeof(address);
  if (::getsockname(listener_.get(), generic, &size) != 0) {
    return ErrnoStatus(errno, "getsockname");
  }
  if (::listen(listener_.get(), kBacklog) != 0) return ErrnoStatus(errno, "listen");
  const size_t begin = offsetof(sockaddr_un, sun_path) + 1;
  target_ = absl::StrCat("unix-abstract:", absl::string_view(address.sun_path + 1, size - begin));
  BERTH_ASSIGN_OR_RETURN(loop_, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(listener_watch_,
                         loop_->Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); }));
  thread_ = std::thread([this] { (void)loop_->Run(); });
  return absl::OkStatus();
}

absl::Status TlsTunnel::last_dial() const {
  MutexLock lock(&mutex_);
  return last_dial_;
}

// Dialing again holds the other connections up. It happens when the server was lost, and they with
// it, or at once, before anything else is under way.
absl::StatusOr<TlsConnectionToServer> TlsTunnel::NextConnection() {
  if (first_.has_value()) {
    TlsConnectionToServer first = *std::move(first_);
    first_.reset();
    return first;
  }
  absl::StatusOr<TlsConnectionToServer> dialed = dialer_.Dial(absl::Now() + kDialPatience);
  MutexLock lock(&mutex_);
  last_dial_ = dialed.status();
  return dialed;
}

void TlsTunnel::Accept() {
  UniqueFd local(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!local.valid() || !IsThisProcess(local)) return;
  // gRPC sees the end of the connection, and tells of it; why is in last_dial.
  (void)Serve(std::move(local));
}

absl::Status TlsTunnel::Serve(UniqueFd local) {
  BERTH_ASSIGN_OR_RETURN(TlsConnectionToServer connection, NextConnection());
  const uint64_t number = next_++;
  auto relay = std::make_unique<TlsRelay>(
      *loop_, std::move(connection.ssl), std::move(connection.tcp), std::move(local),
      // It is the caller.
      [this, number] { loop_->Post([this, number] { relays_.erase(number); }); });
  BERTH_RETURN_IF_ERROR(relay->Start());
  relays_.emplace(number, std::move(relay));
  return absl::OkStatus();
}

}  // namespace berth::client

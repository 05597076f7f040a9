#include "server/worker/tls_door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/worker/confinement.h"
#include "server/worker/door_messages.h"

namespace berth::worker {
namespace {

constexpr int kControlFd = 3;
constexpr int kListenerFd = 4;
constexpr int kAuthorityFd = 5;
constexpr int kCertificateFd = 6;
constexpr int kKeyFd = 7;
constexpr size_t kMaxPemBytes = 1u << 20;
constexpr absl::Duration kRetryAfterExhaustion = absl::Milliseconds(100);

std::string PeerName(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* ip = reinterpret_cast<const sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &ip->sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(ip->sin_port));
  }
  const auto* ip = reinterpret_cast<const sockaddr_in6*>(&address);
  ::inet_ntop(AF_INET6, &ip->sin6_addr, text, sizeof(text));
  return absl::StrCat("[", text, "]:", ntohs(ip->sin6_port));
}

absl::StatusOr<TlsIdentity> ReadIdentity(absl::string_view client_name) {
  TlsMaterial material;
  const UniqueFd ca(kAuthorityFd), certificate(kCertificateFd), key(kKeyFd);
  BERTH_ASSIGN_OR_RETURN(material.ca, ReadAll(ca, kMaxPemBytes));
  BERTH_ASSIGN_OR_RETURN(material.certificate, ReadAll(certificate, kMaxPemBytes));
  BERTH_ASSIGN_OR_RETURN(material.key, ReadAll(key, kMaxPemBytes));
  material.client_name = std::string(client_name);
  return TlsIdentity::Make(material);
}

}  // namespace

TlsDoor::TlsDoor(Loop& loop, TlsIdentity identity, UniqueFd control, UniqueFd listener)
    : loop_(loop),
      identity_(std::move(identity)),
      control_(std::move(control)),
      listener_(std::move(listener)) {}

absl::Status TlsDoor::Open() {
  BERTH_ASSIGN_OR_RETURN(control_watch_,
                         loop_.Watch(control_, EPOLLRDHUP, [this](uint32_t) { Leave(); }));
  BERTH_ASSIGN_OR_RETURN(listener_watch_,
                         loop_.Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); }));
  return Tell(kDoorOpen, "");
}

absl::Status TlsDoor::Tell(char kind, absl::string_view text, BorrowedFd socket) {
  return SendDoorMessage(control_, kind, text, socket);
}

void TlsDoor::Accept() {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  UniqueFd tcp(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!tcp.valid()) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Out of descriptors or memory: clients stay in the backlog until others have let go.
    exhausted_ = true;
    SetAccepting();
    loop_.After(kRetryAfterExhaustion, [this] {
      exhausted_ = false;
      SetAccepting();
    });
    return;
  }
  Take(std::move(tcp), PeerName(address));
}

// berthd ends, and with it the sockets of its clients; or another one is to have the listener.
void TlsDoor::Leave() {
  leaving_ = true;
  control_watch_.Reset();
  listener_watch_.Reset();
  listener_.Reset();
  for (auto it = connections_.begin(); it != connections_.end();) {
    const auto connection = it++;
    if (connection->second->opened()) continue;
    --shaking_;
    connections_.erase(connection);
  }
  if (connections_.empty()) return loop_.Stop();
  loop_.After(kLeavePatience, [this] { loop_.Stop(); });
}

void TlsDoor::Take(UniqueFd tcp, std::string peer) {
  const uint64_t number = next_++;
  TlsConnection::Events events;
  events.on_open = [this](UniqueFd socket, std::string subject) {
    --shaking_;
    SetAccepting();
    return Tell(kDoorClient, subject, socket);
  };
  events.on_end = [this, number, peer](const absl::Status& why) {
    // It is the caller.
    loop_.Post([this, number, peer, why] { OnEnd(number, peer, why); });
  };
  auto connection =
      std::make_unique<TlsConnection>(loop_, identity_, std::move(tcp), std::move(events));
  const absl::Status started = connection->Start();
  if (!started.ok()) return;  // out of memory: closing it says as much
  connections_.emplace(number, std::move(connection));
  ++shaking_;
  SetAccepting();
}

void TlsDoor::OnEnd(uint64_t number, const std::string& peer, const absl::Status& why) {
  const auto found = connections_.find(number);
  if (found == connections_.end()) return;
  if (!found->second->opened()) --shaking_;
  connections_.erase(found);
  SetAccepting();
  if (leaving_ && connections_.empty()) loop_.Stop();
  if (why.ok()) return;
  ++untold_;
  if (absl::Now() - told_ < kTellEach) return;
  told_ = absl::Now();
  const std::string others =
      untold_ > 1 ? absl::StrCat(" (and ", untold_ - 1, " more since the last word)") : "";
  // Where berthd does not listen, it hears of the next one.
  if (Tell(kDoorTurnedAway, absl::StrCat(peer, ": ", why.message(), others)).ok()) untold_ = 0;
}

void TlsDoor::SetAccepting() {
  if (leaving_) return;
  const absl::Status status =
      listener_watch_.SetEvents(full() || exhausted_ ? 0u : uint32_t{EPOLLIN});
  if (!status.ok()) loop_.Stop();  // a door that cannot be opened again: berthd starts another
}

absl::Status ServeTlsDoor(absl::string_view client_name) {
  UniqueFd control(kControlFd);
  UniqueFd listener(kListenerFd);
  // No core, and no other process of this user's, may show the key.
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const auto fail = [&](const absl::Status& status) {
    (void)SendDoorMessage(control, kDoorShut, status.message(), BorrowedFd(-1));
    return status;
  };
  absl::StatusOr<TlsIdentity> identity = ReadIdentity(client_name);
  if (!identity.ok()) return fail(identity.status());
  absl::StatusOr<std::unique_ptr<Loop>> loop = Loop::Create();
  if (!loop.ok()) return fail(loop.status());
  Reach reach;
  reach.network = Reach::Network::kAccepting;
  const absl::Status confined = Confine(reach);
  if (!confined.ok()) return fail(confined);
  TlsDoor door(**loop, *std::move(identity), std::move(control), std::move(listener));
  BERTH_RETURN_IF_ERROR(door.Open());
  return (*loop)->Run();
}

}  // namespace berth::worker

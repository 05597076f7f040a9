#include "shim/io/attach_server.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/attach/attach.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::io {
namespace {

constexpr int kBacklog = 16;
// For descriptors to become free; the connection waits in the backlog meanwhile.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<std::unique_ptr<AttachServer>> AttachServer::Start(Loop& loop,
                                                                  absl::string_view bundle,
                                                                  FindHub find_hub) {
  std::unique_ptr<AttachServer> server(new AttachServer(loop, std::move(find_hub)));
  BERTH_ASSIGN_OR_RETURN(
      UniqueFd listener,
      ListenUnix(absl::StrCat(bundle, "/", attach::kSocketName), 0600, kBacklog));
  BERTH_RETURN_IF_ERROR(server->Listen(std::move(listener)));
  return server;
}

absl::Status AttachServer::Listen(UniqueFd listener) {
  listener_ = std::move(listener);
  BERTH_ASSIGN_OR_RETURN(watch_, loop_.Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); }));
  return absl::OkStatus();
}

void AttachServer::Save(handover::Packer& packer, berth::shim::v1::AttachServerState& state) const {
  state.set_listener(packer.Pack(listener_));
  packer.Count(watch_);
  packer.Count(pause_);
  for (const Greeting& greeting : greetings_) {
    auto& saved = *state.add_greetings();
    saved.set_socket(packer.Pack(greeting.socket));
    saved.set_bytes(greeting.bytes);
    saved.set_left(packer.Count(greeting.timer));
    packer.Count(greeting.watch);
  }
}

absl::StatusOr<std::unique_ptr<AttachServer>> AttachServer::Resume(
    Loop& loop, const berth::shim::v1::AttachServerState& state, handover::Unpacker& unpacker,
    FindHub find_hub) {
  constexpr char kWhat[] = "the attach socket";
  std::unique_ptr<AttachServer> server(new AttachServer(loop, std::move(find_hub)));
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener,
                         unpacker.Take(state.listener(), handover::Kind::kSocket, kWhat));
  BERTH_RETURN_IF_ERROR(server->Listen(std::move(listener)));
  for (const auto& saved : state.greetings()) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd socket,
                           unpacker.Take(saved.socket(), handover::Kind::kSocket, kWhat));
    BERTH_RETURN_IF_ERROR(
        server->Greet(std::move(socket), saved.bytes(), absl::Nanoseconds(saved.left())));
  }
  return server;
}

// Listens to one that has connected, for `limit` at most.
absl::Status AttachServer::Greet(UniqueFd socket, std::string bytes, absl::Duration limit) {
  const Place greeting = greetings_.insert(
      greetings_.end(), Greeting{.socket = std::move(socket), .bytes = std::move(bytes)});
  auto watch =
      loop_.Watch(greeting->socket, EPOLLIN, [this, greeting](uint32_t) { Read(greeting); });
  if (!watch.ok()) {
    Drop(greeting);
    return watch.status();
  }
  greeting->watch = *std::move(watch);
  greeting->timer = loop_.After(limit, [this, greeting] { Drop(greeting); });
  if (greetings_.size() >= kMaxGreeting) (void)watch_.SetEvents(0);
  return absl::OkStatus();
}

AttachServer::~AttachServer() {
  loop_.Cancel(pause_);
  for (const Greeting& greeting : greetings_) loop_.Cancel(greeting.timer);
}

void AttachServer::Accept() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // EMFILE and its like stay until something is closed, and the connection stays readable.
    (void)watch_.SetEvents(0);
    pause_ = loop_.After(kAcceptPause, [this] { (void)watch_.SetEvents(EPOLLIN); });
    return;
  }
  // One that cannot be listened to is closed, which it sees.
  Greet(std::move(socket), "", kHelloTimeout).IgnoreError();
}

void AttachServer::Read(Place greeting) {
  char buffer[attach::kHelloBytes + attach::kMaxExecIdBytes];
  const ssize_t got = ::recv(greeting->socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return Drop(greeting);
  greeting->bytes.append(buffer, got);
  auto hello = attach::TakeHello(greeting->bytes);
  if (hello.ok() && !hello->has_value()) return;
  greeting->watch.Reset();
  UniqueFd socket = std::move(greeting->socket);
  std::string early = std::move(greeting->bytes);
  Drop(greeting);
  if (!hello.ok()) return AttachHub::Refuse(std::move(socket), hello.status().message());
  const absl::StatusOr<AttachHub*> hub = find_hub_((*hello)->exec_id);
  if (!hub.ok()) return AttachHub::Refuse(std::move(socket), hub.status().message());
  (*hub)->Add(std::move(socket), **hello, std::move(early));
}

void AttachServer::Drop(Place greeting) {
  loop_.Cancel(greeting->timer);
  greetings_.erase(greeting);
  (void)watch_.SetEvents(EPOLLIN);
}

}  // namespace berth::io

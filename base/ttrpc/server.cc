#include "base/ttrpc/server.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"

namespace berth::ttrpc {
namespace {

constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

}  // namespace

Call::Call(Server* server, uint64_t connection_id, uint32_t stream_id, Request request)
    : server_(server),
      connection_id_(connection_id),
      stream_id_(stream_id),
      payload_(std::move(request.payload)),
      metadata_(std::move(request.metadata)),
      deadline_(request.timeout_ns > 0 ? absl::Now() + absl::Nanoseconds(request.timeout_ns)
                                       : absl::InfiniteFuture()) {}

Call::Call(Call&& other) noexcept
    : server_(std::exchange(other.server_, nullptr)),
      connection_id_(other.connection_id_),
      stream_id_(other.stream_id_),
      payload_(std::move(other.payload_)),
      metadata_(std::move(other.metadata_)),
      deadline_(other.deadline_) {}

Call& Call::operator=(Call&& other) noexcept {
  if (this != &other) {
    if (server_ != nullptr) Reply(absl::InternalError("the call was dropped by its handler"));
    server_ = std::exchange(other.server_, nullptr);
    connection_id_ = other.connection_id_;
    stream_id_ = other.stream_id_;
    payload_ = std::move(other.payload_);
    metadata_ = std::move(other.metadata_);
    deadline_ = other.deadline_;
  }
  return *this;
}

Call::~Call() {
  if (server_ != nullptr) Reply(absl::InternalError("the call was dropped by its handler"));
}

absl::string_view Call::MetadataValue(absl::string_view key) const {
  for (const auto& [name, value] : metadata_) {
    if (name == key) return value;
  }
  return "";
}

void Call::Reply(absl::StatusOr<std::string> payload) {
  BERTH_CHECK(server_ != nullptr);
  Server* server = std::exchange(server_, nullptr);
  server->Answer(connection_id_, stream_id_, Server::Counted::kYes, payload);
}

Server::~Server() {
  for (const auto& listener : listeners_) loop_.Cancel(listener->pause);
}

void Server::Register(absl::string_view service, absl::string_view method, Handler handler,
                      Repeatable repeatable) {
  auto added = std::make_unique<Method>();
  added->name = absl::StrCat(service, "/", method);
  added->handler = std::move(handler);
  added->repeatable = repeatable;
  const std::string& name = added->name;
  methods_[name] = std::move(added);
}

absl::Status Server::AddListener(UniqueFd socket) {
  auto listener = std::make_unique<Listener>();
  listener->socket = std::move(socket);
  BERTH_ASSIGN_OR_RETURN(
      listener->watch,
      loop_.Watch(listener->socket, EPOLLIN,
                  [this, fd = BorrowedFd(listener->socket)](uint32_t) { Accept(fd); }));
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

void Server::Accept(BorrowedFd listener) {
  // One per wake-up: the listener may be a blocking one that was made by another process.
  UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // No descriptor is free, and the connection stays ready: without a pause the loop would do
    // nothing but ask again.
    for (const auto& one : listeners_) {
      if (one->socket.get() != listener.get()) continue;
      (void)one->watch.SetEvents(0);
      loop_.Cancel(one->pause);
      one->pause =
          loop_.After(kAcceptPause, [raw = one.get()] { (void)raw->watch.SetEvents(EPOLLIN); });
    }
    return;
  }
  (void)AddConnection(std::move(socket));  // a refused one is closed, which the client sees
}

absl::Status Server::AddConnection(UniqueFd socket) {
  if (peers_.size() >= max_connections_) {
    return absl::ResourceExhaustedError("too many ttrpc connections");
  }
  const uint64_t id = next_connection_id_++;
  BERTH_ASSIGN_OR_RETURN(auto connection,
                         Connection::Create(
                             loop_, std::move(socket),
                             [this, id](const FrameHeader& header, absl::string_view data) {
                               OnFrame(id, header, data);
                             },
                             [this, id](const absl::Status&) { peers_.erase(id); }));
  peers_[id].connection = std::move(connection);
  return absl::OkStatus();
}

size_t Server::queued_bytes() const {
  size_t bytes = 0;
  for (const auto& [id, peer] : peers_) bytes += peer.connection->queued_bytes();
  return bytes;
}

void Server::OnFrame(uint64_t connection_id, const FrameHeader& header, absl::string_view data) {
  const auto refuse = [&](absl::Status error) {
    Answer(connection_id, header.stream_id, Counted::kNo, std::move(error));
  };
  if (header.type != FrameType::kRequest) return;  // no streams are open that it could belong to
  if (header.stream_id % 2 == 0) {
    return refuse(absl::InvalidArgumentError("the stream id of a client must be odd"));
  }
  if (header.length_bytes > kMaxMessageBytes) {
    return refuse(absl::ResourceExhaustedError(
        absl::StrCat("ttrpc message of ", header.length_bytes, " bytes exceeds the limit of ",
                     kMaxMessageBytes)));
  }
  auto request = DecodeRequest(data);
  if (!request.ok()) return refuse(request.status());
  const auto method = methods_.find(absl::StrCat(request->service, "/", request->method));
  if (method == methods_.end()) {
    return refuse(absl::UnimplementedError(
        absl::StrCat("method ", request->service, ".", request->method, " is not served here")));
  }
  Peer& peer = peers_.at(connection_id);
  if (peer.open_calls >= kMaxOpenCalls) {
    return refuse(absl::ResourceExhaustedError("too many unanswered ttrpc calls"));
  }
  Dispatch(connection_id, header.stream_id, *method->second, *std::move(request));
}

void Server::Dispatch(uint64_t connection_id, uint32_t stream_id, Method& method, Request request) {
  Peer& peer = peers_.at(connection_id);
  ++peer.open_calls;
  if (method.repeatable == Repeatable::kYes) {
    peer.repeatable[stream_id] = {&method.name, request.payload};
  }
  method.handler(Call(this, connection_id, stream_id, std::move(request)));
}

void Server::SetReading(Connection::Reading reading) {
  for (const auto& listener : listeners_) {
    loop_.Cancel(listener->pause);
    (void)listener->watch.SetEvents(reading == Connection::Reading::kYes ? uint32_t{EPOLLIN} : 0u);
  }
  for (const auto& [id, peer] : peers_) peer.connection->SetReading(reading);
}

std::vector<BorrowedFd> Server::listeners() const {
  std::vector<BorrowedFd> sockets;
  for (const auto& listener : listeners_) sockets.push_back(listener->socket);
  return sockets;
}

void Server::ForEachWatch(absl::FunctionRef<void(const FdWatch&)> count) const {
  for (const auto& listener : listeners_) count(listener->watch);
  for (const auto& [id, peer] : peers_) count(peer.connection->watch());
}

absl::StatusOr<std::vector<Server::SavedPeer>> Server::Save(const Call& own) const {
  std::vector<SavedPeer> saved;
  for (const auto& [id, peer] : peers_) {
    const bool is_own = own.server_ == this && own.connection_id_ == id;
    if (peer.open_calls != peer.repeatable.size() + (is_own ? 1 : 0)) {
      return absl::UnavailableError("calls are under way");
    }
    if (peer.connection->broken()) return absl::UnavailableError("a connection is being closed");
    SavedPeer& one = saved.emplace_back();
    one.socket = peer.connection->socket();
    one.connection = peer.connection->Save();
    for (const auto& [stream_id, call] : peer.repeatable) {
      one.calls.push_back({stream_id, *call.first, call.second});
    }
    if (is_own) one.own_stream_id = own.stream_id_;
  }
  return saved;
}

absl::Status Server::Resume(UniqueFd socket, SavedPeer saved, std::optional<Call>& own) {
  const uint64_t id = next_connection_id_++;
  for (const SavedCall& call : saved.calls) {
    const auto method = methods_.find(call.method);
    if (method == methods_.end() || method->second->repeatable == Repeatable::kNo) {
      return absl::InvalidArgumentError(
          absl::StrCat("a call of ", call.method, " cannot be asked again"));
    }
  }
  BERTH_ASSIGN_OR_RETURN(auto connection,
                         Connection::Resume(
                             loop_, std::move(socket), std::move(saved.connection),
                             [this, id](const FrameHeader& header, absl::string_view data) {
                               OnFrame(id, header, data);
                             },
                             [this, id](const absl::Status&) { peers_.erase(id); }));
  Peer& peer = peers_[id];
  peer.connection = std::move(connection);
  if (saved.own_stream_id != 0) {
    ++peer.open_calls;
    own.emplace(Call(this, id, saved.own_stream_id, Request()));
  }
  if (saved.calls.empty()) return absl::OkStatus();
  loop_.Post([this, id, calls = std::move(saved.calls)]() mutable {
    for (SavedCall& call : calls) {
      if (!peers_.contains(id)) return;
      Request request;
      request.payload = std::move(call.payload);
      Dispatch(id, call.stream_id, *methods_.at(call.method), std::move(request));
    }
  });
  return absl::OkStatus();
}

void Server::Answer(uint64_t connection_id, uint32_t stream_id, Counted counted,
                    const absl::StatusOr<std::string>& result) {
  const auto peer = peers_.find(connection_id);
  if (peer == peers_.end()) return;  // the caller has gone
  if (counted == Counted::kYes) {
    --peer->second.open_calls;
    peer->second.repeatable.erase(stream_id);
  }
  Connection& connection = *peer->second.connection;
  absl::Status sent = connection.Send(stream_id, FrameType::kResponse, EncodeResponse(result));
  if (sent.ok() || absl::IsUnavailable(sent)) return;  // lost: its on_lost removes the peer
  if (result.ok() && result->size() + 64 > kMaxMessageBytes) {
    sent = connection.Send(stream_id, FrameType::kResponse, EncodeResponse(sent));
    if (sent.ok()) return;
  }
  connection.Abort();  // it does not read what it asked for
}

}  // namespace berth::ttrpc

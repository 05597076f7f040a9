#include "shim/io/attach_hub.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

using attach::FrameType;

constexpr size_t kReadBytes = 16 << 10;

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

AttachHub::AttachHub(Loop& loop, Terminal terminal, Input input, absl::Duration patience)
    : loop_(loop), terminal_(terminal), input_(input), patience_(patience) {}

AttachHub::~AttachHub() {
  *alive_ = false;
  for (const Session& session : sessions_) loop_.Cancel(session.timer);
  loop_.Cancel(timer_);
}

void AttachHub::Refuse(UniqueFd socket, absl::string_view why) {
  const std::string frame = attach::EncodeFrame(FrameType::kRefused, why);
  // A client that does not even take this has nothing to learn from us.
  (void)::send(socket.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void AttachHub::Add(UniqueFd socket, const attach::Hello& hello, std::string early) {
  if (hello.input && input_ == Input::kNone) {
    return Refuse(std::move(socket),
                  "the process's stdin is not open to attach: it was created without an "
                  "interactive input; attach without input");
  }
  if (clients_.size() >= kMaxClients) {
    return Refuse(std::move(socket),
                  absl::StrCat("the process has ", kMaxClients, " attached clients already"));
  }
  const bool is_numbered = hello.input && !hello.session.empty();
  Session* const session = is_numbered ? &EnterSession(hello.session) : nullptr;
  const Place client = clients_.insert(
      clients_.end(),
      Client{.socket = std::move(socket), .hello = hello, .early = std::move(early)});
  client->session = session;
  client->input_ended = !hello.input || (session != nullptr && session->ended);
  auto watch =
      loop_.Watch(client->socket, 0, [this, client](uint32_t events) { OnEvent(client, events); });
  if (!watch.ok()) return Remove(client);
  client->watch = *std::move(watch);
  const char terminal = terminal_ == Terminal::kYes ? 1 : 0;
  if (!Queue(client, attach::EncodeFrame(FrameType::kAccepted, absl::string_view(&terminal, 1)))) {
    return;
  }
  if (session != nullptr && !Queue(client, attach::EncodeTaken(session->taken))) return;
  if (ended_ && !Queue(client, attach::EncodeFrame(FrameType::kEnded, ""))) return;
  if (TakesInputOf(*client) && !client->early.empty() &&
      !TakeInput(client, std::exchange(client->early, std::string()))) {
    return;
  }
  if (ended_ && client->pending.empty()) return Remove(client);
  UpdateEvents(*client);
}

void AttachHub::OnEvent(Place client, uint32_t events) {
  if ((events & EPOLLOUT) != 0 && !FlushClient(client)) return;
  if ((events & EPOLLIN) != 0 && TakesInputOf(*client) && !ReadInput(client)) return;
  // Both directions are closed: nobody is there any more, but maybe input that is still to be read.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (client->input_ended || input_closed_)) {
    return Remove(client);
  }
  UpdateEvents(*client);
}

// --- Output --------------------------------------------------------------------------------------

void AttachHub::Output(FrameType type, absl::string_view bytes) {
  for (auto next = clients_.begin(); next != clients_.end();) {
    const Place client = next++;
    const bool wanted =
        type == FrameType::kErrorOutput ? client->hello.error_output : client->hello.output;
    if (wanted && QueueOutput(client, type, bytes)) UpdateEvents(*client);
  }
}

bool AttachHub::QueueOutput(Place client, FrameType type, absl::string_view bytes) {
  const size_t needed = bytes.size() + attach::kFrameHeaderBytes;
  if (!client->hello.lossless && !client->pending.empty() &&
      client->pending.size() + needed > kBufferBytes) {
    client->dropped += bytes.size();
    dropped_bytes_ += bytes.size();
    return true;
  }
  // The frame that tells of a loss stands where the loss is.
  if (client->dropped > 0 &&
      !Queue(client, attach::EncodeDropped(std::exchange(client->dropped, 0)))) {
    return false;
  }
  return Queue(client, attach::EncodeFrame(type, bytes));
}

bool AttachHub::Queue(Place client, std::string frame) {
  if (!client->pending.empty()) {
    client->pending += frame;
  } else {
    const ssize_t sent =
        ::send(client->socket.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && !WouldBlock(errno) && errno != EINTR) {
      Remove(client);
      return false;
    }
    client->pending.assign(frame, sent < 0 ? 0 : sent, std::string::npos);
  }
  SetBehind(*client, client->hello.lossless && client->pending.size() > kBehindBytes);
  return true;
}

bool AttachHub::FlushClient(Place client) {
  while (!client->pending.empty()) {
    const ssize_t sent = ::send(client->socket.get(), client->pending.data(),
                                client->pending.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && WouldBlock(errno)) break;
    if (sent < 0) {
      Remove(client);
      return false;
    }
    client->pending.erase(0, sent);
  }
  SetBehind(*client, client->hello.lossless && client->pending.size() > kBehindBytes);
  if (!client->pending.empty()) return true;
  std::string().swap(client->pending);  // no memory is kept for a slow moment
  if (client->dropped > 0) {
    return Queue(client, attach::EncodeDropped(std::exchange(client->dropped, 0)));
  }
  if (ended_) {
    Remove(client);
    return false;
  }
  return true;
}

void AttachHub::SetBehind(Client& client, bool behind) {
  if (client.behind == behind) return;
  client.behind = behind;
  behind_ += behind ? 1 : -1;
  if (behind_ > 0) return;
  // Not from here: the copiers would write to clients that are being looked at.
  loop_.Post([this, alive = alive_] {
    if (*alive && behind_ == 0 && on_room_) on_room_();
  });
}

void AttachHub::End(absl::Duration limit, absl::AnyInvocable<void()> done) {
  done_ = std::move(done);
  if (!ended_) {
    ended_ = true;
    sink_watch_.Reset();
    sink_.Reset();
    for (auto next = clients_.begin(); next != clients_.end();) {
      const Place client = next++;
      if (client->dropped > 0 &&
          !Queue(client, attach::EncodeDropped(std::exchange(client->dropped, 0)))) {
        continue;
      }
      if (!Queue(client, attach::EncodeFrame(FrameType::kEnded, ""))) continue;
      if (client->pending.empty()) {
        Remove(client);
      } else {
        UpdateEvents(*client);
      }
    }
  }
  loop_.Cancel(timer_);
  timer_ = loop_.After(clients_.empty() ? absl::ZeroDuration() : limit, [this] {
    clients_.clear();
    CheckEnded();
  });
}

void AttachHub::CheckEnded() {
  if (!ended_ || !clients_.empty() || !done_) return;
  loop_.Cancel(timer_);
  auto done = std::move(done_);
  done();  // may destroy this
}

void AttachHub::Remove(Place client) {
  SetBehind(*client, false);
  if (client->hello.input && !client->input_ended) {
    if (client->session == nullptr) {
      EndOfInput(*client);
    } else if (!ended_) {
      // The daemon died, not the one whose input it is.
      client->session->timer = loop_.After(patience_, [this, session = client->session] {
        session->timer = TimerId::kNone;
        session->ended = true;
        if (input_ == Input::kFirstClient) CloseInput();
      });
    }
  }
  clients_.erase(client);
  if (!ended_ || !clients_.empty()) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) CheckEnded();
  });
}

void AttachHub::UpdateEvents(Client& client) {
  uint32_t events = EPOLLET;  // alone: hang-ups, once
  if (!client.pending.empty()) events = EPOLLOUT;
  if (TakesInputOf(client)) events = (events & ~uint32_t{EPOLLET}) | EPOLLIN;
  if (events == client.events) return;
  client.events = events;
  (void)client.watch.SetEvents(events);  // was accepted when the client came
}

// --- Input ---------------------------------------------------------------------------------------

bool AttachHub::TakesInputOf(const Client& client) const {
  return sink_.valid() && input_pending_.empty() && !input_closed_ && !client.input_ended;
}

absl::Status AttachHub::ConnectInput(UniqueFd sink) {
  const int flags = ::fcntl(sink.get(), F_GETFL);
  if (flags < 0 || ::fcntl(sink.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "fcntl(O_NONBLOCK)");
  }
  BERTH_ASSIGN_OR_RETURN(sink_watch_, loop_.Watch(sink, 0, [this](uint32_t) { OnInputRoom(); }));
  sink_ = std::move(sink);
  for (auto next = clients_.begin(); next != clients_.end();) {
    const Place client = next++;
    if (!client->early.empty()) {
      (void)TakeInput(client, std::exchange(client->early, std::string()));
    }
  }
  OnInputRoom();
  return absl::OkStatus();
}

bool AttachHub::ReadInput(Place client) {
  char buffer[kReadBytes];
  const ssize_t got = ::recv(client->socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || WouldBlock(errno))) return true;
  if (got < 0) {
    Remove(client);
    return false;
  }
  if (got == 0 && client->session != nullptr) {
    Remove(client);
    return false;
  }
  if (got == 0) {
    EndOfInput(*client);
    return true;
  }
  return TakeInput(client, absl::string_view(buffer, got));
}

bool AttachHub::TakeInput(Place client, absl::string_view bytes) {
  if (client->session == nullptr) {
    PassInput(bytes);
    return true;
  }
  Session& session = *client->session;
  const uint64_t before = session.taken;
  client->reader.Add(bytes, [&](absl::string_view piece) {
    session.taken += piece.size();
    PassInput(piece);
  });
  if (client->reader.has_ended() && !client->input_ended) EndOfInput(*client);
  return session.taken == before || Queue(client, attach::EncodeTaken(session.taken));
}

AttachHub::Session& AttachHub::EnterSession(const std::string& id) {
  for (Session& session : sessions_) {
    if (session.id != id) continue;
    loop_.Cancel(std::exchange(session.timer, TimerId::kNone));
    for (auto next = clients_.begin(); next != clients_.end();) {
      const Place client = next++;
      if (client->session != &session) continue;
      // What it has not read comes again.
      client->input_ended = true;
      Remove(client);
    }
    return session;
  }
  // Those that nobody has are only kept to be found again; there are never more than clients.
  for (auto old = sessions_.begin(); sessions_.size() >= 2 * kMaxClients;) {
    bool is_used = old->timer != TimerId::kNone;
    for (const Client& client : clients_) is_used = is_used || client.session == &*old;
    if (is_used && std::next(old) != sessions_.end()) {
      ++old;
      continue;
    }
    if (is_used) break;
    old = sessions_.erase(old);
  }
  return sessions_.emplace_back(Session{.id = id});
}

void AttachHub::EndOfInput(Client& client) {
  client.input_ended = true;
  if (client.session != nullptr) client.session->ended = true;
  if (input_ == Input::kFirstClient) CloseInput();
}

void AttachHub::PassInput(absl::string_view bytes) {
  const bool idle = input_pending_.empty();
  input_pending_.append(bytes.data(), bytes.size());
  if (idle) WriteInput();
}

void AttachHub::WriteInput() {
  while (!input_pending_.empty() && sink_.valid()) {
    const ssize_t written = ::write(sink_.get(), input_pending_.data(), input_pending_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && WouldBlock(errno)) {
      (void)sink_watch_.SetEvents(EPOLLOUT);
      for (Client& client : clients_) UpdateEvents(client);
      return;
    }
    if (written < 0) {  // the process has closed its input: what comes is for nobody
      input_closed_ = true;
      break;
    }
    input_pending_.erase(0, written);
  }
  std::string().swap(input_pending_);
  if (input_closed_) {
    sink_watch_.Reset();
    sink_.Reset();
  }
}

void AttachHub::OnInputRoom() {
  if (sink_watch_.active()) (void)sink_watch_.SetEvents(0);
  WriteInput();
  for (Client& client : clients_) UpdateEvents(client);
}

void AttachHub::CloseInput() {
  // A terminal has no end of its own; its program ends by what is typed.
  if (terminal_ == Terminal::kYes) return;
  input_closed_ = true;
  if (!input_pending_.empty()) return;
  sink_watch_.Reset();
  sink_.Reset();
}

}  // namespace berth::io

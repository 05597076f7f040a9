#include "base/tls/tls_relay.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <utility>

#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kBufferBytes = 16u << 10;  // the longest TLS record
// Others have their turn after so many buffers.
constexpr int kRounds = 16;

}  // namespace

TlsRelay::TlsRelay(Loop& loop, TlsSession ssl, UniqueFd tcp, UniqueFd local,
                   absl::AnyInvocable<void()> on_end)
    : loop_(loop),
      on_end_(std::move(on_end)),
      tcp_(std::move(tcp)),
      local_(std::move(local)),
      ssl_(std::move(ssl)) {
  in_.bytes.resize(kBufferBytes);
  out_.bytes.resize(kBufferBytes);
}

TlsRelay::~TlsRelay() { loop_.Cancel(turn_); }

absl::Status TlsRelay::Start() {
  BERTH_ASSIGN_OR_RETURN(tcp_watch_, loop_.Watch(tcp_, EPOLLIN, [this](uint32_t) { OnReady(); }));
  BERTH_ASSIGN_OR_RETURN(local_watch_,
                         loop_.Watch(local_, EPOLLIN, [this](uint32_t) { OnReady(); }));
  // What came with the handshake is in OpenSSL's hands already: no event tells of it.
  turn_ = loop_.After(absl::ZeroDuration(), [this] {
    turn_ = TimerId::kNone;
    OnReady();
  });
  return absl::OkStatus();
}

void TlsRelay::OnReady() {
  if (ended_) return;
  tls_wants_read_ = tls_wants_write_ = false;
  ::ERR_clear_error();
  Relay();
  if (!ended_ && !Await().ok()) End();
}

bool TlsRelay::AwaitsTls(int result) {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      tls_wants_read_ = true;
      return true;
    case SSL_ERROR_WANT_WRITE:
      tls_wants_write_ = true;
      return true;
    default:
      return false;
  }
}

bool TlsRelay::ReadTls() {
  if (!in_.empty() || in_.over) return false;
  const int count = ::SSL_read(ssl_.get(), in_.bytes.data(), static_cast<int>(in_.bytes.size()));
  if (count > 0) {
    in_.begin = 0;
    in_.end = static_cast<size_t>(count);
    return true;
  }
  if (AwaitsTls(count)) return false;
  ::ERR_clear_error();  // a close and a reset are one here: the peer has gone
  in_.over = true;
  return true;
}

bool TlsRelay::WriteLocal() {
  if (in_.empty()) return false;
  const ssize_t count = ::send(local_.get(), in_.bytes.data() + in_.begin, in_.end - in_.begin,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count > 0) {
    in_.begin += static_cast<size_t>(count);
    return true;
  }
  if (errno == EAGAIN || errno == EINTR) return false;
  in_.begin = in_.end = 0;  // it was closed; the end of what was said there is still to be read
  return true;
}

bool TlsRelay::ReadLocal() {
  if (!out_.empty() || out_.over) return false;
  const ssize_t count = ::recv(local_.get(), out_.bytes.data(), out_.bytes.size(), MSG_DONTWAIT);
  if (count > 0) {
    out_.begin = 0;
    out_.end = static_cast<size_t>(count);
    return true;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  out_.over = true;
  return true;
}

bool TlsRelay::WriteTls() {
  if (out_.empty()) return false;
  const int count = ::SSL_write(ssl_.get(), out_.bytes.data() + out_.begin,
                                static_cast<int>(out_.end - out_.begin));
  if (count > 0) {
    out_.begin += static_cast<size_t>(count);
    return true;
  }
  if (AwaitsTls(count)) return false;
  ::ERR_clear_error();
  out_.begin = out_.end = 0;
  out_.over = true;
  return true;
}

void TlsRelay::Relay() {
  for (int round = 0; round < kRounds; ++round) {
    // None is left out because another moved.
    bool moved = ReadTls();
    moved |= WriteLocal();
    moved |= ReadLocal();
    moved |= WriteTls();
    if ((in_.over && in_.empty()) || (out_.over && out_.empty())) return End();
    if (!moved) return;
  }
  // OpenSSL may hold bytes of which the kernel does not know, so that no event would tell of them.
  tls_pending_ = true;
}

absl::Status TlsRelay::Await() {
  uint32_t tcp = 0;
  if (tls_wants_read_ || (in_.empty() && !in_.over)) tcp |= EPOLLIN;
  if (tls_wants_write_ || !out_.empty()) tcp |= EPOLLOUT;
  uint32_t local = 0;
  if (out_.empty() && !out_.over) local |= EPOLLIN;
  if (!in_.empty()) local |= EPOLLOUT;
  BERTH_RETURN_IF_ERROR(tcp_watch_.SetEvents(tcp));
  BERTH_RETURN_IF_ERROR(local_watch_.SetEvents(local));
  if (!std::exchange(tls_pending_, false) || turn_ != TimerId::kNone) return absl::OkStatus();
  turn_ = loop_.After(absl::ZeroDuration(), [this] {
    turn_ = TimerId::kNone;
    OnReady();
  });
  return absl::OkStatus();
}

void TlsRelay::End() {
  if (std::exchange(ended_, true)) return;
  loop_.Cancel(std::exchange(turn_, TimerId::kNone));
  tcp_watch_.Reset();
  local_watch_.Reset();
  // Tells a peer that is there; one that is not is none of our concern. Not after a fatal error.
  if (::SSL_get_shutdown(ssl_.get()) == 0) (void)::SSL_shutdown(ssl_.get());
  ::ERR_clear_error();
  local_.Reset();
  on_end_();
}

}  // namespace berth

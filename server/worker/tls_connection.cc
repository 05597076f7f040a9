#include "server/worker/tls_connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

constexpr size_t kBufferBytes = 16u << 10;  // the longest TLS record
// Others have their turn after so many buffers.
constexpr int kRounds = 16;

// Answers of a call go out at once; a client that vanished is noticed within some minutes.
void SetTcpOptions(BorrowedFd tcp) {
  const int on = 1;
  const int idle_s = 60, interval_s = 20, probes = 3;
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  (void)::setsockopt(tcp.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

// As certificates print it: "CN = admin, O = ...".
std::string SubjectOf(SSL* ssl) {
  const X509* certificate = ::SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return "";
  char text[512];
  if (::X509_NAME_oneline(::X509_get_subject_name(certificate), text, sizeof(text)) == nullptr) {
    return "";
  }
  return text;
}

}  // namespace

TlsConnection::TlsConnection(Loop& loop, const TlsIdentity& identity, UniqueFd tcp, Events events)
    : loop_(loop),
      events_(std::move(events)),
      tcp_(std::move(tcp)),
      ssl_(::SSL_new(identity.context())) {}

TlsConnection::~TlsConnection() { loop_.Cancel(deadline_); }

absl::Status TlsConnection::Start() {
  if (ssl_ == nullptr || ::SSL_set_fd(ssl_.get(), tcp_.get()) != 1) {
    return absl::InternalError(absl::StrCat("OpenSSL: ", TakeTlsError()));
  }
  ::SSL_set_accept_state(ssl_.get());
  SetTcpOptions(tcp_);
  BERTH_ASSIGN_OR_RETURN(tcp_watch_, loop_.Watch(tcp_, EPOLLIN, [this](uint32_t) { OnReady(); }));
  deadline_ = loop_.After(kHandshakePatience, [this] {
    End(absl::DeadlineExceededError(
        absl::StrCat("no handshake within ", absl::FormatDuration(kHandshakePatience))));
  });
  return absl::OkStatus();
}

void TlsConnection::OnReady() {
  if (ended_) return;
  tls_wants_read_ = tls_wants_write_ = false;
  ::ERR_clear_error();
  if (!open()) {
    const absl::Status status = Shake();
    if (!status.ok()) return End(status);
  }
  if (open()) Relay();
  if (ended_) return;
  const absl::Status status = Await();
  if (!status.ok()) End(status);
}

absl::Status TlsConnection::Shake() {
  const int result = ::SSL_accept(ssl_.get());
  if (result == 1) return Open();
  if (AwaitsTls(result)) return absl::OkStatus();
  return DescribeFailure();
}

absl::Status TlsConnection::DescribeFailure() const {
  const long verified = ::SSL_get_verify_result(ssl_.get());
  if (verified == X509_V_OK) return absl::UnauthenticatedError(TakeTlsError());
  return absl::UnauthenticatedError(
      absl::StrCat("its certificate: ", ::X509_verify_cert_error_string(verified)));
}

absl::Status TlsConnection::Open() {
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  ::SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  if (size == 0) return absl::UnauthenticatedError("it does not ask for HTTP/2 (ALPN \"h2\")");
  BERTH_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair(SOCK_STREAM | SOCK_NONBLOCK));
  BERTH_ASSIGN_OR_RETURN(local_watch_,
                         loop_.Watch(pair.first, EPOLLIN, [this](uint32_t) { OnReady(); }));
  local_ = std::move(pair.first);
  up_.bytes.resize(kBufferBytes);
  down_.bytes.resize(kBufferBytes);
  loop_.Cancel(std::exchange(deadline_, TimerId::kNone));
  opened_ = true;
  return events_.on_open(std::move(pair.second), SubjectOf(ssl_.get()));
}

bool TlsConnection::AwaitsTls(int result) {
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

bool TlsConnection::ReadClient() {
  if (!up_.empty() || up_.over) return false;
  const int count = ::SSL_read(ssl_.get(), up_.bytes.data(), static_cast<int>(up_.bytes.size()));
  if (count > 0) {
    up_.begin = 0;
    up_.end = static_cast<size_t>(count);
    return true;
  }
  if (AwaitsTls(count)) return false;
  ::ERR_clear_error();  // a close and a reset are one here: the client has gone
  up_.over = true;
  return true;
}

bool TlsConnection::WriteServer() {
  if (up_.empty()) return false;
  const ssize_t count = ::send(local_.get(), up_.bytes.data() + up_.begin, up_.end - up_.begin,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count > 0) {
    up_.begin += static_cast<size_t>(count);
    return true;
  }
  if (errno == EAGAIN || errno == EINTR) return false;
  up_.begin = up_.end = 0;  // berthd closed it; the end of what it said is still to be read
  return true;
}

bool TlsConnection::ReadServer() {
  if (!down_.empty() || down_.over) return false;
  const ssize_t count = ::recv(local_.get(), down_.bytes.data(), down_.bytes.size(), MSG_DONTWAIT);
  if (count > 0) {
    down_.begin = 0;
    down_.end = static_cast<size_t>(count);
    return true;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  down_.over = true;
  return true;
}

bool TlsConnection::WriteClient() {
  if (down_.empty()) return false;
  const int count = ::SSL_write(ssl_.get(), down_.bytes.data() + down_.begin,
                                static_cast<int>(down_.end - down_.begin));
  if (count > 0) {
    down_.begin += static_cast<size_t>(count);
    return true;
  }
  if (AwaitsTls(count)) return false;
  ::ERR_clear_error();
  down_.begin = down_.end = 0;
  down_.over = true;
  return true;
}

void TlsConnection::Relay() {
  for (int round = 0; round < kRounds; ++round) {
    // None is left out because another moved.
    bool moved = ReadClient();
    moved |= WriteServer();
    moved |= ReadServer();
    moved |= WriteClient();
    if ((up_.over && up_.empty()) || (down_.over && down_.empty())) {
      return End(absl::OkStatus());
    }
    if (!moved) return;
  }
  // OpenSSL may hold bytes of which the kernel does not know, so that no event would tell of them.
  tls_pending_ = true;
}

absl::Status TlsConnection::Await() {
  uint32_t tcp = 0;
  if (!open()) {
    tcp = tls_wants_write_ ? EPOLLOUT : EPOLLIN;
    return tcp_watch_.SetEvents(tcp);
  }
  if (tls_wants_read_ || (up_.empty() && !up_.over)) tcp |= EPOLLIN;
  if (tls_wants_write_ || !down_.empty()) tcp |= EPOLLOUT;
  uint32_t local = 0;
  if (down_.empty() && !down_.over) local |= EPOLLIN;
  if (!up_.empty()) local |= EPOLLOUT;
  BERTH_RETURN_IF_ERROR(tcp_watch_.SetEvents(tcp));
  BERTH_RETURN_IF_ERROR(local_watch_.SetEvents(local));
  if (!std::exchange(tls_pending_, false) || deadline_ != TimerId::kNone) return absl::OkStatus();
  deadline_ = loop_.After(absl::ZeroDuration(), [this] {
    deadline_ = TimerId::kNone;
    OnReady();
  });
  return absl::OkStatus();
}

void TlsConnection::End(absl::Status why) {
  if (std::exchange(ended_, true)) return;
  loop_.Cancel(std::exchange(deadline_, TimerId::kNone));
  tcp_watch_.Reset();
  local_watch_.Reset();
  // Tells a client that is there; one that is not is none of our concern. Not after a fatal error.
  if (open() && ::SSL_get_shutdown(ssl_.get()) == 0) (void)::SSL_shutdown(ssl_.get());
  ::ERR_clear_error();
  local_.Reset();
  events_.on_end(std::move(why));
}

}  // namespace berth::worker

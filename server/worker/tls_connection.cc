#include "server/worker/tls_connection.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "base/tls/tcp_options.h"
#include "base/tls/tls_error.h"

namespace berth::worker {
namespace {

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
  if (ended_ || opened_) return;
  ::ERR_clear_error();
  const absl::Status status = Shake();
  if (!status.ok()) End(status);
}

absl::Status TlsConnection::Shake() {
  const int result = ::SSL_accept(ssl_.get());
  if (result == 1) return Open();
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return tcp_watch_.SetEvents(EPOLLIN);
    case SSL_ERROR_WANT_WRITE:
      return tcp_watch_.SetEvents(EPOLLOUT);
    default:
      return DescribeFailure();
  }
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
  loop_.Cancel(std::exchange(deadline_, TimerId::kNone));
  tcp_watch_.Reset();
  opened_ = true;
  const std::string subject = SubjectOf(ssl_.get());
  relay_ = std::make_unique<TlsRelay>(loop_, std::move(ssl_), std::move(tcp_),
                                      std::move(pair.first), [this] { End(absl::OkStatus()); });
  BERTH_RETURN_IF_ERROR(relay_->Start());
  return events_.on_open(std::move(pair.second), subject);
}

void TlsConnection::End(absl::Status why) {
  if (std::exchange(ended_, true)) return;
  loop_.Cancel(std::exchange(deadline_, TimerId::kNone));
  tcp_watch_.Reset();
  events_.on_end(std::move(why));
}

}  // namespace berth::worker

#include "client/sdk/tls_dialer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "base/tls/pem_material.h"
#include "base/tls/tls_error.h"
#include "client/sdk/tcp_dial.h"

namespace berth::client {
namespace {

constexpr size_t kMaxPemBytes = 1u << 20;
constexpr unsigned char kHttp2[] = "\x02h2";  // as on the wire: a length and the name
constexpr unsigned int kHttp2Size = 3;

bool IsIpAddress(const std::string& text) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

// "DNS:a.example, IP:10.0.0.1": whom the certificate is for.
std::string NamesOf(const X509* certificate) {
  auto* names = static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    const ASN1_STRING* value = name->type == GEN_DNS     ? name->d.dNSName
                               : name->type == GEN_IPADD ? name->d.iPAddress
                                                         : nullptr;
    if (value == nullptr) continue;
    const unsigned char* data = ::ASN1_STRING_get0_data(value);
    const int size = ::ASN1_STRING_length(value);
    char text[INET6_ADDRSTRLEN] = "";
    if (name->type == GEN_DNS) {
      found.push_back(absl::StrCat("DNS:", absl::string_view(reinterpret_cast<const char*>(data),
                                                             static_cast<size_t>(size))));
    } else if (::inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, sizeof(text)) != nullptr) {
      found.push_back(absl::StrCat("IP:", text));
    }
  }
  ::GENERAL_NAMES_free(names);
  return found.empty() ? "no name at all" : absl::StrJoin(found, ", ");
}

// The certificate that is refused is gone after the handshake: its names are noted while it is
// looked at, in the string that is the session's application data.
int NoteNames(int accepted, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(
      ::X509_STORE_CTX_get_ex_data(store, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* names = ssl == nullptr ? nullptr : static_cast<std::string*>(SSL_get_app_data(ssl));
  const X509* certificate = ::X509_STORE_CTX_get0_cert(store);
  if (accepted == 0 && names != nullptr && certificate != nullptr) *names = NamesOf(certificate);
  return accepted;
}

// What came instead of TLS, if that is what OpenSSL complains of.
bool IsNoTls(int reason) {
  return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
         reason == SSL_R_BAD_RECORD_TYPE || reason == SSL_R_PACKET_LENGTH_TOO_LONG;
}

}  // namespace

const std::string& TlsDialer::expected_name() const {
  return files_.server_name.empty() ? address_.host : files_.server_name;
}

absl::StatusOr<TlsDialer> TlsDialer::Make(ServerAddress address, TlsFiles files) {
  TlsDialer dialer;
  dialer.address_ = std::move(address);
  dialer.files_ = std::move(files);
  dialer.context_.reset(::SSL_CTX_new(::TLS_client_method()));
  SSL_CTX* context = dialer.context_.get();
  if (context == nullptr) return absl::InternalError(absl::StrCat("OpenSSL: ", TakeTlsError()));
  ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NoteNames);
  if (::SSL_CTX_set_alpn_protos(context, kHttp2, kHttp2Size) != 0) {
    return absl::InternalError(absl::StrCat("OpenSSL: ", TakeTlsError()));
  }
  BERTH_RETURN_IF_ERROR(dialer.UseFiles());
  return dialer;
}

absl::Status TlsDialer::UseFiles() {
  if (files_.authority.empty()) {
    ::SSL_CTX_set_default_verify_paths(context_.get());
  } else {
    BERTH_ASSIGN_OR_RETURN(const std::string pem, ReadFile(files_.authority, kMaxPemBytes),
                           _ << "the server's authority (--tlscacert)");
    BERTH_RETURN_IF_ERROR(UseAuthorities(
        context_.get(), pem,
        absl::StrCat("the server's authority \"", files_.authority, "\" (--tlscacert)")));
  }
  if (files_.certificate.empty() != files_.key.empty()) {
    return absl::FailedPreconditionError(
        files_.key.empty()
            ? "a client's certificate is used with its key: name the file with --tlskey"
            : "a client's key is used with its certificate: name the file with --tlscert");
  }
  return files_.certificate.empty() ? absl::OkStatus() : UseOwnCertificate();
}

absl::Status TlsDialer::UseOwnCertificate() {
  BERTH_ASSIGN_OR_RETURN(const std::string certificate, ReadFile(files_.certificate, kMaxPemBytes),
                         _ << "the client's certificate (--tlscert)");
  BERTH_RETURN_IF_ERROR(UseCertificate(
      context_.get(), certificate,
      absl::StrCat("the client's certificate \"", files_.certificate, "\" (--tlscert)")));
  // Known without asking the server, whose alert would say less.
  const X509* own = ::SSL_CTX_get0_certificate(context_.get());
  if (own != nullptr && ::X509_cmp_current_time(::X509_get0_notAfter(own)) < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the client's certificate \"", files_.certificate,
                     "\" (--tlscert) has expired: have a new one issued"));
  }
  BERTH_ASSIGN_OR_RETURN(const std::string key, ReadFile(files_.key, kMaxPemBytes),
                         _ << "the client's key (--tlskey)");
  BERTH_RETURN_IF_ERROR(UsePrivateKey(
      context_.get(), key, absl::StrCat("the client's key \"", files_.key, "\" (--tlskey)")))
      << "it must be PEM, without a passphrase, and belong to \"" << files_.certificate << "\"";
  struct stat info;
  if (::stat(files_.key.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    warning_ = absl::StrFormat(
        "others can use the key \"%s\" (mode %04o), and become root on the server with it: "
        "chmod 600 %s",
        files_.key, info.st_mode & 07777u, files_.key);
  }
  return absl::OkStatus();
}

absl::StatusOr<TlsSession> TlsDialer::NewSession(BorrowedFd tcp) const {
  TlsSession ssl(::SSL_new(context_.get()));
  if (ssl == nullptr || ::SSL_set_fd(ssl.get(), tcp.get()) != 1) {
    return absl::InternalError(absl::StrCat("OpenSSL: ", TakeTlsError()));
  }
  ::SSL_set_connect_state(ssl.get());
  const std::string& name = expected_name();
  bool named = false;
  if (IsIpAddress(name)) {
    named = ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl.get()), name.c_str()) == 1;
  } else {
    ::SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    named = ::SSL_set1_host(ssl.get(), name.c_str()) == 1 &&
            ::SSL_set_tlsext_host_name(ssl.get(), name.c_str()) == 1;
  }
  if (!named) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no name that a certificate could be for"));
  }
  return ssl;
}

absl::StatusOr<TlsConnectionToServer> TlsDialer::Dial(absl::Time deadline) const {
  TlsConnectionToServer connection;
  BERTH_ASSIGN_OR_RETURN(connection.tcp, DialTcp(address_.host, address_.port, deadline));
  BERTH_ASSIGN_OR_RETURN(connection.ssl, NewSession(connection.tcp));
  SSL* ssl = connection.ssl.get();
  std::string names;
  SSL_set_app_data(ssl, &names);
  const auto forget = absl::MakeCleanup([ssl] { SSL_set_app_data(ssl, nullptr); });
  ::ERR_clear_error();
  while (true) {
    const int result = ::SSL_connect(ssl);
    if (result == 1) break;
    const int wanted = ::SSL_get_error(ssl, result);
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
      return Explain(ssl, "the handshake", names);
    }
    BERTH_RETURN_IF_ERROR(
        AwaitSocket(connection.tcp, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline))
        << "TLS handshake";
  }
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  ::SSL_get0_alpn_selected(ssl, &protocol, &size);
  if (size == 0) {
    return absl::UnauthenticatedError("it speaks TLS, and not HTTP/2 over it: it is no berthd");
  }
  BERTH_RETURN_IF_ERROR(AwaitAcceptance(ssl, connection.tcp, deadline));
  return connection;
}

absl::Status TlsDialer::AwaitAcceptance(SSL* ssl, BorrowedFd tcp, absl::Time deadline) const {
  char first = 0;
  while (true) {
    const int result = ::SSL_peek(ssl, &first, 1);
    if (result > 0) return absl::OkStatus();
    const int wanted = ::SSL_get_error(ssl, result);
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
      return Explain(ssl, "the connection", "");
    }
    BERTH_RETURN_IF_ERROR(
        AwaitSocket(tcp, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline))
        << "TLS: wait for the server";
  }
}

absl::Status TlsDialer::ExplainServerCertificate(long problem,
                                                 absl::string_view server_names) const {
  const std::string why = ::X509_verify_cert_error_string(problem);
  switch (problem) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::UnauthenticatedError(
          absl::StrCat("the server's certificate is not valid now (", why,
                       "): it needs a new one (grpc.tcp_tls_cert), or this machine's clock is "
                       "wrong"));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::UnauthenticatedError(absl::StrCat(
          "the server's certificate is not for \"", expected_name(), "\" but for ", server_names,
          ": use one of these in the address, or say with --tlsname which is meant"));
    default:
      return absl::UnauthenticatedError(absl::StrCat(
          "the server's certificate is not to be trusted (", why, "): does ",
          files_.authority.empty() ? "the system know its authority? Name that with --tlscacert"
                                   : absl::StrCat("--tlscacert (\"", files_.authority,
                                                  "\") hold the authority that issued it?")));
  }
}

absl::Status TlsDialer::Explain(SSL* ssl, absl::string_view stage,
                                absl::string_view server_names) const {
  const long problem = ::SSL_get_verify_result(ssl);
  const int reason = ERR_GET_REASON(::ERR_peek_error());
  const std::string text = TakeTlsError();
  if (problem != X509_V_OK) return ExplainServerCertificate(problem, server_names);
  if (IsNoTls(reason)) {
    return absl::UnauthenticatedError(
        "it does not speak TLS: where it is served in the clear, leave the TLS options and "
        "BERTH_CERT_PATH away");
  }
  if (files_.certificate.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the server ended ", stage, " (", text,
                     "): it may want a client's certificate: --tlscert and --tlskey"));
  }
  if (reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA) {
    return absl::UnauthenticatedError(
        absl::StrCat("the server does not know who issued the client's certificate \"",
                     files_.certificate, "\": its authority must be in grpc.tcp_tls_ca there"));
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "the server ended ", stage, " (", text, "): it does not take the client's certificate \"",
      files_.certificate,
      "\". Its log says why: it may have expired, be for a server only (extended key usage), or "
      "lack the name grpc.tcp_tls_common_name"));
}

}  // namespace berth::client

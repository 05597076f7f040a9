#include "server/worker/tls_identity.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "base/tls/pem_material.h"
#include "base/tls/tls_error.h"

namespace berth::worker {
namespace {

constexpr unsigned char kHttp2[] = "\x02h2";  // as on the wire: a length and the name
constexpr unsigned int kHttp2Size = 3;

// A client that does not speak HTTP/2 is told so in the handshake.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* match = nullptr;
  if (::SSL_select_next_proto(&match, chosen_size, kHttp2, kHttp2Size, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

absl::Status TlsIdentity::AskForName(SSL_CTX* context, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  X509_VERIFY_PARAM* parameters = ::SSL_CTX_get0_param(context);
  ::X509_VERIFY_PARAM_set_hostflags(
      parameters, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
  if (::X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size()) != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("the clients' common name cannot be used: ", TakeTlsError()));
  }
  return absl::OkStatus();
}

absl::StatusOr<TlsIdentity> TlsIdentity::Make(const TlsMaterial& material) {
  Context context(::SSL_CTX_new(::TLS_server_method()));
  if (context == nullptr) return absl::InternalError(absl::StrCat("OpenSSL: ", TakeTlsError()));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context.get(), 0);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ::SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  BERTH_RETURN_IF_ERROR(UseAuthorities(context.get(), material.ca, "the clients' authority"));
  BERTH_RETURN_IF_ERROR(
      UseCertificate(context.get(), material.certificate, "the server's certificate"));
  BERTH_RETURN_IF_ERROR(UsePrivateKey(context.get(), material.key, "the server's key"));
  BERTH_RETURN_IF_ERROR(AskForName(context.get(), material.client_name));
  return TlsIdentity(std::move(context));
}

}  // namespace berth::worker

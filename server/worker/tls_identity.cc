#include "server/worker/tls_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

constexpr unsigned char kHttp2[] = "\x02h2";  // as on the wire: a length and the name
constexpr unsigned int kHttp2Size = 3;

struct FreeOpenSsl {
  void operator()(BIO* bio) const { ::BIO_free(bio); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeOpenSsl>;
using Certificate = std::unique_ptr<X509, FreeOpenSsl>;
using Key = std::unique_ptr<EVP_PKEY, FreeOpenSsl>;

absl::Status Unusable(absl::string_view what, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(what, " cannot be used: ", why));
}

Bio Reader(absl::string_view pem) {
  return Bio(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Nobody is there to type a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

Certificate Next(BIO* reader) {
  return Certificate(::PEM_read_bio_X509(reader, nullptr, NoPassphrase, nullptr));
}

// Reading stopped because the text is at its end.
bool AtEnd() {
  const unsigned long error = ::ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (at_end) ::ERR_clear_error();
  return at_end;
}

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

std::string TakeTlsError() {
  const unsigned long error = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = error == 0 ? nullptr : ::ERR_reason_error_string(error);
  return reason != nullptr ? reason : "the connection broke";
}

absl::Status TlsIdentity::UseAuthorities(SSL_CTX* context, absl::string_view pem) {
  const Bio reader = Reader(pem);
  int count = 0;
  while (const Certificate certificate = Next(reader.get())) {
    if (::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context), certificate.get()) != 1 ||
        ::SSL_CTX_add_client_CA(context, certificate.get()) != 1) {
      return Unusable("the clients' authority", TakeTlsError());
    }
    ++count;
  }
  if (!AtEnd()) return Unusable("the clients' authority", TakeTlsError());
  if (count == 0) return Unusable("the clients' authority", "there is no certificate in it");
  return absl::OkStatus();
}

absl::Status TlsIdentity::UseCertificate(SSL_CTX* context, absl::string_view pem) {
  const Bio reader = Reader(pem);
  const Certificate own = Next(reader.get());
  if (own == nullptr) return Unusable("the server's certificate", TakeTlsError());
  if (::SSL_CTX_use_certificate(context, own.get()) != 1) {
    return Unusable("the server's certificate", TakeTlsError());
  }
  while (Certificate issuer = Next(reader.get())) {
    if (::SSL_CTX_add0_chain_cert(context, issuer.get()) != 1) {
      return Unusable("the server's chain of certificates", TakeTlsError());
    }
    (void)issuer.release();  // the context's now
  }
  if (!AtEnd()) return Unusable("the server's chain of certificates", TakeTlsError());
  return absl::OkStatus();
}

absl::Status TlsIdentity::UseKey(SSL_CTX* context, absl::string_view pem) {
  const Bio reader = Reader(pem);
  const Key key(::PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return Unusable("the server's key", TakeTlsError());
  // Also whether it belongs to the certificate.
  if (::SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return Unusable("the server's key", TakeTlsError());
  }
  return absl::OkStatus();
}

absl::Status TlsIdentity::AskForName(SSL_CTX* context, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  X509_VERIFY_PARAM* parameters = ::SSL_CTX_get0_param(context);
  ::X509_VERIFY_PARAM_set_hostflags(
      parameters, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
  if (::X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size()) != 1) {
    return Unusable("the clients' common name", TakeTlsError());
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
  BERTH_RETURN_IF_ERROR(UseAuthorities(context.get(), material.ca));
  BERTH_RETURN_IF_ERROR(UseCertificate(context.get(), material.certificate));
  BERTH_RETURN_IF_ERROR(UseKey(context.get(), material.key));
  BERTH_RETURN_IF_ERROR(AskForName(context.get(), material.client_name));
  return TlsIdentity(std::move(context));
}

}  // namespace berth::worker

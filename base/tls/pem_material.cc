#include "base/tls/pem_material.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/tls/tls_error.h"

namespace berth {
namespace {

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

}  // namespace

absl::Status UseAuthorities(SSL_CTX* context, absl::string_view pem, absl::string_view what) {
  const Bio reader = Reader(pem);
  int count = 0;
  while (const Certificate certificate = Next(reader.get())) {
    if (::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context), certificate.get()) != 1 ||
        ::SSL_CTX_add_client_CA(context, certificate.get()) != 1) {
      return Unusable(what, TakeTlsError());
    }
    ++count;
  }
  if (!AtEnd()) return Unusable(what, TakeTlsError());
  if (count == 0) return Unusable(what, "there is no certificate in it");
  return absl::OkStatus();
}

absl::Status UseCertificate(SSL_CTX* context, absl::string_view pem, absl::string_view what) {
  const Bio reader = Reader(pem);
  const Certificate own = Next(reader.get());
  if (own == nullptr) return Unusable(what, TakeTlsError());
  if (::SSL_CTX_use_certificate(context, own.get()) != 1) return Unusable(what, TakeTlsError());
  while (Certificate issuer = Next(reader.get())) {
    if (::SSL_CTX_add0_chain_cert(context, issuer.get()) != 1) {
      return Unusable(absl::StrCat(what, ", its chain,"), TakeTlsError());
    }
    (void)issuer.release();  // the context's now
  }
  if (!AtEnd()) return Unusable(absl::StrCat(what, ", its chain,"), TakeTlsError());
  return absl::OkStatus();
}

absl::Status UsePrivateKey(SSL_CTX* context, absl::string_view pem, absl::string_view what) {
  const Bio reader = Reader(pem);
  const Key key(::PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr || ::SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return Unusable(what, TakeTlsError());
  }
  return absl::OkStatus();
}

}  // namespace berth

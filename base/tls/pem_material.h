// Certificates and keys as PEM texts, brought into OpenSSL's context of either side. Functions
// without state; a context belongs to one thread until it is used.
//
// Errors of all: FAILED_PRECONDITION, saying what (`what`: "the server's key") cannot be used and
// why. A key with a passphrase is refused: nobody is there to type one.
#ifndef BERTH_BASE_TLS_PEM_MATERIAL_H_
#define BERTH_BASE_TLS_PEM_MATERIAL_H_

#include <openssl/ssl.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// Trusts the authorities in `pem`, at least one.
absl::Status UseAuthorities(SSL_CTX* context, absl::string_view pem, absl::string_view what);
// Shows the first certificate in `pem`, and sends those behind it along.
absl::Status UseCertificate(SSL_CTX* context, absl::string_view pem, absl::string_view what);
// Also checks that it belongs to the certificate, which is used first.
absl::Status UsePrivateKey(SSL_CTX* context, absl::string_view pem, absl::string_view what);

}  // namespace berth

#endif  // BERTH_BASE_TLS_PEM_MATERIAL_H_

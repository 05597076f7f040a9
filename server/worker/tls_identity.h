// The certificates of the TLS door: what it shows, and whom it lets in.
//
// Invariant: a handshake succeeds only with a client whose certificate leads to one of the given
// authorities, is valid now, may be a client's and, where a name is asked for, has it; at least TLS
// 1.2, HTTP/2 only, no session is resumed. Immutable; owned by the door.
#ifndef BERTH_SERVER_WORKER_TLS_IDENTITY_H_
#define BERTH_SERVER_WORKER_TLS_IDENTITY_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace berth::worker {

// PEM texts.
struct TlsMaterial {
  std::string ca;           // one or more
  std::string certificate;  // the server's, and the intermediate ones behind it
  std::string key;          // without passphrase
  std::string client_name;  // a common name or DNS name; empty: any
};

class TlsIdentity {
 public:
  // Errors: FAILED_PRECONDITION, saying which of the texts cannot be used and why.
  static absl::StatusOr<TlsIdentity> Make(const TlsMaterial& material);

  SSL_CTX* context() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  };
  using Context = std::unique_ptr<SSL_CTX, Free>;
  explicit TlsIdentity(Context context) : context_(std::move(context)) {}

  static absl::Status AskForName(SSL_CTX* context, const std::string& name);

  Context context_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_TLS_IDENTITY_H_

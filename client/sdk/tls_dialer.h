// Makes TLS connections to one server, and explains why it could not.
//
// Invariant: a connection that it gives out is to a server whose certificate leads to the
// authority, is valid and is for the server's name, that speaks HTTP/2, and that has accepted the
// client: a server of TLS 1.3 looks at the client's certificate after the client thinks that all is
// done, so the first bytes of the server are waited for. At least TLS 1.2. Immutable, thread-safe;
// owned by the tunnel.
#ifndef BERTH_CLIENT_SDK_TLS_DIALER_H_
#define BERTH_CLIENT_SDK_TLS_DIALER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "base/tls/tls_relay.h"
#include "client/sdk/server_address.h"
#include "client/sdk/tls_files.h"

namespace berth::client {

struct TlsConnectionToServer {
  UniqueFd tcp;  // does not block
  TlsSession ssl;
};

class TlsDialer {
 public:
  // Reads the files. Errors: of reading them, and FAILED_PRECONDITION for what is in them, with the
  // file's name and what to do.
  static absl::StatusOr<TlsDialer> Make(ServerAddress address, TlsFiles files);

  // Blocks. Errors: UNAVAILABLE where nobody answers, UNAUTHENTICATED where one side does not take
  // the other; with what to do.
  absl::StatusOr<TlsConnectionToServer> Dial(absl::Time deadline) const;

  // What is no error and yet not as it should be; empty where all is well.
  const std::string& warning() const { return warning_; }

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  };
  TlsDialer() = default;
  absl::Status UseFiles();
  absl::Status UseOwnCertificate();
  const std::string& expected_name() const;
  absl::StatusOr<TlsSession> NewSession(BorrowedFd tcp) const;
  absl::Status AwaitAcceptance(SSL* ssl, BorrowedFd tcp, absl::Time deadline) const;
  absl::Status Explain(SSL* ssl, absl::string_view stage, absl::string_view server_names) const;
  absl::Status ExplainServerCertificate(long problem, absl::string_view server_names) const;

  ServerAddress address_;
  TlsFiles files_;
  std::string warning_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TLS_DIALER_H_

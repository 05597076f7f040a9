// What every command gets: the global options and the way to the server. Thread-compatible; owned
// by client/cli, outlives the command tree.
#ifndef BERTH_CLIENT_COMMANDS_CONTEXT_H_
#define BERTH_CLIENT_COMMANDS_CONTEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/commands/listing.h"
#include "client/sdk/connection.h"
#include "client/sdk/tls_files.h"

namespace berth::client {

// Exit codes of docker's command line.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitDaemonError = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

struct GlobalOptions {
  std::string address;         // --address, BERTH_ADDRESS
  TlsFiles tls;                // --tlscacert, --tlscert, --tlskey, --tlsname
  bool is_tls_wanted = false;  // --tlsverify
  std::string ns;              // --namespace, BERTH_NAMESPACE
  std::string snapshotter;     // --snapshotter, BERTH_SNAPSHOTTER
  std::string log_directory;   // --log-dir, BERTH_LOG_DIR
  std::string fifo_directory;  // BERTH_FIFO_DIR
};

class Context {
 public:
  explicit Context(const GlobalOptions& options) : options_(options) {}

  const GlobalOptions& options() const { return options_; }

  // Options win over BERTH_TLS_CACERT, BERTH_TLS_CERT, BERTH_TLS_KEY and BERTH_TLS_NAME, those over
  // ca.pem, cert.pem and key.pem in the directory BERTH_CERT_PATH. Errors: UNAVAILABLE, with what
  // to do; FAILED_PRECONDITION for options of TLS where the address is a unix socket.
  absl::StatusOr<Connection> Connect() const;

 private:
  const GlobalOptions& options_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTEXT_H_

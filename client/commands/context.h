// What every command gets: the global options and the way to the server. Thread-compatible; owned
// by client/cli, outlives the command tree.
#ifndef BERTH_CLIENT_COMMANDS_CONTEXT_H_
#define BERTH_CLIENT_COMMANDS_CONTEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/commands/listing.h"
#include "client/sdk/connection.h"

namespace berth::client {

// Exit codes of docker's command line.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitDaemonError = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

struct GlobalOptions {
  std::string address;         // --address, BERTH_ADDRESS
  std::string ns;              // --namespace, BERTH_NAMESPACE
  std::string snapshotter;     // --snapshotter, BERTH_SNAPSHOTTER
  std::string log_directory;   // --log-dir, BERTH_LOG_DIR
  std::string fifo_directory;  // BERTH_FIFO_DIR
};

class Context {
 public:
  explicit Context(const GlobalOptions& options) : options_(options) {}

  const GlobalOptions& options() const { return options_; }

  // Errors: UNAVAILABLE, with what to do.
  absl::StatusOr<Connection> Connect() const {
    return Connection::Open({.address = options_.address, .ns = options_.ns});
  }

 private:
  const GlobalOptions& options_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTEXT_H_

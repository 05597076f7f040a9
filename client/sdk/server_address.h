// Where a server listens: a unix socket of this machine, or a TCP port. Immutable value; pure.
#ifndef BERTH_CLIENT_SDK_SERVER_ADDRESS_H_
#define BERTH_CLIENT_SDK_SERVER_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

struct ServerAddress {
  std::string path;  // of the socket; empty for TCP
  std::string host;  // a name or an address, without brackets
  std::string port;  // empty: the usual one

  bool is_tcp() const { return path.empty(); }
  // "tcp://[::1]:2376".
  std::string ToString() const;
};

// PATH, unix://PATH or tcp://HOST[:PORT]; an IPv6 address stands in brackets. Errors:
// INVALID_ARGUMENT, with what was expected.
absl::StatusOr<ServerAddress> ParseServerAddress(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_SERVER_ADDRESS_H_

// The Transfer and Streaming services, typed: images between registries, archives and the server's
// store, done by the server.
//
// Every call blocks until the transfer has ended, with threads of its own for the streams;
// callbacks run on those threads, one at a time. Thread-safe.
#ifndef BERTH_CLIENT_SDK_TRANSFER_CLIENT_H_
#define BERTH_CLIENT_SDK_TRANSFER_CLIENT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "client/sdk/connection.h"
#include "client/sdk/platform.h"
#include "client/sdk/registry_login.h"
#include "proto/containerd/types/transfer/progress.pb.h"

namespace berth::client {

using TransferStep = containerd::types::transfer::Progress;
using OnTransferStep = std::function<void(const TransferStep&)>;
// Credentials for a registry's host; all empty: none.
using OnCredentials = std::function<RegistryLogin(const std::string& host)>;

// Which platforms of an image.
struct PlatformChoice {
  std::vector<Platform> platforms;  // none and not all: this machine's
  enum class Extent { kChosen, kAll } extent = Extent::kChosen;
};

struct PullOptions {
  std::string reference;  // full
  PlatformChoice choice;
  std::string snapshotter;  // empty: leave it packed
  RegistryReach reach;
  OnCredentials credentials;
  OnTransferStep on_step;
};

struct PushOptions {
  std::string name;       // stored
  std::string reference;  // full; where to
  PlatformChoice choice;
  RegistryReach reach;
  OnCredentials credentials;
  OnTransferStep on_step;
};

struct LoadOptions {
  std::string default_repository;  // for images that the archive leaves unnamed
  PlatformChoice choice;           // chosen and none: all that the archive holds
  std::string snapshotter;         // empty: leave them packed
  OnTransferStep on_step;
};

struct SaveOptions {
  std::vector<std::string> names;  // stored
  PlatformChoice choice;
};

class TransferClient {
 public:
  explicit TransferClient(Connection connection) : connection_(std::move(connection)) {}

  // Errors: UNIMPLEMENTED from a server without the service (containerd 1.6).
  absl::Status Pull(const PullOptions& options) const;
  absl::Status Push(const PushOptions& options) const;
  // Reads `fd` to its end.
  absl::Status Load(BorrowedFd fd, const LoadOptions& options) const;
  absl::Status Save(BorrowedFd fd, const SaveOptions& options) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TRANSFER_CLIENT_H_

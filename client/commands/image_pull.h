// How the command line has the server pull an image: with the logins of Docker's configuration, the
// progress on standard error, and errors that say what to do. Thread-safe functions.
#ifndef BERTH_CLIENT_COMMANDS_IMAGE_PULL_H_
#define BERTH_CLIENT_COMMANDS_IMAGE_PULL_H_

#include <string>

#include "absl/status/status.h"
#include "base/reference/reference.h"
#include "client/commands/context.h"
#include "client/commands/transfer_display.h"
#include "client/sdk/transfer_client.h"

namespace berth::client {

struct ImagePull {
  Reference reference;
  PlatformChoice choice;
  RegistryReach reach;
  enum class Unpack { kNow, kLater } unpack = Unpack::kNow;
  TransferDisplay::Style style;
};

// Blocks until the image is here under its full name.
absl::Status PullImage(const Context& context, const ImagePull& pull);

// Asks Docker's configuration and its credential helpers for the login at `registry`.
OnCredentials LoginsOf(const std::string& registry);
// What went wrong at registry `host`, with what to do about it.
absl::Status ExplainTransfer(const absl::Status& status, const std::string& host);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_IMAGE_PULL_H_

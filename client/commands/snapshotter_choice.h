// Which snapshotter a command works with. Thread-safe function.
#ifndef BERTH_CLIENT_COMMANDS_SNAPSHOTTER_CHOICE_H_
#define BERTH_CLIENT_COMMANDS_SNAPSHOTTER_CHOICE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"

namespace berth::client {

// `wanted`, else the namespace's default, else overlayfs.
std::string ChooseSnapshotter(const Connection& connection, absl::string_view wanted);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_SNAPSHOTTER_CHOICE_H_

// The question before something is thrown away. Thread-hostile (standard input).
#ifndef BERTH_CLIENT_DOCKER_CONFIRM_H_
#define BERTH_CLIENT_DOCKER_CONFIRM_H_

#include "absl/strings/string_view.h"

namespace berth::client {

enum class Confirmation { kAsk, kForced };

// Shows `warning` and asks, unless forced. Anything but yes is no.
bool Confirm(absl::string_view warning, Confirmation mode);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_CONFIRM_H_

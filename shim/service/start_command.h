// `start` of containerd's shim protocol: makes the socket, spawns the shim that serves on it (or
// finds the one of the container's group), prints its address and ends.
//
// berthd does not use it: it spawns shims itself. Thread-hostile (uses stdin, stdout and the
// working directory, which is the bundle).
#ifndef BERTH_SHIM_SERVICE_START_COMMAND_H_
#define BERTH_SHIM_SERVICE_START_COMMAND_H_

#include "absl/status/status.h"
#include "shim/service/arguments.h"

namespace berth::service {

absl::Status RunStart(const Arguments& arguments);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_START_COMMAND_H_

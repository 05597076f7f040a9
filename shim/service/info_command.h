// `-v` and `-info` of containerd's shim protocol. Thread-hostile (they print).
#ifndef BERTH_SHIM_SERVICE_INFO_COMMAND_H_
#define BERTH_SHIM_SERVICE_INFO_COMMAND_H_

#include "absl/status/status.h"

namespace berth::service {

absl::Status PrintVersion();
// Reads runtime options (an Any) from stdin and prints a containerd.types.RuntimeInfo.
absl::Status PrintInfo();

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_INFO_COMMAND_H_

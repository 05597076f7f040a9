// The shim itself: sets the process up, serves tasks on the inherited socket until it is to end.
//
// The process is single-threaded and not dumpable from its first line on. Thread-hostile.
#ifndef BERTH_SHIM_SERVICE_SERVE_COMMAND_H_
#define BERTH_SHIM_SERVICE_SERVE_COMMAND_H_

#include "absl/status/status.h"
#include "shim/service/arguments.h"

namespace berth::service {

absl::Status RunServe(const Arguments& arguments);
// The same for a program that a running shim becomes (take_state), or that only looks whether it
// could (check_state) and then prints "ok" and its version.
absl::Status RunResume(const Arguments& arguments);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SERVE_COMMAND_H_

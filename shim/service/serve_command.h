// The shim itself: sets the process up, serves tasks on the inherited socket until it is to end.
//
// The process is single-threaded and not dumpable from its first line on. Thread-hostile.
#ifndef BERTH_SHIM_SERVICE_SERVE_COMMAND_H_
#define BERTH_SHIM_SERVICE_SERVE_COMMAND_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/os/process_identity.h"
#include "shim/service/arguments.h"

namespace berth::service {

absl::Status RunServe(const Arguments& arguments);
// The same for a program that a running shim becomes (take_state), or that only looks whether it
// could (check_state) and then prints "ok" and its version.
absl::Status RunResume(const Arguments& arguments);
// What a look does, in this process, which stays as it was: `bytes` is the whole state, `shim`
// whose it is. All descriptors that it lists are closed, or never were open.
absl::Status LookAtState(const Arguments& arguments, absl::string_view bytes,
                         const ProcessIdentity& shim);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SERVE_COMMAND_H_

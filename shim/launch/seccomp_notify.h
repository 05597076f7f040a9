// Hands a seccomp notify descriptor to the agent that a specification names
// (linux.seccomp.listenerPath).
//
// One message: the OCI container process state as JSON, with the descriptor attached.
// Thread-compatible function; it does not wait for an agent that does not accept.
#ifndef BERTH_SHIM_LAUNCH_SECCOMP_NOTIFY_H_
#define BERTH_SHIM_LAUNCH_SECCOMP_NOTIFY_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::launch {

struct SeccompAgent {
  std::string path;
  std::string metadata;
};

// `pid` is the filtered process; `state_json` the container's state. Errors: FAILED_PRECONDITION
// without a path; UNAVAILABLE when nobody listens there.
absl::Status SendSeccompListener(const SeccompAgent& agent, BorrowedFd listener, pid_t pid,
                                 absl::string_view oci_version, const std::string& state_json);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_SECCOMP_NOTIFY_H_

// What the commands share that run a process and may wait for it.
//
// Loop-only functions; thread-hostile.
#ifndef BERTH_SHIM_OCI_FOREGROUND_H_
#define BERTH_SHIM_OCI_FOREGROUND_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/launch/container.h"
#include "shim/oci/arguments.h"

namespace berth::oci {

// Runs the loop until the `done` that `call` was given has been called.
absl::Status AwaitStatus(Loop& loop, absl::FunctionRef<void(launch::Container::Done)> call);

// Copies of our own standard descriptors.
absl::StatusOr<launch::Stdio> InheritedStdio();
// How many descriptors from 3 on a service manager has passed for the container: LISTEN_FDS.
int ListenDescriptors();
// --preserve-fds N: 3 to N+2; behind the `listening` first ones.
absl::StatusOr<std::vector<UniqueFd>> PreservedDescriptors(const Options& options, int listening);

// Waits for the process of `pidfd`, handing on signals to it and carrying its terminal when it has
// one. Its exit status, or 128 plus the signal that ended it. The process must be a child of ours.
absl::StatusOr<int> WaitInForeground(Loop& loop, BorrowedFd pidfd, UniqueFd console);

void PrintWarnings(launch::Container& container);

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_FOREGROUND_H_

// Work on a container whose creating process is gone, or is another one.
//
// For the runc-style command line, whose every command is a process of its own, and for the removal
// of what a lost shim left. Blocking functions; thread-hostile. Used by shim/launch only.
#ifndef BERTH_SHIM_LAUNCH_DETACHED_H_
#define BERTH_SHIM_LAUNCH_DETACHED_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "shim/launch/container_state.h"

namespace berth::launch {

// Fills `state` from the record and the bundle's config.json. Errors: NOT_FOUND when init has
// ended.
absl::Status AdoptState(const CleanupRecord& record, const std::string& seccomp_cache_directory,
                        ContainerState& state);

// Connects to init's start listener, sees it through to its program, and runs the poststart hooks.
absl::Status StartByListener(const CleanupRecord& record, const std::string& socket_path);

// Kills, removes, runs poststop hooks. What is gone already is skipped.
absl::Status RemoveByRecord(const CleanupRecord& record, absl::Duration timeout);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_DETACHED_H_

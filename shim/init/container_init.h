// Process 1 for a container that asks for one (`run --init`): starts the program, passes signals on
// to it, reaps whatever is orphaned, and ends as the program ended.
//
//   docker-init [--] PROGRAM [ARGUMENT...]
//
// It is the shim's program under another name, so that there is one static file to keep. It runs
// inside the container: no Status, no allocation that matters, one thread.
#ifndef BERTH_SHIM_INIT_CONTAINER_INIT_H_
#define BERTH_SHIM_INIT_CONTAINER_INIT_H_

#include "absl/strings/string_view.h"

namespace berth::init {

// Whether a program that was started by this name is to be a container's init.
bool IsContainerInit(absl::string_view argv0);

// Returns the exit code: the program's, 128+N for signal N, 127 when it was not found, 126 when it
// cannot be executed.
int RunContainerInit(int argc, char** argv);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_CONTAINER_INIT_H_

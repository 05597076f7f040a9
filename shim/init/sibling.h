// A clone that becomes its parent's sibling: what a short-lived assistant makes, and does not wait
// for.
//
// For the child after clone3. Thread-hostile.
#ifndef BERTH_SHIM_INIT_SIBLING_H_
#define BERTH_SHIM_INIT_SIBLING_H_

#include <sys/types.h>

#include <cstdint>

namespace berth::init {

// clone3(2) with `flags` (CLONE_NEW*). 0: this is the sibling. -1: errno. `pidfd` is the
// sibling's.
pid_t CloneSibling(uint64_t flags, int* pidfd);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_SIBLING_H_

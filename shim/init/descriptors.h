// The child's first act: only the descriptors of its plan stay open, and signals are as at birth.
//
// For the child after clone3. Nothing allocates.
#ifndef BERTH_SHIM_INIT_DESCRIPTORS_H_
#define BERTH_SHIM_INIT_DESCRIPTORS_H_

#include <cstddef>

namespace berth::init {

// Closes every descriptor that is not among the `count` in `keep` (sorted by the call; -1s are
// ignored).
void CloseAllBut(int* keep, size_t count);

// Default dispositions and an empty mask, whatever the shim uses.
void ResetSignals();

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_DESCRIPTORS_H_

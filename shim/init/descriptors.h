// The child's first act: only the descriptors of its plan stay open, and signals are as at birth.
//
// For the child after clone3. Nothing allocates.
#ifndef BERTH_SHIM_INIT_DESCRIPTORS_H_
#define BERTH_SHIM_INIT_DESCRIPTORS_H_

#include <cstddef>
#include <cstdint>

namespace berth::init {

// Closes every descriptor that is not among the `count` in `keep` (sorted by the call; -1s are
// ignored).
void CloseAllBut(int* keep, size_t count);

// The signals that are not at their default in this process: which, is the shim's business. A bit
// for each, of signal 1 first. 64 system calls: who makes many children asks once.
uint64_t ChangedSignals();
// Default dispositions of these, and an empty mask.
void ResetSignals(uint64_t changed);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_DESCRIPTORS_H_

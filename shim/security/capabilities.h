// The five capability sets of a process, read and changed by the raw system calls.
//
// For the child after clone3: functions return 0 or an errno and allocate nothing. Thread-hostile,
// as credentials of one thread are.
#ifndef BERTH_SHIM_SECURITY_CAPABILITIES_H_
#define BERTH_SHIM_SECURITY_CAPABILITIES_H_

#include <cstdint>

#include "shim/spec/process_plan.h"

namespace berth::security {

// The calling process's own permitted set.
uint64_t OwnPermitted();
// What of `asked` is in its bounding set: one system call for each, so ask for what matters only.
uint64_t OwnBounding(uint64_t asked);

// `wanted` without what `permitted` and `bounding` lack: what this process can give at all.
spec::CapabilitySets Attainable(const spec::CapabilitySets& wanted, uint64_t permitted,
                                uint64_t bounding);

// Drops everything that is not in `keep` from the bounding set.
int DropBounding(uint64_t keep);
// Sets effective, permitted and inheritable; `kept` stays in effective and permitted as well.
int SetCapabilities(const spec::CapabilitySets& sets, uint64_t kept);
int SetAmbient(uint64_t ambient);

}  // namespace berth::security

#endif  // BERTH_SHIM_SECURITY_CAPABILITIES_H_

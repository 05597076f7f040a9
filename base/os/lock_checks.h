// Debian builds Abseil with its debug checks: each absl::Mutex records in one graph, behind one
// lock of the whole process, in which order locks are taken, and so gRPC's locks do too. That
// finds deadlocks in tests, and costs a service its parallelism and every process its memory.
// Thread-safe; the composition roots' first call.
#ifndef BERTH_BASE_OS_LOCK_CHECKS_H_
#define BERTH_BASE_OS_LOCK_CHECKS_H_

namespace berth {

// From here on locks are only locks. Tests do not call it and keep the checks.
void DropLockOrderChecks();

}  // namespace berth

#endif  // BERTH_BASE_OS_LOCK_CHECKS_H_

// open(2) for code after clone3, which neither allocates nor returns a Status.
//
// CLOEXEC at birth like base/os's factories; -1 and errno otherwise. Thread-safe functions.
#ifndef BERTH_SHIM_INIT_RAW_OPEN_H_
#define BERTH_SHIM_INIT_RAW_OPEN_H_

#include <fcntl.h>
#include <sys/types.h>

namespace berth {

inline int RawOpenAt(int directory, const char* path, int flags, mode_t mode = 0) {
  return ::openat(directory, path, flags | O_CLOEXEC, mode);  // tidy: allow(open) see above
}
inline int RawOpen(const char* path, int flags, mode_t mode = 0) {
  return RawOpenAt(AT_FDCWD, path, flags, mode);
}

}  // namespace berth

#endif  // BERTH_SHIM_INIT_RAW_OPEN_H_

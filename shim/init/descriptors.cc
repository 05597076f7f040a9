#include "shim/init/descriptors.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "shim/init/raw_open.h"

namespace berth::init {

void CloseAllBut(int* keep, size_t count) {
  std::sort(keep, keep + count);
  // 0, 1 and 2 stay until they are replaced: were they free, the next descriptors would be born
  // there, and dup2 onto itself leaves CLOEXEC set.
  unsigned next = 3;
  int null;
  do {
    null = RawOpen("/dev/null", O_RDWR | O_CLOEXEC);
  } while (null >= 0 && null < 3);
  for (size_t i = 0; i < count; ++i) {
    if (keep[i] < 3) continue;
    const unsigned fd = static_cast<unsigned>(keep[i]);
    if (fd > next) ::syscall(SYS_close_range, next, fd - 1, 0);
    if (fd + 1 > next) next = fd + 1;
  }
  ::syscall(SYS_close_range, next, UINT_MAX, 0);
}

uint64_t ChangedSignals() {
  uint64_t changed = 0;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction now;
    if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler == SIG_DFL) continue;
    changed |= uint64_t{1} << (signal - 1);
  }
  return changed;
}

void ResetSignals(uint64_t changed) {
  for (int signal = 1; signal < NSIG; ++signal) {
    if ((changed >> (signal - 1) & 1) == 0) continue;
    struct sigaction now = {};
    now.sa_handler = SIG_DFL;
    ::sigaction(signal, &now, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace berth::init

#include "base/os/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace berth {

void UniqueFd::Reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved_errno = errno;
  ::close(old);
  errno = saved_errno;
}

}  // namespace berth

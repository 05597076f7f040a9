#include "shim/launch/authority.h"

#include <sys/stat.h>
#include <unistd.h>

namespace berth::launch {
namespace {

// The kernel numbers the first user namespace so on every host (PROC_USER_INIT_INO).
constexpr ino_t kFirstUserNamespace = 0xEFFFFFFD;

}  // namespace

Authority OwnAuthority() {
  if (::geteuid() != 0) return Authority::kNone;
  struct stat info;
  const bool another =
      ::stat("/proc/self/ns/user", &info) == 0 && info.st_ino != kFirstUserNamespace;
  return another ? Authority::kUserNamespace : Authority::kHost;
}

}  // namespace berth::launch

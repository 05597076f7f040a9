#include "shim/security/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::security {
namespace {

constexpr int kHighestPossible = 63;

uint64_t Join(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

}  // namespace

uint64_t OwnPermitted() {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return 0;
  return Join(data[0].permitted, data[1].permitted);
}

uint64_t OwnBounding(uint64_t asked) {
  uint64_t bounding = 0;
  for (int i = 0; i <= kHighestPossible && asked >> i != 0; ++i) {
    if ((asked >> i & 1) == 0) continue;
    const int present = ::prctl(PR_CAPBSET_READ, i, 0, 0, 0);
    if (present < 0) break;  // beyond the kernel's last
    if (present == 1) bounding |= uint64_t{1} << i;
  }
  return bounding;
}

spec::CapabilitySets Attainable(const spec::CapabilitySets& wanted, uint64_t permitted,
                                uint64_t bounding) {
  spec::CapabilitySets sets;
  sets.bounding = wanted.bounding & bounding;
  sets.permitted = wanted.permitted & permitted;
  sets.effective = wanted.effective & sets.permitted;
  sets.inheritable = wanted.inheritable & permitted & bounding;
  sets.ambient = wanted.ambient & sets.permitted & sets.inheritable;
  return sets;
}

int DropBounding(uint64_t keep) {
  for (int i = 0; i <= kHighestPossible; ++i) {
    if ((keep >> i & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0) continue;
    return errno == EINVAL ? 0 : errno;  // EINVAL: beyond the kernel's last
  }
  return 0;
}

int SetCapabilities(const spec::CapabilitySets& sets, uint64_t kept) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  const uint64_t effective = sets.effective | kept;
  const uint64_t permitted = sets.permitted | kept;
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(sets.inheritable >> (32 * half));
  }
  return ::syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

int SetAmbient(uint64_t ambient) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return errno;
  for (int i = 0; i <= kHighestPossible && ambient >> i != 0; ++i) {
    if ((ambient >> i & 1) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0) return errno;
  }
  return 0;
}

}  // namespace berth::security

#include "server/worker/confinement.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/worker/syscall_filter.h"

namespace berth::worker {
namespace {

// linux/landlock.h of the oldest supported headers ends at version 2 of the interface; these are
// the kernel's stable values beyond it.
struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};
constexpr uint64_t kFsVersion1 = (1ull << 13) - 1;  // execute ... make_sym
constexpr uint64_t kFsRefer = 1ull << 13;        // version 2: links and renames across directories
constexpr uint64_t kFsTruncate = 1ull << 14;     // version 3
constexpr uint64_t kFsIoctlDevice = 1ull << 15;  // version 5
constexpr uint64_t kNetBind = 1;                 // version 4
constexpr uint64_t kNetConnect = 2;              // version 4
constexpr uint64_t kScopeAll = 3;                // version 6: abstract sockets, signals
constexpr uint64_t kRead =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;  // never: execute

RulesetAttributes AttributesOf(long version, Reach::Network network) {
  RulesetAttributes attributes = {};
  attributes.handled_access_fs = kFsVersion1;
  if (version >= 2) attributes.handled_access_fs |= kFsRefer;
  if (version >= 3) attributes.handled_access_fs |= kFsTruncate;
  if (version >= 4) {
    attributes.handled_access_net =
        network == Reach::Network::kOutgoing ? kNetBind : kNetBind | kNetConnect;
  }
  if (version >= 5) attributes.handled_access_fs |= kFsIoctlDevice;
  if (version >= 6) attributes.scoped = kScopeAll;
  return attributes;
}

// Older kernels refuse a larger structure than they know, unless its end is zero.
size_t SizeFor(long version) {
  if (version >= 6) return sizeof(RulesetAttributes);
  return version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

absl::Status Allow(BorrowedFd ruleset, BorrowedFd directory, uint64_t access) {
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = access;
  rule.parent_fd = directory.get();
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return ErrnoStatus(errno, "landlock_add_rule");
  }
  return absl::OkStatus();
}

absl::Status ConfineFiles(const Reach& reach) {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return absl::OkStatus();  // not built in, or switched off
  const RulesetAttributes attributes = AttributesOf(version, reach.network);
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, SizeFor(version), 0)));
  if (!ruleset.valid()) return ErrnoStatus(errno, "landlock_create_ruleset");
  for (BorrowedFd directory : reach.readable) {
    BERTH_RETURN_IF_ERROR(Allow(ruleset, directory, kRead));
  }
  for (BorrowedFd directory : reach.writable) {
    BERTH_RETURN_IF_ERROR(
        Allow(ruleset, directory, attributes.handled_access_fs & ~LANDLOCK_ACCESS_FS_EXECUTE));
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return ErrnoStatus(errno, "landlock_restrict_self");
  }
  return absl::OkStatus();
}

Sockets SocketsFor(Reach::Network network) {
  switch (network) {
    case Reach::Network::kOutgoing:
      return Sockets::kAllowed;
    case Reach::Network::kAccepting:
      return Sockets::kAccepted;
    case Reach::Network::kNone:
      break;
  }
  return Sockets::kForbidden;
}

}  // namespace

absl::Status Confine(const Reach& reach) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  }
  BERTH_RETURN_IF_ERROR(ConfineFiles(reach));
  return FilterSyscalls(SocketsFor(reach.network));
}

}  // namespace berth::worker

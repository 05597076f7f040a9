// The mount system calls that glibc 2.36 or its headers lack, or that clash with <linux/*.h>.
//
// Each returns what the kernel returns: a descriptor or 0, or -1 with errno. Nothing allocates, so
// that code after clone3 may use them. Thread-safe functions.
#ifndef BERTH_SHIM_ROOTFS_MOUNT_API_H_
#define BERTH_SHIM_ROOTFS_MOUNT_API_H_

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace berth::rootfs {

inline int OpenTree(int directory, const char* path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC));
}
// Attaches the mount of `from` at the place that `to` is open on.
inline int AttachMount(int from, int to) {
  return static_cast<int>(::syscall(SYS_move_mount, from, "", to, "",
                                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}
inline int FsOpen(const char* type) {
  return static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}
inline int FsSetString(int context, const char* key, const char* value) {
  return static_cast<int>(::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0));
}
inline int FsSetFlag(int context, const char* key) {
  return static_cast<int>(::syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, key, nullptr, 0));
}
inline int FsCreate(int context) {
  return static_cast<int>(
      ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
}
inline int FsMount(int context, unsigned attributes) {
  return static_cast<int>(::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
}

struct Attributes {
  uint64_t set = 0;
  uint64_t clear = 0;
  uint64_t propagation = 0;
  uint64_t user_namespace = 0;  // a descriptor, with MOUNT_ATTR_IDMAP in `set`
};
enum class Reach { kMount, kTree };
inline int SetAttributes(int mount, const Attributes& attributes, Reach reach) {
  const unsigned flags = AT_EMPTY_PATH | (reach == Reach::kTree ? AT_RECURSIVE : 0);
  return static_cast<int>(
      ::syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof(attributes)));
}

// openat2 below `root` as if it were "/", with no way out by procfs links. `extra`: more RESOLVE_*.
inline int OpenInside(int root, const char* path, int flags, uint64_t extra = 0) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | extra;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof(how)));
}

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_MOUNT_API_H_

#include "shim/rootfs/root_switch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "shim/init/raw_open.h"
#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {

void SetRootPropagation(init::Reporter& report, uint64_t flags) {
  const unsigned long wanted = flags != 0 ? flags : MS_SLAVE | MS_REC;
  if (::mount(nullptr, "/", nullptr, wanted, nullptr) != 0) {
    report.Fail(errno, "set the propagation of", "/");
  }
}

void SetParentPropagation(init::Reporter& report, const std::string& path, unsigned long flag) {
  // Only a mount's own root takes a propagation: walk up until one is met.
  char at[4096];
  if (path.size() >= sizeof(at)) report.Fail(ENAMETOOLONG, "set the propagation of", path);
  ::memcpy(at, path.c_str(), path.size() + 1);
  while (true) {
    if (::mount(nullptr, at, nullptr, flag, nullptr) == 0) return;
    if (errno != EINVAL) report.Fail(errno, "set the propagation of the mount of", path);
    char* slash = ::strrchr(at, '/');
    if (slash == nullptr || ::strcmp(at, "/") == 0) {
      report.Fail(EINVAL, "set the propagation of the mount of", path);
    }
    slash[slash == at ? 1 : 0] = '\0';
  }
}

void BindOnItself(init::Reporter& report, const std::string& path) {
  if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    report.Fail(errno, "bind the root filesystem", path);
  }
}

void PivotRoot(init::Reporter& report, int root) {
  const int old_root = RawOpen("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old_root < 0) report.Fail(errno, "open", "/");
  if (::fchdir(root) != 0) report.Fail(errno, "enter the root filesystem");
  // The same directory twice: the old root ends up on top of the new one, and needs no place in it.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) report.Fail(errno, "pivot_root");
  if (::fchdir(old_root) != 0) report.Fail(errno, "enter the old root");
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
    report.Fail(errno, "make the old root a slave");
  }
  if (::umount2(".", MNT_DETACH) != 0) report.Fail(errno, "detach the old root");
  if (::chdir("/") != 0) report.Fail(errno, "enter", "/");
  ::close(old_root);
}

void MoveRoot(init::Reporter& report, int root, const std::string& path) {
  // Left below the new root, these would show the host's to whoever unmounts it.
  FILE* table = ::fopen("/proc/self/mountinfo", "re");
  if (table == nullptr) report.Fail(errno, "open", "/proc/self/mountinfo");
  char line[8192];
  char hidden[256][256];
  int count = 0;
  while (::fgets(line, sizeof(line), table) != nullptr) {
    char place[256];
    const char* tail = ::strstr(line, " - ");
    if (tail == nullptr || ::sscanf(line, "%*d %*d %*s %*s %255s", place) != 1) continue;
    const bool wanted =
        ::strncmp(tail + 3, "proc ", 5) == 0 || ::strncmp(tail + 3, "sysfs ", 6) == 0;
    const bool inside = ::strncmp(place, path.c_str(), path.size()) == 0;
    if (wanted && !inside && count < 256) ::memcpy(hidden[count++], place, sizeof(place));
  }
  ::fclose(table);
  while (count-- > 0) {
    if (::umount2(hidden[count], MNT_DETACH) != 0 && errno != EINVAL && errno != EPERM) {
      report.Fail(errno, "unmount the host's", hidden[count]);
    }
  }
  if (::fchdir(root) != 0) report.Fail(errno, "enter the root filesystem");
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) report.Fail(errno, "move the root");
  if (::chroot(".") != 0) report.Fail(errno, "chroot");
  if (::chdir("/") != 0) report.Fail(errno, "enter", "/");
}

void SetFinalPropagation(init::Reporter& report, uint64_t flags) {
  if (flags == 0) return;
  if (::mount(nullptr, "/", nullptr, flags, nullptr) != 0) {
    report.Fail(errno, "set the propagation of the container's", "/");
  }
}

}  // namespace berth::rootfs

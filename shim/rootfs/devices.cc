#include "shim/rootfs/devices.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstring>

#include "shim/init/raw_open.h"
#include "shim/rootfs/inside.h"
#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {
namespace {

struct DefaultNode {
  const char* name;
  unsigned major;
  unsigned minor;
};
constexpr DefaultNode kDefaultNodes[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                         {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct DefaultLink {
  const char* target;
  const char* name;
};
constexpr DefaultLink kDefaultLinks[] = {
    {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
    {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"},      {"pts/ptmx", "ptmx"}};

mode_t FileType(char type) { return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR; }

bool IsNode(int directory, const char* name, mode_t type, dev_t number) {
  struct stat info;
  return ::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         (info.st_mode & S_IFMT) == type && (type == S_IFIFO || info.st_rdev == number);
}

void BindNode(init::Reporter& report, int directory, const char* name, const char* host_path) {
  const int source = OpenTree(AT_FDCWD, host_path, OPEN_TREE_CLONE);
  if (source < 0) report.Fail(errno, "open the host's device", host_path);
  const int file = RawOpenAt(directory, name, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file >= 0) ::close(file);
  const int target = RawOpenAt(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) report.Fail(errno, "make mount target for device", name);
  if (AttachMount(source, target) != 0) report.Fail(errno, "bind device", host_path);
  ::close(target);
  ::close(source);
}

void MakeNode(init::Reporter& report, int directory, const char* name, const spec::DeviceNode& node,
              NodeMethod method) {
  const mode_t type = FileType(node.type);
  const dev_t number = ::makedev(node.major, node.minor);
  if (method == NodeMethod::kBind && node.type != 'p') {
    return BindNode(report, directory, name, node.path.c_str());
  }
  int result = ::mknodat(directory, name, type | node.mode, number);
  if (result != 0 && errno == EEXIST && !IsNode(directory, name, type, number)) {
    // The image brought something else under this name.
    if (::unlinkat(directory, name, 0) != 0) report.Fail(errno, "replace device", node.path);
    result = ::mknodat(directory, name, type | node.mode, number);
  }
  if (result != 0 && errno == EPERM && node.type != 'p') {
    return BindNode(report, directory, name, node.path.c_str());
  }
  if (result != 0 && errno != EEXIST) report.Fail(errno, "make device", node.path);
  if (::fchmodat(directory, name, node.mode, 0) != 0) report.Fail(errno, "chmod", node.path);
  if ((node.uid != 0 || node.gid != 0) &&
      ::fchownat(directory, name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    report.Fail(errno, "chown device", node.path);
  }
}

void MakeDefaults(init::Reporter& report, int dev, NodeMethod method) {
  for (const DefaultNode& entry : kDefaultNodes) {
    if (method == NodeMethod::kMake &&
        ::mknodat(dev, entry.name, S_IFCHR | 0666, ::makedev(entry.major, entry.minor)) == 0) {
      continue;
    }
    spec::DeviceNode node;
    node.path = std::string("/dev/") + entry.name;
    node.major = entry.major;
    node.minor = entry.minor;
    MakeNode(report, dev, entry.name, node, method);
  }
  for (const DefaultLink& link : kDefaultLinks) {
    if (::symlinkat(link.target, dev, link.name) == 0 || errno != EEXIST) continue;
    struct stat info;
    // An image's own ptmx would be the host's: it must be the container's.
    if (::strcmp(link.name, "ptmx") == 0 &&
        ::fstatat(dev, link.name, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(info.st_mode)) {
      (void)::unlinkat(dev, link.name, 0);  // what stays is found by the next line
      if (::symlinkat(link.target, dev, link.name) != 0) report.Fail(errno, "link", link.name);
    }
  }
}

bool BindsDev(const spec::LaunchPlan& plan) {
  for (const spec::MountPlan& mount : plan.mounts) {
    if (mount.bind && mount.destination == "/dev") return true;
  }
  return false;
}

}  // namespace

void MakeDevices(init::Reporter& report, const spec::LaunchPlan& plan, int root,
                 NodeMethod method) {
  if (BindsDev(plan)) return;
  const int dev = OpenOrMakeDirectory(report, root, "/dev");
  MakeDefaults(report, dev, method);
  ::close(dev);
  for (const spec::DeviceNode& node : plan.devices) {
    const Place place = OpenParent(report, root, node.path.c_str());
    MakeNode(report, place.directory, place.name, node, method);
    ::close(place.directory);
  }
}

Console OpenPty(init::Reporter& report, const spec::ProcessPlan& process, int root) {
  Console console;
  console.master = OpenInside(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  if (console.master < 0) report.Fail(errno, "open", "/dev/pts/ptmx");
  struct statfs filesystem;
  if (::fstatfs(console.master, &filesystem) != 0 || filesystem.f_type != DEVPTS_SUPER_MAGIC) {
    report.FailVerbatim(EINVAL,
                        "/dev/pts in the container is no devpts: a terminal needs one, see "
                        "$.mounts");
  }
  int unlock = 0;
  if (::ioctl(console.master, TIOCSPTLCK, &unlock) != 0) report.Fail(errno, "unlock the pty");
  // The peer is asked from the master itself: no path that the image could redirect.
  console.slave = ::ioctl(console.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (console.slave < 0) report.Fail(errno, "open the pty's slave");
  if (process.console_size) {
    struct winsize size = {};
    size.ws_row = process.console_size->height;
    size.ws_col = process.console_size->width;
    if (::ioctl(console.master, TIOCSWINSZ, &size) != 0) report.Fail(errno, "set the pty's size");
  }
  return console;
}

Console MakeConsole(init::Reporter& report, const spec::LaunchPlan& plan, int root) {
  const Console console = OpenPty(report, plan.process, root);
  const int dev = OpenOrMakeDirectory(report, root, "/dev");
  const int file = RawOpenAt(
      dev, "console", O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
  if (file >= 0) ::close(file);
  const int target = RawOpenAt(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) report.Fail(errno, "make mount target", "/dev/console");
  const int tree = OpenTree(console.slave, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (tree < 0) report.Fail(errno, "clone the pty's slave");
  if (AttachMount(tree, target) != 0) report.Fail(errno, "bind", "/dev/console");
  ::close(tree);
  ::close(target);
  ::close(dev);
  return console;
}

}  // namespace berth::rootfs

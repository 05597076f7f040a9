#include "shim/rootfs/copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "shim/init/raw_open.h"

namespace berth::rootfs {
namespace {

constexpr int kMaxDepth = 64;

void CopyAttributes(int from, int to) {
  char names[4096];
  const ssize_t size = ::flistxattr(from, names, sizeof(names));
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(::strlen(names + at)) + 1) {
    char value[4096];
    const ssize_t length = ::fgetxattr(from, names + at, value, sizeof(value));
    // tmpfs takes only some kinds; the others are left out, as cp does.
    if (length >= 0) (void)::fsetxattr(to, names + at, value, static_cast<size_t>(length), 0);
  }
}

void SetOwner(init::Reporter& report, int directory, const char* name, const struct stat& info) {
  if (::fchownat(directory, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    report.Fail(errno, "copy up the owner of", name);
  }
  if (!S_ISLNK(info.st_mode) && ::fchmodat(directory, name, info.st_mode & 07777, 0) != 0) {
    report.Fail(errno, "copy up the mode of", name);
  }
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  (void)::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);  // cosmetic
}

void CopyFile(init::Reporter& report, int from, int to, const char* name, const struct stat& info) {
  const int in = RawOpenAt(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const int out = RawOpenAt(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (in < 0 || out < 0) report.Fail(errno, "copy up", name);
  off_t left = info.st_size;
  while (left > 0) {
    const ssize_t sent = ::sendfile(out, in, nullptr, static_cast<size_t>(left));
    if (sent < 0 && errno != EINTR) report.Fail(errno, "copy up", name);
    if (sent == 0) break;
    if (sent > 0) left -= sent;
  }
  CopyAttributes(in, out);
  ::close(in);
  ::close(out);
}

void CopyDirectory(init::Reporter& report, int from, int to, const char* name, int depth);

void CopyEntry(init::Reporter& report, int from, int to, const char* name, int depth) {
  struct stat info;
  if (::fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0) report.Fail(errno, "copy up", name);
  if (S_ISDIR(info.st_mode)) {
    if (::mkdirat(to, name, 0700) != 0) report.Fail(errno, "copy up", name);
    const int below_from = RawOpenAt(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const int below_to = RawOpenAt(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below_from < 0 || below_to < 0) report.Fail(errno, "copy up", name);
    CopyDirectory(report, below_from, below_to, name, depth + 1);  // closes both
  } else if (S_ISLNK(info.st_mode)) {
    char link[PATH_MAX];
    const ssize_t size = ::readlinkat(from, name, link, sizeof(link) - 1);
    if (size < 0) report.Fail(errno, "copy up", name);
    link[size] = '\0';
    if (::symlinkat(link, to, name) != 0) report.Fail(errno, "copy up", name);
  } else if (S_ISREG(info.st_mode)) {
    CopyFile(report, from, to, name, info);
  } else if (::mknodat(to, name, info.st_mode, info.st_rdev) != 0) {
    report.Fail(errno, "copy up", name);
  }
  SetOwner(report, to, name, info);
}

void CopyDirectory(init::Reporter& report, int from, int to, const char* name, int depth) {
  if (depth > kMaxDepth) report.Fail(ELOOP, "copy up", name);
  DIR* entries = ::fdopendir(from);
  if (entries == nullptr) report.Fail(errno, "copy up", name);
  CopyAttributes(from, to);
  while (const struct dirent* entry = ::readdir(entries)) {
    if (::strcmp(entry->d_name, ".") == 0 || ::strcmp(entry->d_name, "..") == 0) continue;
    CopyEntry(report, from, to, entry->d_name, depth);
  }
  ::closedir(entries);
  ::close(to);
}

}  // namespace

void CopyUp(init::Reporter& report, int from, int to, const char* name) {
  const int source = RawOpenAt(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int target = RawOpenAt(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (source < 0 || target < 0) report.Fail(errno, "copy up", name);
  struct stat info;
  if (::fstat(source, &info) != 0) report.Fail(errno, "copy up", name);
  CopyDirectory(report, source, target, name, 0);
  SetOwner(report, to, ".", info);
}

}  // namespace berth::rootfs

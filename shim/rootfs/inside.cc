#include "shim/rootfs/inside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "shim/init/raw_open.h"
#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {
namespace {

constexpr int kMaxLinks = 16;

// Where the dangling link `name` in `directory` points, with `rest` behind it. `prefix` is the path
// of `directory`.
void FollowLink(init::Reporter& report, int directory, const char* name, const char* prefix,
                const char* rest, char (&out)[PATH_MAX]) {
  char link[PATH_MAX];
  const ssize_t size = ::readlinkat(directory, name, link, sizeof(link) - 1);
  if (size <= 0) report.Fail(size < 0 ? errno : ENOENT, "follow", name);
  link[size] = '\0';
  const int written = link[0] == '/' ? ::snprintf(out, sizeof(out), "%s/%s", link, rest)
                                     : ::snprintf(out, sizeof(out), "%s/%s/%s", prefix, link, rest);
  if (written >= static_cast<int>(sizeof(out))) report.Fail(ENAMETOOLONG, "follow", name);
}

int MakeDirectories(init::Reporter& report, int root, const char* path, int links) {
  if (links > kMaxLinks) report.Fail(ELOOP, "make directory", path);
  char prefix[PATH_MAX];
  size_t size = 0;
  int at = OpenInside(root, ".", O_PATH | O_DIRECTORY);
  if (at < 0) report.Fail(errno, "open the root of", path);
  const char* next = path;
  while (true) {
    while (*next == '/') ++next;
    if (*next == '\0') return at;
    const char* end = ::strchrnul(next, '/');
    const size_t name_size = static_cast<size_t>(end - next);
    if (size + name_size + 2 > sizeof(prefix)) report.Fail(ENAMETOOLONG, "make directory", path);
    const size_t parent_size = size;
    prefix[size++] = '/';
    ::memcpy(prefix + size, next, name_size);
    const char* name = prefix + size;
    size += name_size;
    prefix[size] = '\0';
    int child = OpenInside(root, prefix, O_PATH | O_DIRECTORY);
    if (child < 0 && errno == ENOENT) {
      if (::mkdirat(at, name, 0755) != 0 && errno == EEXIST) {
        char target[PATH_MAX];
        char link_name[NAME_MAX + 1];
        ::snprintf(link_name, sizeof(link_name), "%s", name);
        prefix[parent_size] = '\0';
        FollowLink(report, at, link_name, prefix, end, target);
        ::close(at);
        return MakeDirectories(report, root, target, links + 1);
      }
      child = OpenInside(root, prefix, O_PATH | O_DIRECTORY);
    }
    if (child < 0) report.Fail(errno, "make directory", path);
    ::close(at);
    at = child;
    next = end;
  }
}

Place SplitAndOpen(init::Reporter& report, int root, const char* path, char (&parent)[PATH_MAX]) {
  const char* slash = ::strrchr(path, '/');
  const char* name = slash == nullptr ? path : slash + 1;
  const size_t size = slash == nullptr ? 0 : static_cast<size_t>(slash - path);
  if (size >= sizeof(parent)) report.Fail(ENAMETOOLONG, "open", path);
  ::memcpy(parent, path, size);
  parent[size] = '\0';
  return Place{MakeDirectories(report, root, parent, 0), name};
}

int MakeTarget(init::Reporter& report, int root, const char* path, TargetKind kind, int links) {
  if (links > kMaxLinks) report.Fail(ELOOP, "make mount target", path);
  if (kind == TargetKind::kDirectory) return MakeDirectories(report, root, path, links);
  char parent[PATH_MAX];
  const Place place = SplitAndOpen(report, root, path, parent);
  const int file =
      RawOpenAt(place.directory, place.name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (file >= 0) {
    ::close(file);
  } else if (errno == EEXIST) {
    // Only a dangling link can be here and yet not be found.
    char target[PATH_MAX];
    FollowLink(report, place.directory, place.name, parent, "", target);
    size_t size = ::strlen(target);
    while (size > 1 && target[size - 1] == '/') target[--size] = '\0';
    ::close(place.directory);
    return MakeTarget(report, root, target, kind, links + 1);
  } else {
    report.Fail(errno, "make mount target", path);
  }
  ::close(place.directory);
  const int fd = OpenInside(root, path, O_PATH);
  if (fd < 0) report.Fail(errno, "open mount target", path);
  return fd;
}

}  // namespace

int OpenOrMakeDirectory(init::Reporter& report, int root, const char* path) {
  const int fd = OpenInside(root, path, O_PATH | O_DIRECTORY);
  if (fd >= 0) return fd;
  if (errno != ENOENT) report.Fail(errno, "open directory", path);
  return MakeDirectories(report, root, path, 0);
}

int OpenOrMakeTarget(init::Reporter& report, int root, const char* path, TargetKind kind,
                     uint64_t extra) {
  int fd = OpenInside(root, path, O_PATH, extra);
  if (fd < 0 && errno == ELOOP) {
    report.FailFormat(ELOOP,
                      "mount target \"%s\" is or goes through a symbolic link in the image: "
                      "refused for this kind of mount",
                      path);
  }
  if (fd < 0 && errno != ENOENT) report.Fail(errno, "open mount target", path);
  if (fd < 0) fd = MakeTarget(report, root, path, kind, 0);
  struct stat info;
  if (::fstat(fd, &info) != 0) report.Fail(errno, "stat mount target", path);
  if (S_ISDIR(info.st_mode) != (kind == TargetKind::kDirectory)) {
    report.FailFormat(ENOTDIR,
                      kind == TargetKind::kDirectory
                          ? "cannot mount a directory on \"%s\", which is a file: not a "
                            "directory (ENOTDIR)"
                          : "cannot mount a file on \"%s\", which is a directory: not a "
                            "directory (ENOTDIR)",
                      path);
  }
  return fd;
}

Place OpenParent(init::Reporter& report, int root, const char* path) {
  char parent[PATH_MAX];
  return SplitAndOpen(report, root, path, parent);
}

}  // namespace berth::rootfs

#include "shim/init/cgroup_join.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

namespace berth::init {
namespace {

// Without the file's name: "/sys/fs/cgroup/memory/default/web". Empty where there is no telling.
absl::string_view GroupOf(int proc, int file, char* buffer, size_t size) {
  char link[40];
  ::snprintf(link, sizeof(link), "self/fd/%d", file);
  const ssize_t length = ::readlinkat(proc, link, buffer, size);
  const absl::string_view path(buffer, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  return path.substr(0, path.rfind('/'));
}

}  // namespace

void JoinCgroup(Reporter& report, int proc) {
  report.Begin(Step::kJoinCgroup);
  int files[kMaxJoinFiles];
  const int count = report.Await(CommandKind::kJoin, files, kMaxJoinFiles);
  for (int i = 0; i < count; ++i) {
    if (::write(files[i], "0", 1) != 1) {
      const int error = errno;
      char path[512];
      report.Fail(error, "join cgroup", GroupOf(proc, files[i], path, sizeof(path)));
    }
    ::close(files[i]);
  }
}

}  // namespace berth::init

#include "server/task/shim_programs.h"

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

bool IsSame(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ShimBinary>> ShimPrograms::Load(const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("the program \"", path, "\" must be an absolute path"));
  }
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("the program ", path, " is no file"));
  }
  MutexLock lock(&mutex_);
  if (last_ != nullptr && path == path_ && IsSame(info, seen_)) return last_;
  BERTH_ASSIGN_OR_RETURN(ShimBinary binary, ShimBinary::Load(path));
  last_ = std::make_shared<const ShimBinary>(std::move(binary));
  path_ = path;
  seen_ = info;
  return last_;
}

}  // namespace berth

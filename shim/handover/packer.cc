#include "shim/handover/packer.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth::handover {
namespace {

constexpr int kFirstOfOurs = 3;

std::string Describe(int fd) {
  char target[256];
  const ssize_t size =
      ::readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), target, sizeof(target));
  return absl::StrCat(fd, " (", absl::string_view(target, size < 0 ? 0 : size), ")");
}

}  // namespace

int64_t ToNanoseconds(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToUnixNanos(time);
}

absl::Time FromNanoseconds(int64_t nanoseconds) {
  return nanoseconds == 0 ? absl::InfinitePast() : absl::FromUnixNanos(nanoseconds);
}

int32_t Packer::Pack(BorrowedFd fd) {
  if (!fd.valid()) return 0;
  packed_.insert(fd.get());
  return fd.get();
}

int64_t Packer::Count(TimerId timer) {
  const absl::Duration left = loop_.Remaining(timer);
  if (left == absl::InfiniteDuration()) return kNotSet;
  ++timers_;
  return absl::ToInt64Nanoseconds(left);
}

absl::Status Packer::CheckComplete() const {
  const Loop::Contents found = loop_.contents();
  if (found.watches != watches_ || found.timers != timers_ || found.posted != 0) {
    return absl::UnavailableError(
        absl::StrCat("something is under way: ", found.watches, " descriptors are watched and ",
                     watches_, " are known, ", found.timers, " timers are set and ", timers_,
                     " are known, ", found.posted, " functions wait"));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
  if (directory == nullptr) return absl::UnavailableError("cannot list /proc/self/fd");
  while (const struct dirent* entry = ::readdir(directory.get())) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry->d_name, &fd) || fd < kFirstOfOurs) continue;
    if (fd == ::dirfd(directory.get()) || loop_.Owns(fd)) continue;
    if (packed_.contains(fd) || left_.contains(fd)) continue;
    return absl::UnavailableError(
        absl::StrCat("something is under way: descriptor ", Describe(fd), " is nobody's"));
  }
  return absl::OkStatus();
}

}  // namespace berth::handover

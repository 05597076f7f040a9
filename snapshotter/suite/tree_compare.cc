#include "snapshotter/suite/tree_compare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"

namespace berth::snapshots {
namespace {

constexpr size_t kContentLimitBytes = 1 << 20;

std::string DescribeAttributes(const std::string& path) {
  std::string names(1 << 16, '\0');
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  if (length <= 0) return "";
  names.resize(length);
  std::vector<std::string> sorted = absl::StrSplit(names, '\0', absl::SkipEmpty());
  std::sort(sorted.begin(), sorted.end());
  std::string text;
  for (const std::string& name : sorted) {
    // trusted.* is overlayfs's own bookkeeping.
    if (!absl::StartsWith(name, "user.") && !absl::StartsWith(name, "security.")) continue;
    std::string value(1 << 16, '\0');
    const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(std::max<ssize_t>(size, 0));
    absl::StrAppend(&text, " ", name, "=", value);
  }
  return text;
}

std::string DescribeContent(const std::string& path, const struct stat& info) {
  if (S_ISREG(info.st_mode)) {
    const auto content = ReadFile(path, kContentLimitBytes);
    return absl::StrCat(" ", info.st_size,
                        " bytes: ", content.ok() ? *content : content.status().ToString());
  }
  if (S_ISLNK(info.st_mode)) {
    char goal[4096];
    const ssize_t length = ::readlink(path.c_str(), goal, sizeof(goal));
    return absl::StrCat(" -> ", std::string(goal, std::max<ssize_t>(length, 0)));
  }
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    return absl::StrCat(" ", major(info.st_rdev), ":", minor(info.st_rdev));
  }
  return "";
}

class Describer {
 public:
  explicit Describer(CompareTimes times) : times_(times) {}

  void Describe(const std::string& path, const std::string& name) {
    struct stat info;
    BERTH_CHECK(::lstat(path.c_str(), &info) == 0);
    std::string text = absl::StrFormat("%o %d:%d", info.st_mode, info.st_uid, info.st_gid);
    absl::StrAppend(&text, DescribeContent(path, info), DescribeAttributes(path));
    if (times_ == CompareTimes::kYes) {
      absl::StrAppendFormat(&text, " %d.%09d", info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    }
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
      const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, name);
      if (!is_new) absl::StrAppend(&text, " = ", first->second);
    }
    tree_[name] = text;
    if (S_ISDIR(info.st_mode)) DescribeChildren(path, name);
  }

  std::map<std::string, std::string> Take() { return std::move(tree_); }

 private:
  void DescribeChildren(const std::string& path, const std::string& name) {
    const auto directory = OpenFile(path, O_RDONLY | O_DIRECTORY);
    BERTH_CHECK(directory.ok());
    auto children = ListDirectory(*directory);
    BERTH_CHECK(children.ok());
    std::sort(children->begin(), children->end());
    for (const std::string& child : *children) {
      Describe(absl::StrCat(path, "/", child),
               name == "." ? child : absl::StrCat(name, "/", child));
    }
  }

  const CompareTimes times_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::map<std::string, std::string> tree_;
};

}  // namespace

std::map<std::string, std::string> DescribeTree(const std::string& root, CompareTimes times) {
  Describer describer(times);
  describer.Describe(root, ".");
  return describer.Take();
}

}  // namespace berth::snapshots

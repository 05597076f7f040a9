#include "server/engine/container_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's

absl::StatusOr<std::string> ReadLink(BorrowedFd link) {
  char text[PATH_MAX];
  const ssize_t length = ::readlinkat(link.get(), "", text, sizeof(text));
  if (length < 0 || length == sizeof(text)) return ErrnoStatus(errno, "readlinkat");
  return std::string(text, static_cast<size_t>(length));
}

// Where the path leads, as text. What does not exist is taken as it is.
std::string Resolve(BorrowedFd root, const std::string& path) {
  std::vector<std::string> resolved;
  std::deque<std::string> rest = absl::StrSplit(path, '/', absl::SkipEmpty());
  int links = 0;
  while (!rest.empty()) {
    const std::string part = rest.front();
    rest.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      if (!resolved.empty()) resolved.pop_back();
      continue;
    }
    const auto found = OpenInRoot(root, absl::StrCat("/", absl::StrJoin(resolved, "/"), "/", part),
                                  O_PATH | O_NOFOLLOW);
    const absl::StatusOr<std::string> target =
        found.ok() ? ReadLink(*found) : absl::StatusOr<std::string>(found.status());
    if (!target.ok() || ++links > kMaxLinks) {
      resolved.push_back(part);
      continue;
    }
    if (absl::StartsWith(*target, "/")) resolved.clear();
    const std::vector<std::string> parts = absl::StrSplit(*target, '/', absl::SkipEmpty());
    rest.insert(rest.begin(), parts.begin(), parts.end());
  }
  return absl::StrCat("/", absl::StrJoin(resolved, "/"));
}

}  // namespace

ContainerPath ParseContainerPath(absl::string_view text) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(text, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  ContainerPath path;
  path.text = absl::StrCat("/", absl::StrJoin(parts, "/"));
  path.wants_directory =
      absl::EndsWith(text, "/") || absl::EndsWith(text, "/.") || path.text == "/";
  path.name = parts.empty() ? "/" : absl::EndsWith(text, "/.") ? "." : std::string(parts.back());
  return path;
}

absl::StatusOr<UniqueFd> OpenContainerPath(BorrowedFd root, const ContainerPath& path,
                                           absl::string_view container) {
  absl::StatusOr<UniqueFd> found =
      OpenInRoot(root, path.text, O_PATH | (path.wants_directory ? O_DIRECTORY : O_NOFOLLOW));
  if (found.ok()) return found;
  switch (ErrnoOf(found.status())) {
    case ENOENT:
      return absl::NotFoundError(
          absl::StrCat("Could not find the file ", path.text, " in container ", container));
    case ENOTDIR:
      return absl::InvalidArgumentError(
          absl::StrCat(path.text, " in container ", container, " is not a directory"));
    default:
      return found;
  }
}

absl::StatusOr<v1::PathStat> StatContainerPath(BorrowedFd root, const ContainerPath& path,
                                               BorrowedFd found) {
  struct stat status = {};
  if (::fstat(found.get(), &status) != 0) return ErrnoStatus(errno, "fstat", path.text);
  v1::PathStat stat;
  stat.set_name(path.name);
  stat.set_size(status.st_size);
  stat.set_mode(status.st_mode);
  stat.mutable_modified_at()->set_seconds(status.st_mtim.tv_sec);
  stat.mutable_modified_at()->set_nanos(static_cast<int32_t>(status.st_mtim.tv_nsec));
  if (S_ISLNK(status.st_mode)) stat.set_link_target(Resolve(root, path.text));
  return stat;
}

}  // namespace berth::engine

#include "base/os/file_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

std::string TemporaryName(absl::string_view path) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) random = ::getpid();
  return absl::StrFormat("%s.%016x.tmp", path, random);
}

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

}  // namespace

absl::StatusOr<std::string> ReadAll(BorrowedFd fd, size_t limit_bytes) {
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read");
    if (got == 0) return content;
    if (content.size() + got > limit_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than the permitted ", limit_bytes, " bytes"));
    }
    content.append(buffer, got);
  }
}

absl::StatusOr<std::string> ReadFileAt(BorrowedFd directory, absl::string_view path,
                                       size_t limit_bytes) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, path, O_RDONLY));
  BERTH_ASSIGN_OR_RETURN(std::string content, ReadAll(fd, limit_bytes), _ << path);
  return content;
}

absl::StatusOr<std::string> ReadFile(absl::string_view path, size_t limit_bytes) {
  return ReadFileAt(BorrowedFd(AT_FDCWD), path, limit_bytes);
}

absl::Status WriteAll(BorrowedFd fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd.get(), data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write");
    data.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status WriteControlFileAt(BorrowedFd directory, absl::string_view path,
                                absl::string_view data) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, path, O_WRONLY));
  ssize_t written;
  do {
    written = ::write(fd.get(), data.data(), data.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return ErrnoStatus(errno, absl::StrCat("write \"", data, "\" to"), path);
  if (static_cast<size_t>(written) != data.size()) {
    return absl::InternalError(absl::StrCat("short write to ", path));
  }
  return absl::OkStatus();
}

absl::Status ReplaceFileAt(BorrowedFd directory, absl::string_view path, absl::string_view data,
                           mode_t mode, Durability durability) {
  const std::string temporary = TemporaryName(path);
  const std::string target(path);
  absl::Status status = [&]() -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd fd,
                           OpenAt(directory, temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    BERTH_RETURN_IF_ERROR(WriteAll(fd, data)) << temporary;
    if (durability == Durability::kSynced && ::fdatasync(fd.get()) != 0) {
      return ErrnoStatus(errno, "fdatasync", temporary);
    }
    if (::renameat(directory.get(), temporary.c_str(), directory.get(), target.c_str()) != 0) {
      return ErrnoStatus(errno, "rename", path);
    }
    return absl::OkStatus();
  }();
  if (!status.ok()) {
    ::unlinkat(directory.get(), temporary.c_str(), 0);
    return status;
  }
  if (durability == Durability::kUnsynced) return absl::OkStatus();
  const size_t slash = target.rfind('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : target.substr(0, slash);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd folder, OpenAt(directory, parent, O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.get()) != 0) return ErrnoStatus(errno, "fsync", parent);
  return absl::OkStatus();
}

absl::Status EnsureDirectory(absl::string_view path, mode_t mode) {
  const std::string whole(path);
  for (size_t end = whole.find('/', 1);; end = whole.find('/', end + 1)) {
    const std::string part = whole.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, "mkdir", part);
    }
    if (end == std::string::npos) break;
  }
  struct stat info;
  if (::stat(whole.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISDIR(info.st_mode)) return ErrnoStatus(ENOTDIR, "mkdir", path);
  return absl::OkStatus();
}

absl::Status SyncDirectory(absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "fsync", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(BorrowedFd directory) {
  // A descriptor of its own: fdopendir takes it over, and the read position is not shared with the
  // caller's.
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(fd.get()));
  if (stream == nullptr) return ErrnoStatus(errno, "fdopendir");
  (void)fd.Release();  // owned by the stream now
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const struct dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const absl::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "readdir");
  return names;
}

namespace {
// Removes `name`; what lies below is opened with RESOLVE_NO_XDEV `resolve`, so that a mount stops
// the walk.
absl::Status RemoveTree(BorrowedFd directory, absl::string_view name, uint64_t resolve) {
  const std::string target(name);
  if (::unlinkat(directory.get(), target.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR && errno != EPERM && errno != EBUSY) {
    return ErrnoStatus(errno, "unlink", name);
  }
  const auto folder = OpenAt2(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve);
  if (!folder.ok()) {
    return ErrnoOf(folder.status()) == ENOENT ? absl::OkStatus() : folder.status();
  }
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(*folder));
  for (const std::string& child : names) {
    BERTH_RETURN_IF_ERROR(RemoveTree(*folder, child, RESOLVE_NO_XDEV)) << target;
  }
  if (::unlinkat(directory.get(), target.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "rmdir", name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTreeAt(BorrowedFd directory, absl::string_view name) {
  return RemoveTree(directory, name, 0);
}

}  // namespace berth

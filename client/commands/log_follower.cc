#include "client/commands/log_follower.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

absl::StatusOr<int64_t> CopyRest(BorrowedFd file, int64_t offset, BorrowedFd sink) {
  const auto buffer = std::make_unique<char[]>(kBlockBytes);
  for (;;) {
    const ssize_t count = ::pread(file.get(), buffer.get(), kBlockBytes, offset);
    if (count < 0) return ErrnoStatus(errno, "read the log");
    if (count == 0) return offset;
    BERTH_RETURN_IF_ERROR(
        WriteAll(sink, absl::string_view(buffer.get(), static_cast<size_t>(count))));
    offset += count;
  }
}

}  // namespace

absl::StatusOr<int64_t> FindTail(BorrowedFd file, int lines) {
  if (lines == kAllLines) return 0;
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return ErrnoStatus(errno, "stat the log");
  const auto buffer = std::make_unique<char[]>(kBlockBytes);
  int64_t end = status.st_size;
  int found = 0;
  // Backwards, block by block: a log may be large. The last newline ends the last line.
  bool at_end = true;
  while (end > 0) {
    const int64_t begin = std::max<int64_t>(0, end - static_cast<int64_t>(kBlockBytes));
    const ssize_t count =
        ::pread(file.get(), buffer.get(), static_cast<size_t>(end - begin), begin);
    if (count < 0) return ErrnoStatus(errno, "read the log");
    if (count == 0) break;
    for (ssize_t i = count - 1; i >= 0; --i) {
      if (buffer[i] == '\n' && !at_end && ++found == lines) return begin + i + 1;
      if (lines == 0) return status.st_size;
      at_end = false;
    }
    end = begin;
  }
  return lines == 0 ? status.st_size : 0;
}

absl::Status CopyLog(const std::string& path, int64_t offset, BorrowedFd sink, BorrowedFd ended) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(path, O_RDONLY));
  if (!ended.valid()) return CopyRest(file, offset, sink).status();
  const UniqueFd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify.valid()) return ErrnoStatus(errno, "inotify_init1");
  if (::inotify_add_watch(notify.get(), path.c_str(), IN_MODIFY) < 0) {
    return ErrnoStatus(errno, "watch", path);
  }
  for (bool has_ended = false;;) {
    BERTH_ASSIGN_OR_RETURN(offset, CopyRest(file, offset, sink));
    if (has_ended) return absl::OkStatus();
    std::array<pollfd, 2> fds = {{{notify.get(), POLLIN, 0}, {ended.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    std::array<char, 4096> events;
    while (::read(notify.get(), events.data(), events.size()) > 0) {
    }
    has_ended = fds[1].revents != 0;
  }
}

}  // namespace berth::client

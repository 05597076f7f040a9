#include "server/task/shim_log_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kMaxLineBytes = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<ShimLogPipe>> ShimLogPipe::Open(Loop& loop,
                                                               const std::string& bundle,
                                                               std::string name,
                                                               const Logger& log) {
  const std::string path = absl::StrCat(bundle, "/log");
  if (::mkfifo(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "mkfifo", path);
  }
  // For writing too: without a writer the FIFO would report a hang-up for ever.
  BERTH_ASSIGN_OR_RETURN(UniqueFd fifo, OpenFile(path, O_RDWR | O_NONBLOCK));
  std::unique_ptr<ShimLogPipe> pipe(new ShimLogPipe(std::move(fifo), std::move(name), log));
  BERTH_ASSIGN_OR_RETURN(pipe->watch_, loop.Watch(pipe->fifo_, EPOLLIN,
                                                  [raw = pipe.get()](uint32_t) { raw->Read(); }));
  return pipe;
}

// One read per wake-up: a shim that never stops talking must not keep the loop from others.
void ShimLogPipe::Read() {
  char buffer[kMaxLineBytes];
  const ssize_t got = ::read(fifo_.get(), buffer, sizeof(buffer));
  if (got <= 0) return;
  partial_.append(buffer, static_cast<size_t>(got));
  size_t begin = 0;
  for (size_t end; (end = partial_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    log_.Info(absl::string_view(partial_).substr(begin, end - begin), {{"shim", name_}});
  }
  partial_.erase(0, begin);
  if (partial_.size() > kMaxLineBytes) partial_.clear();
}

}  // namespace berth

#include "shim/service/shim_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"

namespace berth::service {

ShimLog::ShimLog(BorrowedFd bundle, Level level, std::string fields)
    : level_(level), fields_(std::move(fields)) {
  auto fifo = OpenAt(bundle, "log", O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
  if (fifo.ok()) fifo_ = *std::move(fifo);
}

void ShimLog::Debug(absl::string_view message) const {
  if (debug()) Write("debug", message);
}

void ShimLog::Warning(absl::string_view message) const { Write("warning", message); }

void ShimLog::Write(absl::string_view level, absl::string_view message) const {
  const std::string line = absl::StrCat(
      "time=\"", absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone()),
      "\" level=", level, " msg=\"", absl::CEscape(message), "\" ", fields_, "\n");
  const int fd = fifo_.valid() ? fifo_.get() : STDERR_FILENO;
  (void)!::write(fd, line.data(), line.size());  // dropped when nobody reads
}

}  // namespace berth::service

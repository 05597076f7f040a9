// The shim's few log lines: what it ignored, and with -debug the timings of each step.
//
// They go to the FIFO `log` in the bundle, which containerd reads, when somebody reads it, else to
// stderr. A line that cannot be written at once is dropped: logging never blocks. Loop-only.
#ifndef BERTH_SHIM_SERVICE_SHIM_LOG_H_
#define BERTH_SHIM_SERVICE_SHIM_LOG_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::service {

class ShimLog {
 public:
  enum class Level { kDebug, kWarning };
  // Lines below `level` are left out. `fields` is put into each line, such as `id=x`.
  ShimLog(BorrowedFd bundle, Level level, std::string fields);

  BorrowedFd fifo() const { return fifo_; }
  bool debug() const { return level_ == Level::kDebug; }
  void Debug(absl::string_view message) const;
  void Warning(absl::string_view message) const;

 private:
  void Write(absl::string_view level, absl::string_view message) const;
  const Level level_;
  const std::string fields_;
  UniqueFd fifo_;
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SHIM_LOG_H_

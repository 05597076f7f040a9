// The FIFO `log` in the bundle of a foreign shim, which such shims open as their stderr.
//
// Invariant: somebody reads it for as long as this exists, so that the shim never blocks on it; the
// lines go to the daemon's log. Loop-only. Owned by a Task.
#ifndef BERTH_SERVER_TASK_SHIM_LOG_PIPE_H_
#define BERTH_SERVER_TASK_SHIM_LOG_PIPE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/log/logger.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth {

class ShimLogPipe {
 public:
  // Makes the FIFO where there is none. `name` tells the lines of different shims apart.
  static absl::StatusOr<std::unique_ptr<ShimLogPipe>> Open(Loop& loop, const std::string& bundle,
                                                           std::string name, const Logger& log);

 private:
  ShimLogPipe(UniqueFd fifo, std::string name, const Logger& log)
      : fifo_(std::move(fifo)), name_(std::move(name)), log_(log) {}
  void Read();

  const UniqueFd fifo_;
  const std::string name_;
  const Logger& log_;
  std::string partial_;
  FdWatch watch_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_LOG_PIPE_H_

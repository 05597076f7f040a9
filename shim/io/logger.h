// A logging program that reads a process's output: `binary://`.
//
// It gets the reading ends of two pipes as descriptors 3 and 4, a pipe to say that it is ready as
// 5, and the environment CONTAINER_ID and CONTAINER_NAMESPACE, nothing else. The container writes
// into the pipes directly. Invariant: a logger that dies early is replaced by a reader that throws
// away, so that the container neither blocks nor gets SIGPIPE. Loop-only. Owned by a ProcessIo;
// destroying it kills the program.
#ifndef BERTH_SHIM_IO_LOGGER_H_
#define BERTH_SHIM_IO_LOGGER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"
#include "shim/io/copier.h"
#include "shim/io/target.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class LoggerState;
}  // namespace berth::shim::v1

namespace berth::io {

class Logger {
 public:
  struct Options {
    Target target;  // kBinary or kBinaryV2
    std::string container_id = "";
    std::string namespace_name = "";
    absl::Duration ready_timeout = absl::Seconds(30);
  };
  using OnReady = absl::AnyInvocable<void(absl::Status)>;
  using OnEnd = absl::AnyInvocable<void()>;

  // Starts the program; `on_ready` runs once from the loop. Errors: NOT_FOUND when it is missing.
  static absl::StatusOr<std::unique_ptr<Logger>> Start(Loop& loop, Options options,
                                                       OnReady on_ready);

  ~Logger();

  // The ends that the container writes to, once each.
  UniqueFd TakeOut() { return std::move(out_write_); }
  UniqueFd TakeErr() { return std::move(err_write_); }

  // For the program that this one becomes, and in it; once the program is ready.
  void Save(handover::Packer& packer, berth::shim::v1::LoggerState& state) const;
  static absl::StatusOr<std::unique_ptr<Logger>> Resume(Loop& loop,
                                                        const berth::shim::v1::LoggerState& state,
                                                        handover::Unpacker& unpacker);

  // The container has ended: lets the program read what is left (at most `drain`) and end by
  // itself, then SIGTERM, 12 s, SIGKILL. `on_end` runs once from the loop, after it is reaped; at
  // once if it has gone.
  void End(absl::Duration drain, OnEnd on_end);

 private:
  Logger(Loop& loop, Options options, OnReady on_ready);
  absl::Status Spawn();
  void CheckReady();
  void Ready(absl::Status status);
  void OnExit();
  void PollDrained(absl::Time deadline);
  void Terminate();
  void Finish();

  Loop& loop_;
  const Options options_;
  OnReady on_ready_;
  OnEnd on_end_;
  UniqueFd out_write_, err_write_;
  UniqueFd out_read_, err_read_;  // kept to see what is left, and to take over
  UniqueFd ready_read_;
  ChildProcess process_;
  bool exited_ = false;
  FdWatch ready_watch_;
  FdWatch exit_watch_;
  TimerId timer_ = TimerId::kNone;
  std::unique_ptr<Copier> discard_[2];
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_LOGGER_H_
